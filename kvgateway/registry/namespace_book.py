"""The namespaces as far as they are known, and who has which title.

Of an account's namespaces with one title the oldest has it; the others are shown as conflicts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kvgateway.registry.book import RecordBook
from tandem.core.namespace import Namespace, Settings


class NamespaceBook(RecordBook[Namespace]):
    """The newest record of each namespace; answers at once."""

    def __init__(self) -> None:
        super().__init__()
        self._owners: dict[tuple[str, str], str] = {}
        self.limited: dict[str, Settings] = {}
        """The settings of those that limit what may be done to them. For the hot path."""
        self.stepped: Mapping[str, Settings] = {}
        """The settings of those that are not, or were not always, in the mode that most are in."""

    def owner_of(self, account: str, title: str) -> Namespace | None:
        """The account's namespace with this title, the oldest one in a conflict."""
        owner = self._owners.get((account, title))
        return None if owner is None else self._live[owner]

    def live(self, account: str | None = None) -> Sequence[Namespace]:
        """Every namespace that is served, of one account or of all, by title; of equal titles the
        oldest first."""
        wanted = [n for n in self._live.values() if account in (None, n.account)]
        return sorted(wanted, key=lambda n: (n.title, n.created_at_s, n.id))

    def in_both_homes(self) -> frozenset[str]:
        """Those that are kept in both homes, in whatever mode; others are never crawled."""
        return frozenset(n.id for n in self._live.values() if n.settings.mode.two)

    def _served(self, found: Mapping[str, Namespace]) -> Mapping[str, Namespace]:
        owners: dict[tuple[str, str], str] = {}
        for namespace in sorted(found.values(), key=lambda n: (n.created_at_s, n.id)):
            owners.setdefault((namespace.account, namespace.title), namespace.id)
        self._owners = owners
        self.limited.clear()
        self.limited.update({n.id: n.settings for n in found.values() if n.settings.limited})
        self.stepped = {n.id: n.settings for n in found.values() if not n.settings.settled}
        return {
            n.id: n if owners[n.account, n.title] == n.id else replace(n, title_conflict=True)
            for n in found.values()
        }
