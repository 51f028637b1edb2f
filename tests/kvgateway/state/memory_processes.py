"""Real processes on one machine's memory, made for tests."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kvgateway.state.shared import SharedMachine
from tandem.core.key import Key
from tandem.runtime.clock import Clock, SystemClock
from tests.kvgateway.state.machines import NOW, shared_directory

NAMESPACE = "ab" * 16
MAP_BYTES = 32 * 1024 * 1024
KEYS = [Key(NAMESPACE, f"k{n}") for n in range(40)]
_SYSTEM_CLOCK = SystemClock()

OPEN = """
import os, signal, sys
from pathlib import Path
from kvgateway.state.ports import Seen
from kvgateway.state.shared import SharedMachine
from tandem.core.envelope import seal
from tandem.core.version import NO_VERSION
from tests.kvgateway.state.machines import NOW
from tests.kvgateway.state.memory_processes import KEYS
machine = SharedMachine(Path(sys.argv[1]), gateway_id=b"gw-1", random=os.urandom)
"""

READER = (
    OPEN
    + """
with machine._environment.begin() as txn:
    txn.get(b"x", db=machine._entries)
    print("inside", flush=True)
    sys.stdin.readline()
"""
)


@contextmanager
def process(script: str, *args: object) -> Iterator["subprocess.Popen[str]"]:
    """One that has said that it is ready; killed in the end."""
    child = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline(), "it has ended before it was ready"
        yield child
    finally:
        child.kill()
        child.communicate()


@contextmanager
def memory_directory() -> Iterator[Path]:
    with shared_directory(MAP_BYTES) as directory:
        machine = opened(directory)
        machine.extend_clock(NOW * 2)
        machine.close()
        yield directory


def opened(directory: Path, clock: Clock = _SYSTEM_CLOCK) -> SharedMachine:
    return SharedMachine(directory, gateway_id=b"gw-1", random=os.urandom, clock=clock)
