"""The clock's upper bound on stable storage, so that a restart never mints a version again.

The supervisor keeps it ahead of use and mirrors it into the machine's memory, which mints nothing
at or above it. A start waits until the homes' time has passed the bound that it finds; one that
lies far ahead (of a clock that was wrong) is dropped under a new gateway id, which makes all
versions different from those of before.

The file has two places that are written in turn, so a torn write costs one and never both.
"""

import asyncio
import os
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from kvgateway.state.minting import GATEWAY_ID_BYTES
from tandem.errors import Unavailable
from tandem.runtime import logs
from tandem.runtime.passing import start_needs
from tandem.runtime.stable_files import sync_directory

AHEAD_US: Final = 2_000_000
EXTEND_EACH_S: Final = 0.5
WAIT_MAX_US: Final = 10_000_000

_LOG = logs.get("clock_bound")
_PLACE: Final = struct.Struct(f">4sQQ{GATEWAY_ID_BYTES}s")
_CRC: Final = struct.Struct(">I")
_MAGIC: Final = b"TKVB"
_PLACE_BYTES: Final = 512
_PLACES: Final = 2


@dataclass(frozen=True, slots=True)
class Bound:
    """What the file says."""

    gateway_id: bytes
    bound_us: int


class ClockBound:
    """The file and its bound; one process of a machine has it open."""

    def __init__(self, descriptor: int, written: int, bound: Bound) -> None:
        self._descriptor = descriptor
        self._written = written
        self._bound = bound
        self._begun_us = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="clock-bound")
        self.failures = 0
        """How often the bound could not be extended."""

    @classmethod
    def open(cls, path: Path, new_id: Callable[[int], bytes]) -> Self:
        """Reads the file or makes it; blocking. A file without a whole place gets a new id. Raises
        ConfigurationError when it can be neither read nor made."""
        with start_needs(path):
            return cls._opened(path, new_id)

    @classmethod
    def _opened(cls, path: Path, new_id: Callable[[int], bytes]) -> Self:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        found = [_parsed(os.pread(descriptor, _PLACE_BYTES, n * _PLACE_BYTES)) for n in (0, 1)]
        whole = [each for each in found if each is not None]
        if whole:
            return cls(descriptor, *max(whole, key=lambda each: each[0]))
        opened = cls(descriptor, 0, Bound(new_id(GATEWAY_ID_BYTES), 0))
        opened._write(opened._bound)
        sync_directory(path.parent)
        return opened

    @property
    def gateway_id(self) -> bytes:
        """The id that goes into every version of this machine."""
        return self._bound.gateway_id

    @property
    def bound_us(self) -> int:
        """No version of this machine is at or above it."""
        return self._bound.bound_us

    def wait_us(self, now_us: int) -> int:
        """How long a start has to wait; 0 when the homes' time has passed the bound, or when the
        bound lies so far ahead that it is to be dropped."""
        wait_us = self.bound_us - now_us
        return wait_us if 0 < wait_us <= WAIT_MAX_US else 0

    def begin(self, now_us: int, new_id: Callable[[int], bytes]) -> None:
        """Extends the bound before the first write; blocking. Nobody may mint before.

        Call it when `wait_us` is 0.
        """
        assert self.wait_us(now_us) == 0
        gateway_id = self.gateway_id if now_us >= self.bound_us else new_id(GATEWAY_ID_BYTES)
        self._write(Bound(gateway_id, now_us + AHEAD_US))
        self._begun_us = now_us

    async def keep(self, now_us: Callable[[], int], publish: Callable[[int], None]) -> None:
        """Extends the bound for ever and publishes it once it is durable; run it in a task.

        While the disk refuses, the last bound holds, and minting stops when time has reached it.
        `now_us` is the homes' time; it raises Unavailable while that is not known.
        """
        loop = asyncio.get_running_loop()
        publish(self.bound_us)
        while True:
            await asyncio.sleep(EXTEND_EACH_S)
            try:
                bound = Bound(self.gateway_id, now_us() + AHEAD_US)
            except Unavailable:
                continue
            if bound.bound_us <= self.bound_us:
                continue
            try:
                await loop.run_in_executor(self._thread, self._write, bound)
            except OSError as error:
                self.failures += 1
                _LOG.error("clock_bound_unwritable", why=str(error))
            else:
                publish(self.bound_us)

    def close(self, last_minted_us: int | None = None) -> None:
        """Lets go of the file; blocking. With the time of the last version (0 when there was none
        since `begin`), when all workers have ended, the next start need not wait."""
        self._thread.shutdown()
        if last_minted_us is not None:
            self._write(Bound(self.gateway_id, max(last_minted_us + 1, self._begun_us)))
        os.close(self._descriptor)

    def _write(self, bound: Bound) -> None:
        written = self._written + 1
        body = _PLACE.pack(_MAGIC, written, bound.bound_us, bound.gateway_id)
        place = (body + _CRC.pack(zlib.crc32(body))).ljust(_PLACE_BYTES, b"\x00")
        os.pwrite(self._descriptor, place, written % _PLACES * _PLACE_BYTES)
        os.fdatasync(self._descriptor)
        self._written, self._bound = written, bound


def _parsed(place: bytes) -> tuple[int, Bound] | None:
    if len(place) < _PLACE.size + _CRC.size:
        return None
    body = place[: _PLACE.size]
    magic, written, bound_us, gateway_id = _PLACE.unpack(body)
    if magic != _MAGIC or _CRC.unpack_from(place, _PLACE.size)[0] != zlib.crc32(body):
        return None
    return written, Bound(gateway_id, bound_us)
