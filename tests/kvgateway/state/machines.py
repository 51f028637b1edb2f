"""Both kinds of a machine's memory, made for tests."""

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from kvgateway.state import shared
from kvgateway.state.ports import Machine
from kvgateway.state.shared import SharedMachine
from tests.memory.machine import MemoryMachine

GATEWAY = b"gw-1"
NOW = 1_800_000_000_000_000
MAP_BYTES = 4 * 1024 * 1024
SHARED_MEMORY = Path("/dev/shm")


class AnyMachine(Machine, Protocol):
    """What both kinds have beside the port."""

    def spills(self) -> int: ...

    def settle_spills(self, spills: int) -> None: ...

    def extend_clock(self, bound_us: int) -> None: ...

    def last_minted_us(self) -> int: ...


def memory_machine(bytes_max: int = MAP_BYTES, payload_bytes_max: int = 65536) -> MemoryMachine:
    machine = MemoryMachine(
        gateway_id=GATEWAY,
        random=random.Random(1).randbytes,
        bytes_max=bytes_max,
        payload_bytes_max=payload_bytes_max,
    )
    machine.extend_clock(NOW * 2)
    return machine


@contextmanager
def shared_directory(map_bytes: int = MAP_BYTES) -> Iterator[Path]:
    """A directory with a machine's memory, in shared memory where there is some."""
    parent = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    directory = Path(tempfile.mkdtemp(prefix="tandem-test-", dir=parent))
    try:
        shared.create(directory, map_bytes)
        yield directory
    finally:
        shutil.rmtree(directory)


@contextmanager
def shared_machine(
    map_bytes: int = MAP_BYTES, payload_bytes_max: int = 65536
) -> Iterator[SharedMachine]:
    with shared_directory(map_bytes) as directory:
        machine = SharedMachine(
            directory,
            gateway_id=GATEWAY,
            random=random.Random(1).randbytes,
            payload_bytes_max=payload_bytes_max,
        )
        machine.extend_clock(NOW * 2)
        yield machine
        machine.close()
