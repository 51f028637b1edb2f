"""What the store asks of one cluster, and the values that pass between them.

An SQLite file is one, a PostgreSQL database another (`kvsp.engines` knows which are served).
Outcomes of writes carry no time of their own: the message that takes them to the gateway does.
"""

from asyncio import Future
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from dataclasses import dataclass
from typing import Protocol

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
from tandem.wire.scan_codec import Row, Scan
from tandem.wire.storage_codec import ClusterState, Get, LargePut, Put


@dataclass(frozen=True, slots=True)
class Absent:
    """No record; the key's range accepts no insert at or below `floor`."""

    floor: Version


@dataclass(frozen=True, slots=True)
class InBlob:
    """A large record, whose envelope lies outside its row."""

    blob: str
    digest: bytes
    version: Version
    size: int
    """Of the envelope, in bytes."""


ReadAnswer = bytes | Absent | InBlob | Failed
"""The envelope's bytes, checked against their digest, or why there are none."""


@dataclass(frozen=True, slots=True)
class ScanPart:
    """One cluster's names in byte order."""

    rows: list[Row]
    ended: bool
    last: bytes
    """Continue after this name; it may be one that was left out."""


@dataclass(frozen=True, slots=True)
class ClusterLimits:
    """How much may wait for one cluster, and how much is done at once."""

    writes_waiting_max: int = 16_384
    reads_waiting_max: int = 65_536
    at_once_max: int = 4_096
    """Rows of one transaction; reads of one hop."""
    large_at_once_max: int = 16
    """A large value under way holds two pieces, a thread now and then, and no more."""
    large_waiting_max: int = 64


class Cluster(Protocol):
    """One cluster: every future that it gives resolves, if only to `Failed`."""

    @property
    def name(self) -> str: ...

    @property
    def failure(self) -> Failed | None:
        """Why it does not serve at the moment; None when it does."""
        ...

    def read(self, gets: Sequence[Get]) -> Future[list[ReadAnswer]]:
        """Answers in the order of `gets`."""
        ...

    def write(self, puts: Sequence[Put]) -> Future[list[WriteReply]]:
        """Answers in the order of `puts`, after the commit; none of them is a large value."""
        ...

    async def load(self, large: InBlob) -> bytes | Absent | Failed:
        """The envelope of a large record; a row without its blob is a missing record."""
        ...

    async def holds(self, blob: str) -> bool:
        """Whether the blob of a large record is there."""
        ...

    def pieces(self, blob: str) -> AsyncGenerator[bytes, None]:
        """The blob's bytes, unchecked, PIECE_BYTES at most at a time. Raises OSError."""
        ...

    async def write_large(
        self, put: LargePut, pieces: AsyncIterable[bytes | memoryview]
    ) -> WriteReply:
        """Like `write`, with the envelope outside the row: `pieces`, which are not all asked for
        when the outcome is known before. What they raise is raised, and nothing is stored."""
        ...

    async def scan(self, scan: Scan) -> ScanPart | Failed:
        """At most `scan.limit` names of this cluster."""
        ...

    async def state(self) -> ClusterState: ...

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
