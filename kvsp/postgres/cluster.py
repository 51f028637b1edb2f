"""One cluster in a PostgreSQL database: who waits for it, and what they are answered.

What waits for writing goes into one transaction, what waits for reading into one statement. Whether
there is anybody to ask, and what it must show, is decided in `reach`.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import cast

from kvsp.answers import ReadAnswer, ScanPart
from kvsp.desk import Desk
from kvsp.large import LargeValues
from kvsp.limits import ClusterLimits
from kvsp.postgres import collecting, transaction
from kvsp.postgres.blobs import PieceBlobs
from kvsp.postgres.connecting import Connection, Database
from kvsp.postgres.deleted import DeletedNamespaces
from kvsp.postgres.errors import CommitFailed
from kvsp.postgres.reach import Reach
from kvsp.postgres.reading import Life, read_life, read_points, scan_names
from kvsp.postgres.transaction import Work
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
from tandem.core.reply import Failed, Reason
from tandem.core.version import Version
from tandem.runtime import logs
from tandem.runtime.clock import Clock
from tandem.runtime.randomness import Entropy
from tandem.wire.scan_codec import Scan
from tandem.wire.storage_codec import Get

_WATCH_EVERY_S = 1.0
_WATCHES_UNTIL_TOLD = 60
_TELL_S = 1.0
"""How long writes wait until all clusters know of a namespace that they have deleted."""
_log = logs.get("kvsp.cluster")


class PostgresCluster:
    """Serves one database; `start` before anything else."""

    def __init__(
        self, name: str, database: Database, *, clock: Clock, entropy: Entropy,
        limits: ClusterLimits, readers: int, deleted: DeletedNamespaces,
    ) -> None:  # fmt: skip
        self.name = name
        self._at_once_max = limits.at_once_max
        self._clock = clock
        self._entropy = entropy
        self._deleted = deleted
        self._readers = readers
        self._desk: Desk[Work] = Desk(name, limits)
        self._reach = Reach(database, readers, self._desk)
        self.read, self.write = self._desk.read, self._desk.write
        blobs = PieceBlobs(self._reach, self._desk.one, clock)
        self.large = LargeValues(blobs, self._desk.one, entropy, limits)

    @property
    def failure(self) -> Failed | None:
        """Why the database does not serve, as it was last asked."""
        return self._reach.failure

    def start(self) -> None:
        """Begins to serve."""
        self._desk.employ("writer", self._write_on())
        for number in range(self._readers):
            self._desk.employ(f"reader-{number}", self._read_on())
        self._desk.employ("collector", self.large.collect_on())
        self._desk.employ("watch", self._watch_on())

    async def aclose(self) -> None:
        """Finishes the writes that wait, then lets go of the database."""
        await self._desk.aclose(_nothing)
        await self._reach.aclose()

    async def scan(self, scan: Scan) -> ScanPart | Failed:
        """At most `scan.limit` names of this cluster."""
        return await self._reach.ask(partial(scan_names, scan=scan))

    async def life(self, *, floors: bool = True) -> ClusterLife:
        """Which life it is in: asked of the database, since other KVSPs write to it."""
        match await self._reach.ask(partial(read_life, floors=floors)):
            case Failed() as why:
                return ClusterLife(self.name, "", self._reach.acknowledged, failure=str(why))
            case Life(incarnation, commits, opening, held):
                return ClusterLife(self.name, incarnation, commits, held, "", opening)

    async def raise_floor(
        self, incarnation: str, span: Span, floor: Version
    ) -> FloorReply | Failed:
        """See `Cluster`."""
        step = partial(collecting.raise_floor, named=incarnation, span=span, floor=floor)
        return cast(FloorReply | Failed, await self._desk.one(step))

    async def purge(
        self, incarnation: str, namespace: str, rows: Sequence[PurgeRow]
    ) -> Sequence[Removal | Failed]:
        """See `Cluster`."""
        step = partial(collecting.purge_rows, named=incarnation, namespace=namespace, rows=rows)
        outcome = await self._desk.one(step)
        return (
            [outcome] * len(rows) if isinstance(outcome, Failed) else cast(list[Removal], outcome)
        )

    async def renew(self, renewal: Renewal) -> Renewed | Removal | Failed:
        """See `Cluster`."""
        step = partial(collecting.renew, renewal=renewal, random=self._entropy.token(16).hex())
        return cast(Renewed | Removal | Failed, await self._desk.one(step))

    async def purge_namespace(
        self, namespace: str, limit: int
    ) -> NamespacePurge | Removal | Failed:
        """See `Cluster`."""
        step = partial(collecting.purge_namespace, namespace=namespace, limit=limit)
        return cast(NamespacePurge | Removal | Failed, await self._desk.one(step))

    async def tell_deleted(self) -> None:
        """Tells the other clusters what this one refuses for ever."""

        async def asked(connection: Connection) -> list[str]:
            return [row[0] for row in await connection.fetch("select id from deleted_namespace")]

        known = await self._reach.ask(asked)
        if not isinstance(known, Failed):
            await self._deleted.tell(known)

    async def refuse(self, namespaces: Sequence[str]) -> Failed | None:
        """Refuses these namespaces for ever, as another cluster does."""
        return await self._reach.ask(partial(transaction.note_deleted, namespaces=namespaces))

    async def _write_on(self) -> None:
        while True:
            await self._desk.writes.arrival()
            await self._desk.writes.serve(self._at_once_max, self._outcomes)

    async def _outcomes(self, works: Sequence[Work]) -> Sequence[object]:
        acknowledged = self._reach.acknowledged
        run = partial(transaction.run, works=works, clock=self._clock, acknowledged=acknowledged)
        try:
            done = await self._reach.answer(self._reach.writing, run)
        except CommitFailed as error:
            _log.error("commit_failed", cluster=self.name, error=str(error))
            return [Failed(Reason.ERROR, f"the commit failed: {error}")] * len(works)
        if isinstance(done, Failed):
            return [Failed(done.reason, f"nothing was written: {done.detail}")] * len(works)
        self._reach.acknowledged = max(acknowledged, done.commits)
        if done.deleted:
            await self._deleted.tell(done.deleted, _TELL_S)
        return done.outcomes

    async def _read_on(self) -> None:
        while True:
            await self._desk.reads.arrival()
            await self._desk.reads.serve(self._at_once_max, self._answers)

    async def _answers(self, gets: Sequence[Get]) -> Sequence[ReadAnswer]:
        question = partial(read_points, gets=gets, acknowledged=self._reach.acknowledged)
        answers = await self._reach.answer(self._reach.reading, question)
        return [answers] * len(gets) if isinstance(answers, Failed) else answers

    async def _watch_on(self) -> None:
        """Finds out that the database serves again when nobody asks anything of it."""
        while True:
            for _ in range(_WATCHES_UNTIL_TOLD):
                await asyncio.sleep(_WATCH_EVERY_S)
                await self._reach.ask(partial(read_life, floors=False))
            await self.tell_deleted()


async def _nothing(_: Connection, __: int) -> None:
    """The last work: when it is answered, so is everything before it."""
