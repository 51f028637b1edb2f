"""The difference of two ordered listings, page by page, with no request per key that is equal.

KVSP lists name, version and digest; S3 lists name and ETag, which is the digest of a single PUT.
Equal digests mean equal records, because the version is inside the envelope.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from tandem.core.record import Kind
from tandem.core.reply import Side
from tandem.core.version import Version


class Entry(NamedTuple):
    """One line of a home's listing; what a home does not list is None.

    A tuple: a crawl makes two for every key, and a frozen dataclass costs four times as much.
    """

    name: str
    digest: bytes
    size: int
    """The envelope's length in bytes."""
    version: Version | None = None
    kind: Kind | None = None
    expires_at_s: int | None = None
    metadata: bytes | None = None


entry_of: Callable[[tuple[object, ...]], Entry] = partial(tuple.__new__, Entry)
"""Makes an entry of its seven fields, in half of the constructor's time: for pages of them."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A name that the homes list differently; None where a home does not list it."""

    name: str
    kvsp: Entry | None
    s3: Entry | None


class OneListing:
    """Stands in for `ScanDiff` where a namespace has one home: every name counts as equal."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._ended = False
        self.equal = 0
        """How many names were listed so far."""
        self.dead: list[Entry] = []
        """See `ScanDiff`."""
        self.judged = ""
        """The last name that was listed."""

    def wants(self) -> Side | None:
        """The home, until its listing has ended."""
        return None if self._ended else self._side

    def feed(self, side: Side, entries: Sequence[Entry], *, ended: bool) -> list[Difference]:
        """Takes one page, which settles no difference."""
        assert side is self._side
        self._ended = ended
        self.equal += len(entries)
        self.dead += [one for one in entries if one.expires_at_s or one.kind is Kind.TOMBSTONE]
        if entries:
            self.judged = entries[-1].name
        return []


class ScanDiff:
    """Merges the two listings of one range. Feed pages in order; take the differences out.

    A name is judged only once both listings have passed it.
    """

    def __init__(self) -> None:
        self._pending: dict[Side, list[Entry]] = {side: [] for side in Side}
        self._ended: dict[Side, bool] = dict.fromkeys(Side, False)
        self.equal = 0
        """How many names were found equal so far."""
        self.dead: list[Entry] = []
        """Those of them, since it was emptied last, that are tombstones or will expire, as KVSP
        lists them: what a collector has to look at."""
        self.judged = ""
        """The last name that was judged."""

    def wants(self) -> Side | None:
        """The side whose next page is needed to go on; None when both have ended."""
        for side in Side:
            if not self._pending[side] and not self._ended[side]:
                return side
        return None

    def feed(self, side: Side, entries: Sequence[Entry], *, ended: bool) -> list[Difference]:
        """Takes one page and returns the differences that it settles, in order of names."""
        self._pending[side].extend(entries)
        self._ended[side] = ended
        kvsp, s3 = self._pending[Side.KVSP], self._pending[Side.S3]
        found: list[Difference] = []
        left, right = self._merge(kvsp, s3, found)
        if self._ended[Side.S3] and right == len(s3):
            found += [Difference(entry.name, entry, None) for entry in kvsp[left:]]
            left = len(kvsp)
        if self._ended[Side.KVSP] and left == len(kvsp):
            found += [Difference(entry.name, None, entry) for entry in s3[right:]]
            right = len(s3)
        self._drop(kvsp, left)
        self._drop(s3, right)
        return found

    def _merge(
        self, kvsp: list[Entry], s3: list[Entry], found: list[Difference]
    ) -> tuple[int, int]:
        """How far both were compared. (The loop of every crawl: one turn a name, no calls.)"""
        left, right, equal = 0, 0, 0
        lefts, rights = len(kvsp), len(s3)
        dead, tombstone = self.dead, Kind.TOMBSTONE
        while left < lefts and right < rights:
            one, other = kvsp[left], s3[right]
            name, theirs = one[0], other[0]
            if name == theirs:
                left += 1
                right += 1
                if one[1] != other[1]:
                    found.append(Difference(name, one, other))
                    continue
                equal += 1
                if one[5] or one[4] is tombstone:
                    dead.append(one)
            elif name < theirs:
                left += 1
                found.append(Difference(name, one, None))
            else:
                right += 1
                found.append(Difference(theirs, None, other))
        self.equal += equal
        return left, right

    def _drop(self, pending: list[Entry], count: int) -> None:
        if count:
            self.judged = max(self.judged, pending[count - 1].name)
            del pending[:count]
