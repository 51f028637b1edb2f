"""What the store asks of one cluster.

An SQLite file is one, a PostgreSQL database another (`kvsp.engines` knows which are served).
"""

from asyncio import Future
from collections.abc import Sequence
from typing import Protocol

from kvsp.answers import ReadAnswer, ScanPart
from kvsp.large import LargeValues
from tandem.core.cluster_life import ClusterLife
from tandem.core.removal import (
    FloorReply,
    NamespacePurge,
    PurgeRow,
    Removal,
    Renewal,
    Renewed,
    Span,
)
from tandem.core.reply import Failed, WriteReply
from tandem.core.version import Version
from tandem.wire.scan_codec import Scan
from tandem.wire.storage_codec import Get, Put


class Cluster(Protocol):
    """One cluster: every future that it gives resolves, if only to `Failed`."""

    @property
    def name(self) -> str: ...

    @property
    def failure(self) -> Failed | None:
        """Why it does not serve at the moment; None when it does."""
        ...

    @property
    def large(self) -> LargeValues:
        """Its large values."""
        ...

    def read(self, gets: Sequence[Get]) -> Future[list[ReadAnswer]]:
        """Answers in the order of `gets`."""
        ...

    def write(self, puts: Sequence[Put]) -> Future[list[WriteReply]]:
        """Answers in the order of `puts`, after the commit; none of them is a large value."""
        ...

    async def scan(self, scan: Scan) -> ScanPart | Failed:
        """At most `scan.limit` names of this cluster."""
        ...

    async def life(self, *, floors: bool = True) -> ClusterLife:
        """Which life it is in, as of its last commit; its floors where they are wanted."""
        ...

    async def raise_floor(
        self, incarnation: str, span: Span, floor: Version
    ) -> FloorReply | Failed:
        """Raises the floor of a range of names, unless this is not `incarnation`."""
        ...

    async def purge(
        self, incarnation: str, namespace: str, rows: Sequence[PurgeRow]
    ) -> Sequence[Removal | Failed]:
        """Removes dead rows at or below their floor; answers in the order of `rows`."""
        ...

    async def renew(self, renewal: Renewal) -> Renewed | Removal | Failed:
        """Begins a new life."""
        ...

    async def purge_namespace(
        self, namespace: str, limit: int
    ) -> NamespacePurge | Removal | Failed:
        """Removes up to `limit` rows of a namespace; `Removal.LIVE` for one that is not known to
        be deleted."""
        ...

    async def aclose(self) -> None:
        """Finishes the writes that wait, then lets go of the files."""
        ...
