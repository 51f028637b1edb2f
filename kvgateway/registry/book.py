"""What is known of the records of one kind: the newest of each id, merged by version.

Nothing but a tombstone ends an id, and that for ever.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from kvgateway.registry.form import T
from tandem.core.envelope import seal_tombstone
from tandem.core.version import Version


@dataclass(frozen=True, slots=True)
class Kept(Generic[T]):
    """The newest that is known of one id."""

    id: str
    version: Version
    digest: bytes
    item: T | None
    """None once it is deleted, which it is for ever."""


class RecordBook(Generic[T]):
    """Merges records; answers at once."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept[T]] = {}
        self._live: dict[str, T] = {}

    def __len__(self) -> int:
        """How many ids there are or ever were."""
        return len(self._kept)

    def known(self, record_id: str) -> bool:
        """Whether this is one that is served. For the hot path."""
        return record_id in self._live

    def get(self, record_id: str) -> T | None:
        """What has this id, unless it is deleted or not known."""
        return self._live.get(record_id)

    def kept(self, record_id: str) -> Kept[T] | None:
        """The newest record of an id that is known here."""
        return self._kept.get(record_id)

    def all_kept(self) -> Sequence[Kept[T]]:
        """Everything that is known."""
        return list(self._kept.values())

    def items(self) -> Sequence[T]:
        """Everything that is served, in no order."""
        return list(self._live.values())

    def learn(self, kept: Iterable[Kept[T]]) -> bool:
        """Takes what is newer than what is known; whether there was any."""
        changed = False
        for one in kept:
            old = self._kept.get(one.id)
            if old is None or (one.version, one.digest) > (old.version, old.digest):
                self._kept[one.id] = one
                changed = True
        if changed:
            found = {k.id: k.item for k in self._kept.values() if k.item is not None}
            self._live = dict(self._served(found))
        return changed

    def _served(self, found: Mapping[str, T]) -> Mapping[str, T]:
        """How what is there is shown."""
        return found


def deleted(record_id: str, version: Version) -> "Kept[T]":
    """What is known of an id that a tombstone of this version has ended."""
    return Kept(record_id, version, seal_tombstone(version).digest, None)
