"""What glibc does with large blocks of memory that a program has let go of.

By itself it learns from what is freed whether a block gets fresh memory, of which each page costs a
fault, or what is free already. It is told to use what is free, and is asked for all of that once in
a while. Without glibc nothing is changed.
"""

import asyncio
import ctypes
import os
from functools import cache
from typing import Final

from tandem.core.limits import MIB

GIVEN_BACK_EACH_S: Final = 60.0
_GROWN_BYTES: Final = 64 * MIB
"""A program that has not grown by so much has little to give back."""
_KEPT_BYTES_MAX: Final = 64 * MIB
_MAPPED_ABOVE_BYTES: Final = 32 * MIB
"""The most that glibc allows."""
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

_STATM_BYTES: Final = 256


def keep_large_blocks() -> None:
    """For a program through which large values go: what is freed is used again."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_ABOVE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES_MAX)


async def give_back_idle_memory(each_s: float = GIVEN_BACK_EACH_S) -> None:
    """Hands what is free back to the machine when the program has grown; until cancelled. It
    takes its time in a thread, and who allocates meanwhile may wait."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None or _statm() is None:
        return
    held = _own_bytes()
    while True:
        await asyncio.sleep(each_s)
        if _own_bytes() > held + _GROWN_BYTES:
            await asyncio.to_thread(trim, 0)
            held = _own_bytes()


def holds_more_than(bytes_max: int) -> bool:
    """Whether the process holds so much memory; what it has let go of does not count."""
    return _own_bytes() > bytes_max and bytes_in_use() > bytes_max


def bytes_in_use() -> int:
    """What is allocated of glibc's memory; all of the process's own memory without glibc."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:
        return _own_bytes()
    mallinfo.restype = _Mallinfo
    seen = mallinfo()
    return int(seen.uordblks + seen.hblkhd)


class _Mallinfo(ctypes.Structure):
    """glibc's `struct mallinfo2`; in use are `uordblks` of its heaps and `hblkhd` beside them."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    )  # fmt: skip


def _own_bytes() -> int:
    """0 where the system does not tell."""
    statm = _statm()
    if statm is None:
        return 0
    _, resident, shared, *_ = map(int, os.pread(statm, _STATM_BYTES, 0).split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


@cache
def _statm() -> int | None:
    """What Linux says of this process's memory, open for as long as it runs: callers may come to
    hold every file that it may open."""
    try:
        return os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
