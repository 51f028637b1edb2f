"""Large blocks of memory, given back to the machine when they are freed."""

import ctypes
from typing import Final

from tandem.core.limits import MIB

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_KEPT_BYTES_MAX: Final = 32 * MIB
_LARGE_BYTES: Final = 4 * MIB


def give_back_large_blocks() -> None:
    """For a program that holds values of full size.

    glibc comes to keep freed blocks of up to 32 MiB in its heap, from which few can ever go back: a
    worker that had written and read ten values of 25 MiB held 280 MiB for good. Without glibc
    nothing is changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES_MAX)
