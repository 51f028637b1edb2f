"""Takes a JSON array apart while it arrives, so that a bulk request is never held as a whole.

Only the ends of the elements are looked for here; what lies between is judged by the strict decoder
that gets it. An event parser would do instead of both, but the one that is well kept (ijson)
stores "?" for a lone surrogate and rewrites the numbers of metadata.
"""

import re
from collections.abc import Iterator
from typing import Final

DEPTH_MAX: Final = 64
PARTS_MAX: Final = 10_000
"""Brackets, commas and strings of one element: more than 1,024 bytes of metadata can have."""

_MARK: Final = re.compile(rb'["\[\]{},]')
_STRING: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_SPACE: Final = b" \t\r\n"


class NoArray(ValueError):
    """The text is not a JSON array, or one that no honest client sends."""


class ArrayElements:
    """Feed chunks; get the texts of the elements that they complete."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._at = 0  # up to where `_held` has been looked at
        self._depth = 0
        self._in_string = False
        self._parts = 0
        self._any = False  # an element, or a comma, came before
        self.ended = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The elements that `chunk` completes."""
        self._held += chunk
        start = 0 if self._depth else self._opened()
        while not self.ended and (mark := self._next_mark()) >= 0:
            end = self._element_end(mark)
            if end is None:
                continue
            if self._depth or self._any or self._held[start:end].strip(_SPACE):
                yield bytes(memoryview(self._held)[start:end])
            self._any = True
            self._parts = 0
            start = end + 1
        self._release(start)

    def finish(self) -> None:
        """Raises NoArray when the array has not ended."""
        if not self.ended:
            raise NoArray("the array does not end")

    def _opened(self) -> int:
        """Finds the opening bracket; where the first element starts."""
        self._at = len(self._held) - len(self._held.lstrip(_SPACE))
        if self.ended or self._at == len(self._held):
            return self._at
        if self._held[self._at : self._at + 1] != b"[":
            raise NoArray("it is not an array")
        self._at += 1
        self._depth = 1
        return self._at

    def _next_mark(self) -> int:
        """Where the next bracket or comma outside of strings is; -1 when more has to arrive."""
        while True:
            if self._in_string and not self._string_left():
                return -1
            found = _MARK.search(self._held, self._at)
            if found is None:
                self._at = len(self._held)
                return -1
            self._at = found.end()
            self._count()
            if found[0] != b'"':
                return found.start()
            self._in_string = True

    def _string_left(self) -> bool:
        """Goes on to the end of the string; False when that has not arrived."""
        found = _STRING.match(self._held, self._at)
        assert found is not None, "it matches nothing at all, too"
        self._at = found.end()
        if self._held[self._at : self._at + 1] != b'"':
            return False  # at the end, or before a backslash whose other half is still to come
        self._at += 1
        self._in_string = False
        return True

    def _element_end(self, mark: int) -> int | None:
        """`mark` when an element ends there; None when it is within one."""
        match self._held[mark : mark + 1]:
            case b"[" | b"{":
                self._depth += 1
                if self._depth > DEPTH_MAX:
                    raise NoArray(f"it is nested more than {DEPTH_MAX} deep")
                return None
            case b",":
                return mark if self._depth == 1 else None
            case closing:
                self._depth -= 1
                if self._depth:
                    return None
                if closing != b"]":
                    raise NoArray("its brackets do not match")
                self.ended = True
                return mark

    def _count(self) -> None:
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise NoArray(f"an element has more than {PARTS_MAX} parts")

    def _release(self, start: int) -> None:
        del self._held[:start]
        self._at -= start
        if self.ended and self._held.strip(_SPACE):
            raise NoArray("something follows the array")
