"""What the administrative services ask of a gateway."""

from collections.abc import Sequence
from typing import Protocol

from tandem.core.key import Key
from tandem.core.namespace import Namespace, SettingsChange
from tandem.core.operations import CrawlReport, Healed, Inspection, QueuedRepair, Status
from tandem.core.reply import Side


class NamespaceRegistry(Protocol):
    """The namespaces of the store. Ids have the right form and titles are checked on arrival.

    Each method may raise Unavailable; those that take an id, NamespaceNotFound.
    """

    async def create(self, title: str, change: SettingsChange) -> Namespace:
        """Creates a namespace; NamespaceExists when another one has the title."""
        ...

    async def list(self) -> Sequence[Namespace]:
        """All namespaces, by title."""
        ...

    async def get(self, namespace_id: str) -> Namespace:
        """The namespace with this id."""
        ...

    async def find(self, title: str) -> Namespace:
        """The namespace with this title, the oldest one in a conflict."""
        ...

    async def rename(self, namespace_id: str, title: str) -> Namespace:
        """Gives it another title; NamespaceExists when another one has it."""
        ...

    async def configure(self, namespace_id: str, change: SettingsChange) -> Namespace:
        """Changes its settings."""
        ...

    async def delete(self, namespace_id: str) -> None:
        """Stops serving its keys at once; the id is never used again."""
        ...


class Operations(Protocol):
    """What an operator may see and do. Each method may raise Unavailable."""

    async def status(self) -> Status:
        """How the homes, the queue and the journal are."""
        ...

    async def inspect(self, key: Key) -> Inspection:
        """What each home holds under a key."""
        ...

    async def heal(self, key: Key) -> Healed:
        """Makes both homes hold the newest record of a key, now."""
        ...

    async def switch(self, home: Side, *, reads_enabled: bool, writes_enabled: bool) -> Status:
        """Takes a home out of reads, of writes, or both, or back in; kept over restarts."""
        ...

    async def queue(self, limit: int) -> Sequence[QueuedRepair]:
        """The next repairs, at most `limit`."""
        ...

    async def crawled(self, report: CrawlReport) -> None:
        """Takes note that one namespace was found equal, or not, in both homes."""
        ...
