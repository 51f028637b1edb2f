"""The one shape that every home has. Whoever talks to a home talks to this.

A home's methods never raise for an outage: they answer `Failed` by their deadline, so a race needs
no timer of its own. Whatever passes `tests/backends/contract.py` may stand here.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from tandem.core.cluster_life import ClusterLife
from tandem.core.key import Key
from tandem.core.record import Record, Stamp
from tandem.core.removal import (
    FloorRaise,
    FloorReply,
    NamespacePurge,
    Removal,
    Renewal,
    Renewed,
    RowPurge,
)
from tandem.core.reply import Failed, ReadReply, Side, WriteReply
from tandem.core.scan_diff import Entry


@dataclass(frozen=True, slots=True)
class Heal:
    """A write that copies what was read, instead of a client's leg."""

    read_at_us: int
    """This home's own time in the reply that the copy rests on; a home refuses it when that is
    more than HEAL_AGE_MAX_S ago, as it refuses a leg whose version is over LEG_DEADLINE_S old."""
    over_corrupt: bool = False
    """Whether a copy of the same version may be replaced, since its bytes were found corrupt."""


def basis_of(heal: Heal | None) -> int | None:
    """The home's time that a heal rests on; None for a leg."""
    return None if heal is None else heal.read_at_us


@dataclass(frozen=True, slots=True)
class ScanPage:
    """Names in byte order, tombstones and expired records included."""

    entries: tuple[Entry, ...]
    next_after: str | None
    """Continue after this name; None when the listing has ended."""
    home_time_us: int
    complete: bool = True
    """False when part of the home could not be listed, so that absence proves nothing."""
    foreign: int = 0
    """How many objects were passed over because no key can have their names."""


class Backend(Protocol):
    """One home."""

    @property
    def side(self) -> Side:
        """Which of the two homes this is."""
        ...

    @property
    def clock_skew_max_us(self) -> int:
        """How far ahead of this home's clock a version may be, given that clock's precision."""
        ...

    def get(self, key: Key, deadline_s: float, needed: "Needed" = None) -> Awaitable[ReadReply]:
        """Reads one record, its bytes checked against their digest (`Reason.CORRUPT` if not).

        When the headers of a large record have come and `needed` says False, the home may drop the
        body and answer `Glimpsed`. It is None where no other home is asked.
        """
        ...

    def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> Awaitable[WriteReply]:
        """Stores `record` unless the home holds a newer one; atomic, never blind, never repeated.

        Newer means greater (version, digest). Storing the same record again answers `Stored`.
        """
        ...

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        """Lists at most `limit` names above `after` ("" for all) that begin with `prefix`."""
        ...

    async def incarnation(self, deadline_s: float) -> str | Failed:
        """A text that changes when a part of the home was emptied, replaced or began a new life; ""
        for a home of which only the store id tells that."""
        ...

    async def aclose(self) -> None:
        """Lets go of connections and files; calls under way answer `Failed`."""
        ...


class CollectableRows(Backend, Protocol):
    """The SQL home as the collector sees it (`tandem.backends.collect`).

    Whatever is demanded names the incarnations of the clusters that the evidence is about, and is
    durable when it is answered. A cluster of another incarnation refuses.
    """

    async def clusters(
        self, deadline_s: float, *, floors: bool = False
    ) -> tuple[ClusterLife, ...] | Failed:
        """Which life every cluster is in, with its floors if asked for."""
        ...

    async def raise_floor(
        self, raising: FloorRaise, deadline_s: float
    ) -> Mapping[str, FloorReply | Failed] | Failed:
        """Makes the named clusters refuse inserts at or below a version; each answers alone."""
        ...

    async def purge(self, purge: RowPurge, deadline_s: float) -> Sequence[Removal | Failed]:
        """Removes dead rows at or below their floor that are exactly those named, in order."""
        ...

    async def renew(self, renewal: Renewal, deadline_s: float) -> Renewed | Removal | Failed:
        """Begins a new life of a cluster: without floors, and without what lay below the old."""
        ...

    async def purge_namespace(
        self, namespace: str, limit: int, deadline_s: float
    ) -> NamespacePurge | Removal | Failed:
        """Removes some rows of a deleted namespace; `Removal.LIVE` where it is not known as one."""
        ...


class CollectableObjects(Backend, Protocol):
    """The object home as the collector sees it (`tandem.backends.collect`)."""

    @property
    def removes(self) -> bool:
        """Whether `remove` can be used: exactly one record goes, and no late request lands after
        it. Where not, a tombstone must stay."""
        ...

    async def remove(self, key: Key, seen: Stamp, deadline_s: float) -> Removal | Failed:
        """Removes the record if it is still the one `seen`; `Failed` unless `removes`."""
        ...

    async def replace(
        self, key: Key, seen: Stamp | None, record: Record, read_at_us: int, deadline_s: float
    ) -> Removal | Failed:
        """Puts `record` in the place of exactly the one `seen` (None: of nothing), older or not.

        `read_at_us` is this home's time of the read that it rests on, as with a heal.
        """
        ...

    async def purge_namespace(
        self, namespace: str, limit: int, deadline_s: float
    ) -> NamespacePurge | Removal | Failed:
        """Removes some objects of a namespace whose id is never used again, unconditionally."""
        ...


@runtime_checkable
class ReachedAnew(Protocol):
    """A home whose place another one may take: over a connection, or in a file, that is opened
    again."""

    @property
    def reached(self) -> int:
        """How often that was; what answers since may belong to another store."""
        ...


Needed: TypeAlias = Callable[[], bool] | None
"""Whether a large body is still of use; None where it is in any case."""

Gets: TypeAlias = Sequence[tuple[Key, Needed]]
"""Reads that are asked together."""

Got: TypeAlias = Callable[[Sequence[tuple[int, ReadReply]]], None]
"""Takes the replies that have come together, each with the position of its get in the group."""


@runtime_checkable
class AnswersGroups(Protocol):
    """A home to which a group of reads costs much less than as many single ones."""

    def get_all(self, gets: Gets, deadline_s: float, got: Got) -> None:
        """Asks each of `gets` as `get` would. Every one of them has its reply by the deadline, none
        before this has returned. A home that raises has been asked none of them."""
        ...


Puts: TypeAlias = Sequence[tuple[Key, Record]]
"""Clients' legs that are started together."""

Replied: TypeAlias = Callable[[Sequence[tuple[int, WriteReply]]], None]
"""Takes the replies that have come together, each with the position of its put in the group."""


@runtime_checkable
class TakesGroups(Protocol):
    """A home to which a group of writes costs much less than as many single ones."""

    def put_all(self, puts: Puts, deadline_s: float, replied: Replied) -> None:
        """Starts each of `puts` as `put_if_newer` would. Every one of them has its reply by the
        deadline, none before this has returned. A home that raises has started none of them."""
        ...


class Ahead(Protocol):
    """The body of a record to come, on its way into a home; it never waits and never raises."""

    def add(self, piece: bytes | memoryview) -> None:
        """The next bytes of its envelope, as far as the value goes; nobody changes them."""
        ...

    def let_go(self) -> None:
        """No more comes: what it still holds of the bytes is dropped as soon as may be."""
        ...

    def end(self, digest: bytes) -> None:
        """All of the value has come: the MD5 of its envelope, by which the leg will know it."""
        ...


@runtime_checkable
class TakesAhead(Protocol):
    """A home that takes large bodies while they arrive, so that its leg is short."""

    def ahead(self) -> AbstractContextManager[Ahead | None]:
        """A place for one body, None where there is none: held until its leg has begun, or never
        will. The leg is the same with and without it."""
        ...
