"""One cluster in a PostgreSQL database: who waits for it, and what they are answered.

What waits for writing goes into one transaction, what waits for reading into one statement.
Nothing that another KVSP could change is remembered here, but for one number: the last transaction
that this process has acknowledged. A database that shows less has lost something, and is not served
any more before a restart.
"""

import asyncio
from asyncio import Future, Task
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import TypeVar, cast

from kvsp.cluster import Absent, ClusterLimits, InBlob, ReadAnswer, ScanPart
from kvsp.line import Line, at_once, fault, settle
from kvsp.postgres import collecting, transaction
from kvsp.postgres.connecting import Connection, Database
from kvsp.postgres.deleted import DeletedNamespaces
from kvsp.postgres.errors import FAILURES, CommitFailed, LostCommits, failed, may_run_again
from kvsp.postgres.large import LargeValues
from kvsp.postgres.places import Places
from kvsp.postgres.reading import Life, estimate_records, read_life, read_points, scan_names
from kvsp.postgres.transaction import Done, Step, Work
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
from tandem.core.reply import Failed, Reason, WriteReply
from tandem.core.version import Version
from tandem.runtime import logs
from tandem.runtime.clock import Clock
from tandem.runtime.randomness import Entropy
from tandem.wire.scan_codec import Scan
from tandem.wire.storage_codec import ClusterState, Get, LargePut, Put

_Answer = TypeVar("_Answer")
_ATTEMPTS = 3
_OTHER_PLACES = 3
"""Connections for listings, pieces of large values, and what operators ask."""
_WATCH_EVERY_S = 1.0
_WATCHES_UNTIL_TOLD = 60
_log = logs.get("kvsp.cluster")


class PostgresCluster:
    """Serves one database; `start` before anything else."""

    def __init__(
        self, name: str, database: Database, *, clock: Clock, entropy: Entropy,
        limits: ClusterLimits, readers: int, deleted: DeletedNamespaces,
    ) -> None:  # fmt: skip
        self.name = name
        self.failure: Failed | None = None
        """Why the database does not serve, as it was last asked."""
        self._limits = limits
        self._clock = clock
        self._entropy = entropy
        self._deleted = deleted
        self._readers = readers
        self._writing = Places(database, 1)
        self._reading = Places(database, readers)
        self._others = Places(database, _OTHER_PLACES)
        self._writes: Line[Work, object] = Line(limits.writes_waiting_max)
        self._reads: Line[Get, ReadAnswer] = Line(limits.reads_waiting_max)
        self._large = LargeValues(
            self._others, self._submit, clock=clock, entropy=entropy, limits=limits
        )
        self._acknowledged = 0
        self._closed: Failed | None = None
        self._tasks: list[Task[None]] = []

    def start(self) -> None:
        """Begins to serve."""
        self._own("writer", self._write_on())
        for number in range(self._readers):
            self._own(f"reader-{number}", self._read_on())
        self._own("collector", self._large.collect_on())
        self._own("watch", self._watch_on())

    async def aclose(self) -> None:
        """Finishes the writes that wait, then lets go of the database."""
        closing = Failed(Reason.UNREACHABLE, "KVSP is stopping")
        if self._closed is None:
            last = self._writes.append([_nothing])
            self._closed = closing
            await last
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._close(closing)
        for places in (self._writing, self._reading, self._others):
            await places.aclose()

    def read(self, gets: Sequence[Get]) -> Future[list[ReadAnswer]]:
        """Answers in the order of `gets`."""
        if self._closed is not None:
            return at_once(self._closed, len(gets))
        waiting = self._reads.add(gets)
        return waiting or at_once(Failed(Reason.OVERLOADED, "too many reads wait"), len(gets))

    def write(self, puts: Sequence[Put]) -> Future[list[WriteReply]]:
        """Answers in the order of `puts`, after the commit."""
        return cast(Future[list[WriteReply]], self._submit(puts))

    async def load(self, large: InBlob) -> bytes | Absent | Failed:
        """The envelope of a large record."""
        return await self._large.load(large)

    async def holds(self, blob: str) -> bool:
        """Whether the blob of a large record is there; one that cannot be asked for is taken to be:
        who asks for its pieces then is told why not."""
        try:
            return await self._large.blobs.holds(blob)
        except FAILURES as error:
            self._met(error)
            return True

    def pieces(self, blob: str) -> AsyncGenerator[bytes, None]:
        """The blob's bytes, unchecked."""
        return self._large.blobs.pieces(blob)

    async def write_large(
        self, put: LargePut, pieces: AsyncIterable[bytes | memoryview]
    ) -> WriteReply:
        """Like `write`, with the envelope outside the row."""
        return await self._large.write(put, pieces)

    async def collect(self) -> None:
        """Removes blobs that have been unused for an hour; done by itself from time to time."""
        await self._large.collect()

    async def scan(self, scan: Scan) -> ScanPart | Failed:
        """At most `scan.limit` names of this cluster."""
        return await self._ask(partial(scan_names, scan=scan))

    async def state(self) -> ClusterState:
        """What an operator wants to know."""

        async def asked(connection: Connection) -> tuple[Life, int]:
            life = await read_life(connection, floors=False)
            return life, await estimate_records(connection)

        match await self._ask(asked):
            case Failed() as why:
                return ClusterState(self.name, "", self._acknowledged, 0, str(why))
            case life, records:
                return ClusterState(self.name, life.incarnation, life.commits, records, "")

    async def life(self, *, floors: bool = True) -> ClusterLife:
        """Which life it is in: asked of the database, since other KVSPs write to it."""
        match await self._ask(partial(read_life, floors=floors)):
            case Failed() as why:
                return ClusterLife(self.name, "", self._acknowledged, failure=str(why))
            case Life(incarnation, commits, opening, held):
                return ClusterLife(self.name, incarnation, commits, held, "", opening)

    async def raise_floor(
        self, incarnation: str, span: Span, floor: Version
    ) -> FloorReply | Failed:
        """See `Cluster`."""
        step = partial(collecting.raise_floor, named=incarnation, span=span, floor=floor)
        return cast(FloorReply | Failed, await self._one(step))

    async def purge(
        self, incarnation: str, namespace: str, rows: Sequence[PurgeRow]
    ) -> Sequence[Removal | Failed]:
        """See `Cluster`."""
        step = partial(collecting.purge_rows, named=incarnation, namespace=namespace, rows=rows)
        outcome = await self._one(step)
        return (
            [outcome] * len(rows) if isinstance(outcome, Failed) else cast(list[Removal], outcome)
        )

    async def renew(self, renewal: Renewal) -> Renewed | Removal | Failed:
        """See `Cluster`."""
        step = partial(collecting.renew, renewal=renewal, random=self._entropy.token(16).hex())
        return cast(Renewed | Removal | Failed, await self._one(step))

    async def purge_namespace(
        self, namespace: str, limit: int
    ) -> NamespacePurge | Removal | Failed:
        """See `Cluster`."""
        step = partial(collecting.purge_namespace, namespace=namespace, limit=limit)
        return cast(NamespacePurge | Removal | Failed, await self._one(step))

    async def tell_deleted(self) -> None:
        """Tells the other clusters what this one refuses for ever."""

        async def asked(connection: Connection) -> list[str]:
            return [row[0] for row in await connection.fetch("select id from deleted_namespace")]

        known = await self._ask(asked)
        if not isinstance(known, Failed):
            await self._deleted.tell(known)

    async def refuse(self, namespaces: Sequence[str]) -> Failed | None:
        """Refuses these namespaces for ever, as another cluster does."""
        return await self._ask(partial(transaction.note_deleted, namespaces=namespaces))

    async def _one(self, step: Step) -> object:
        [outcome] = await self._submit([step])
        return outcome

    def _submit(self, works: Sequence[Work]) -> Future[list[object]]:
        if self._closed is not None:
            return at_once(self._closed, len(works))
        waiting = self._writes.add(works)
        return waiting or at_once(Failed(Reason.OVERLOADED, "too many writes wait"), len(works))

    async def _ask(self, question: Callable[[Connection], Awaitable[_Answer]]) -> _Answer | Failed:
        """An answer from the places for everything that is no line's."""
        if self._closed is not None:
            return self._closed
        try:
            answer = await _tried(self._others, question)
        except FAILURES as error:
            return self._met(error)
        self._served()
        return answer

    async def _write_on(self) -> None:
        while True:
            await self._writes.arrival()
            batches = self._writes.take(self._limits.at_once_max)
            works = [work for batch in batches for work in batch.asked]
            try:
                outcomes = await self._outcomes(works)
            except BaseException as error:
                settle(batches, [fault(error)] * len(works))
                raise
            settle(batches, outcomes)

    async def _outcomes(self, works: Sequence[Work]) -> list[object]:
        try:
            done = await self._committed(works)
        except CommitFailed as error:
            commit = Failed(Reason.ERROR, f"the commit failed: {error}")
            _log.error("commit_failed", cluster=self.name, error=str(error))
            return [commit] * len(works)
        except LostCommits as error:
            return [self._lost(error)] * len(works)
        except FAILURES as error:
            met = self._met(error)
            return [Failed(met.reason, f"nothing was written: {met.detail}")] * len(works)
        self._served()
        self._acknowledged = max(self._acknowledged, done.commits)
        if done.deleted:
            await self._deleted.tell(done.deleted)
        return done.outcomes

    async def _committed(self, works: Sequence[Work]) -> Done:
        return await _tried(
            self._writing,
            partial(
                transaction.run, works=works, clock=self._clock, acknowledged=self._acknowledged
            ),
        )

    async def _read_on(self) -> None:
        while True:
            await self._reads.arrival()
            batches = self._reads.take(self._limits.at_once_max)
            gets = [get for batch in batches for get in batch.asked]
            try:
                answers = await self._answers(gets)
            except BaseException as error:
                settle(batches, [fault(error)] * len(gets))
                raise
            settle(batches, answers)

    async def _answers(self, gets: Sequence[Get]) -> Sequence[ReadAnswer]:
        reading = partial(read_points, gets=gets, acknowledged=self._acknowledged)
        try:
            answers = await _tried(self._reading, reading)
        except LostCommits as error:
            return [self._lost(error)] * len(gets)
        except FAILURES as error:
            return [self._met(error)] * len(gets)
        self._served()
        return answers

    async def _watch_on(self) -> None:
        """Finds out that the database serves again when nobody asks anything of it."""
        while True:
            for _ in range(_WATCHES_UNTIL_TOLD):
                await asyncio.sleep(_WATCH_EVERY_S)
                await self._ask(partial(read_life, floors=False))
            await self.tell_deleted()

    def _met(self, error: BaseException) -> Failed:
        """The answer to what ended in `error`."""
        answer = failed(error)
        if answer.reason is Reason.UNREACHABLE:
            if self.failure is None:
                _log.error("cluster_unreachable", cluster=self.name, failure=answer.detail)
            self.failure = answer
        return answer

    def _served(self) -> None:
        if self.failure is not None and self._closed is None:
            _log.info("cluster_reached_again", cluster=self.name)
            self.failure = None

    def _lost(self, error: LostCommits) -> Failed:
        lost = Failed(Reason.ERROR, str(error))
        if self._closed is None:
            _log.error("cluster_lost_commits", cluster=self.name, error=str(error))
            self._close(lost)
        return lost

    def _close(self, why: Failed) -> None:
        """Answers everybody so, those who wait and those who come."""
        self._closed = self.failure = why
        self._writes.answer_all(why)
        self._reads.answer_all(why)

    def _own(self, name: str, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work, name=f"{self.name}-{name}")
        task.add_done_callback(self._stopped)
        self._tasks.append(task)

    def _stopped(self, task: Task[None]) -> None:
        if not task.cancelled():
            error = task.exception()
            _log.error(
                "cluster_stopped", cluster=self.name, task=task.get_name(), error=repr(error)
            )
            self._close(Failed(Reason.ERROR, f"{task.get_name()} ended: {error!r}"))


async def _tried(places: Places, work: Callable[[Connection], Awaitable[_Answer]]) -> _Answer:
    """What `work` returns, done again a few times when it came to nothing for no fault of its own.
    Raises one of FAILURES, and what `work` raises."""
    for _ in range(_ATTEMPTS - 1):
        try:
            async with places.one() as connection:
                return await work(connection)
        except FAILURES as error:
            if not may_run_again(error):
                raise
    async with places.one() as connection:
        return await work(connection)


async def _nothing(_: Connection, __: int) -> None:
    """The last work: when it is answered, so is everything before it."""
