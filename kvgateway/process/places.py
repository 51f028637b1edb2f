"""Where a gateway keeps what: one place that knows the names of its files."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """The files of one gateway, below its data directory."""

    data: Path

    @property
    def gateway(self) -> Path:
        """Everything that is the gateway's own."""
        return self.data / "gateway"

    @property
    def journal(self) -> Path:
        """Intents, a directory for each worker."""
        return self.gateway / "journal"

    @property
    def queue(self) -> Path:
        """The repair queue."""
        return self.gateway / "repair.sqlite"

    @property
    def clock_bound(self) -> Path:
        """The clock's persisted upper bound, and the gateway's id."""
        return self.gateway / "clock.bound"

    @property
    def switches(self) -> Path:
        """The kill switches."""
        return self.gateway / "switches.json"

    @property
    def trust(self) -> Path:
        """Which home may lack writes."""
        return self.gateway / "trust.json"

    @property
    def namespaces(self) -> Path:
        """A copy of the registry."""
        return self.gateway / "namespaces.json"

    @property
    def tokens(self) -> Path:
        """A copy of the tokens' records."""
        return self.gateway / "tokens.json"

    @property
    def store_id(self) -> Path:
        """The id of the store that this gateway belongs to."""
        return self.gateway / "store-id"
