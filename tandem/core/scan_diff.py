"""The difference of two ordered listings, page by page, with no request per key that is equal.

KVSP lists name, version and digest; S3 lists name and ETag, which is the digest of a single PUT.
Equal digests mean equal records, because the version is inside the envelope.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tandem.core.record import Kind
from tandem.core.reply import Side
from tandem.core.version import Version


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a home's listing; what a home does not list is None."""

    name: str
    digest: bytes
    size: int
    """The envelope's length in bytes."""
    version: Version | None = None
    kind: Kind | None = None
    expires_at_s: int | None = None
    metadata: bytes | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """A name that the homes list differently; None where a home does not list it."""

    name: str
    kvsp: Entry | None
    s3: Entry | None


class ScanDiff:
    """Merges the two listings of one namespace. Feed pages in order; take the differences out.

    A name is judged only once both listings have passed it.
    """

    def __init__(self) -> None:
        self._pending: dict[Side, deque[Entry]] = {side: deque() for side in Side}
        self._ended: dict[Side, bool] = dict.fromkeys(Side, False)
        self.equal = 0
        """How many names were found equal so far."""

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
        return list(self._settled())

    def _settled(self) -> Iterator[Difference]:
        kvsp, s3 = self._pending[Side.KVSP], self._pending[Side.S3]
        while (kvsp or self._ended[Side.KVSP]) and (s3 or self._ended[Side.S3]) and (kvsp or s3):
            if not s3 or (kvsp and kvsp[0].name < s3[0].name):
                left = kvsp.popleft()
                yield Difference(left.name, left, None)
            elif not kvsp or s3[0].name < kvsp[0].name:
                right = s3.popleft()
                yield Difference(right.name, None, right)
            else:
                left, right = kvsp.popleft(), s3.popleft()
                if left.digest == right.digest:
                    self.equal += 1
                else:
                    yield Difference(left.name, left, right)
