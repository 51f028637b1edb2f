"""What a process has met lately, so that it need not be worked out again. Bounded."""

import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Latest(Generic[_Key, _Value]):
    """Keeps the latest of what it is given; at a bound the oldest goes, as a rule one for each that
    comes. Thousands that are forgotten at once hold everybody up for milliseconds; the first entry
    of a plain dict is found only behind all that were deleted before it.
    """

    __slots__ = ("_bytes", "_bytes_max", "_entries_max", "_kept", "_sizes", "get")

    get: Callable[[_Key], _Value | None]
    """What is kept under a key, if anything is."""

    def __init__(self, entries_max: int, bytes_max: int = sys.maxsize) -> None:
        self._kept: OrderedDict[_Key, _Value] = OrderedDict()
        self._sizes: dict[_Key, int] = {}
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self.get = self._kept.get

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, key: _Key, value: _Value, size: int = 0) -> None:
        """Keeps a value, which counts as so many bytes, in place of what was kept under its key;
        one that is larger than all may be is kept alone."""
        self.forget(key)
        while self._kept and (
            len(self._kept) >= self._entries_max or self._bytes + size > self._bytes_max
        ):
            oldest, _ = self._kept.popitem(last=False)
            self._bytes -= self._sizes.pop(oldest)
        self._kept[key] = value
        self._sizes[key] = size
        self._bytes += size

    def forget(self, key: _Key) -> None:
        """Drops what is kept under a key, if anything is."""
        if key in self._kept:
            del self._kept[key]
            self._bytes -= self._sizes.pop(key)
