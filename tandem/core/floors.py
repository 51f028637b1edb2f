"""The floors of one namespace's names: below which version each range accepts no insert.

A range begins at its `start` and ends where the next one begins. Cutting a range gives both parts
its floor, a floor only rises, and ranges never merge: what was ever said of a name stays true.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Final

from tandem.core.version import NO_VERSION, Version

RANGES_MAX: Final = 100_000
"""How many ranges one cluster knows in all its namespaces; a floor that needs more is refused."""


class RangeFloors:
    """Immutable, so a reader on another thread needs no lock. Names and starts are bytes."""

    __slots__ = ("_starts", "_versions")

    def __init__(self, floors: Iterable[tuple[bytes, Version]] = ()) -> None:
        """`floors` are starts in ascending order, each with the floor from there on; ValueError
        when they are not."""
        pairs = tuple(floors)
        self._starts = tuple(start for start, _ in pairs)
        self._versions = tuple(version for _, version in pairs)
        if not all(a < b for a, b in pairwise(self._starts)):
            raise ValueError("the starts of ranges do not ascend")

    def __iter__(self) -> Iterator[tuple[bytes, Version]]:
        return zip(self._starts, self._versions, strict=True)

    def __len__(self) -> int:
        return len(self._starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RangeFloors) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash((self._starts, self._versions))

    def __repr__(self) -> str:
        return f"RangeFloors({list(self)})"

    def of(self, name: bytes) -> Version:
        """The floor of the range that `name` lies in."""
        at = bisect_right(self._starts, name)
        return self._versions[at - 1] if at else NO_VERSION

    def raised(self, start: bytes, end: bytes, floor: Version) -> "RangeFloors":
        """With the floor of the names from `start` up to before `end` (b"" for no end) at `floor`
        or, where it was higher, as it was."""
        floors = dict(self)
        floors.setdefault(start, self.of(start))
        if end:
            floors.setdefault(end, self.of(end))
        for at, version in floors.items():
            if start <= at and (not end or at < end):
                floors[at] = max(version, floor)
        return RangeFloors(sorted(floors.items()))

    def within(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes, Version]]:
        """Every part of the names from `start` up to before `end` (b"" for no end) that has one
        floor: where it begins, where it ends, and the floor."""
        inside = [at for at in self._starts if start < at and (not end or at < end)]
        for at, until in pairwise([start, *inside, end]):
            yield at, until, self.of(at)

    def reaches(self, other: "RangeFloors") -> bool:
        """Whether no name has a lower floor here than in `other`."""
        return all(self.of(start) >= other.of(start) for start in (*dict(self), *dict(other)))

    def forgotten(self, known: "RangeFloors") -> "RangeFloors":
        """What `known` says of the ranges for which it has a higher floor, and of no others."""
        return self._where(known, lambda mine, theirs: theirs if theirs > mine else NO_VERSION)

    def upheld(self, known: "RangeFloors") -> "RangeFloors":
        """These floors of the ranges for which `known` has no higher one, and no others."""
        return self._where(known, lambda mine, theirs: NO_VERSION if theirs > mine else mine)

    def joined(self, other: "RangeFloors") -> "RangeFloors":
        """For every name the higher one of both floors."""
        return self._where(other, max)

    def _where(
        self, known: "RangeFloors", choose: Callable[[Version, Version], Version]
    ) -> "RangeFloors":
        starts = sorted({*dict(self), *dict(known)})
        chosen = [(start, choose(self.of(start), known.of(start))) for start in starts]
        return RangeFloors(chosen if any(floor > NO_VERSION for _, floor in chosen) else ())
