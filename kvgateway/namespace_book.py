"""The namespaces as far as they are known: the newest record of each id, and who has which title.

Nothing but a tombstone ends a namespace, and that for ever. Of an account's namespaces with one
title the oldest has it; the others are shown as conflicts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tandem.core.envelope import seal_tombstone
from tandem.core.namespace import Namespace
from tandem.core.version import Version


@dataclass(frozen=True, slots=True)
class Kept:
    """The newest that is known of one id."""

    id: str
    version: Version
    digest: bytes
    namespace: Namespace | None
    """None once it is deleted, which it is for ever."""


class NamespaceBook:
    """Merges records by version; answers at once."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}
        self._live: dict[str, Namespace] = {}
        self._owners: dict[tuple[str, str], str] = {}

    def __len__(self) -> int:
        """How many ids there are or ever were."""
        return len(self._kept)

    def known(self, namespace_id: str) -> bool:
        """Whether this is a namespace that is served. For the hot path."""
        return namespace_id in self._live

    def get(self, namespace_id: str) -> Namespace | None:
        """The namespace with this id, unless it is deleted or not known."""
        return self._live.get(namespace_id)

    def kept(self, namespace_id: str) -> Kept | None:
        """The newest record of an id that is known here."""
        return self._kept.get(namespace_id)

    def owner_of(self, account: str, title: str) -> Namespace | None:
        """The account's namespace with this title, the oldest one in a conflict."""
        owner = self._owners.get((account, title))
        return None if owner is None else self._live[owner]

    def live(self, account: str | None = None) -> Sequence[Namespace]:
        """Every namespace that is served, of one account or of all, by title; of equal titles the
        oldest first."""
        wanted = [n for n in self._live.values() if account in (None, n.account)]
        return sorted(wanted, key=lambda n: (n.title, n.created_at_s, n.id))

    def all_kept(self) -> Sequence[Kept]:
        """Everything that is known."""
        return list(self._kept.values())

    def learn(self, kept: Iterable[Kept]) -> bool:
        """Takes what is newer than what is known; whether there was any."""
        changed = False
        for one in kept:
            old = self._kept.get(one.id)
            if old is None or (one.version, one.digest) > (old.version, old.digest):
                self._kept[one.id] = one
                changed = True
        if changed:
            self._settle_titles()
        return changed

    def _settle_titles(self) -> None:
        live = [kept.namespace for kept in self._kept.values() if kept.namespace is not None]
        self._owners = {}
        for namespace in sorted(live, key=lambda n: (n.created_at_s, n.id)):
            self._owners.setdefault((namespace.account, namespace.title), namespace.id)
        self._live = {
            n.id: n if self._owners[n.account, n.title] == n.id else replace(n, title_conflict=True)
            for n in live
        }


def deleted(namespace_id: str, version: Version) -> Kept:
    """What is known of an id that a tombstone of this version has ended."""
    return Kept(namespace_id, version, seal_tombstone(version).digest, None)
