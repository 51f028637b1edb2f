"""One SQLite cluster: who waits for its writer and readers, and what they are answered.

The writer takes everything that waits into one transaction; a reader takes all waiting reads in one
thread hop. When the file is closed, and opened again, is decided in `served_file`.
"""

import asyncio
import sqlite3
from asyncio import Future, Task
from collections.abc import AsyncGenerator, AsyncIterable, Coroutine, Sequence
from functools import partial
from typing import cast

from kvsp.cluster import Absent, ClusterLimits, InBlob, ReadAnswer, ScanPart
from kvsp.identity import Meta
from kvsp.line import Line, at_once, fault, settle
from kvsp.sqlite.blobs import BlobDirectory
from kvsp.sqlite.errors import CommitFailed
from kvsp.sqlite.large import LargeValues
from kvsp.sqlite.lives import Lives
from kvsp.sqlite.opened import Opened, Opener
from kvsp.sqlite.reading import estimate_records, read_points, scan_names
from kvsp.sqlite.served_file import ServedFile
from kvsp.sqlite.transaction import Transactions, Work
from tandem.backends.sqlite_thread import on_thread
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
from tandem.runtime.randomness import Entropy
from tandem.wire.scan_codec import Scan
from tandem.wire.storage_codec import ClusterState, Get, LargePut, Put

_log = logs.get("kvsp.cluster")


class SqliteCluster:
    """Serves one file; `start` before anything else."""

    def __init__(
        self, opener: Opener, meta: Meta, blobs: BlobDirectory, entropy: Entropy,
        limits: ClusterLimits,
    ) -> None:  # fmt: skip
        self.name = meta.identity.cluster
        self._blobs = blobs
        self._readers = opener.readers
        self._limits = limits
        self._writes: Line[Work, object] = Line(limits.writes_waiting_max)
        self._reads: Line[Get, ReadAnswer] = Line(limits.reads_waiting_max)
        self._large = LargeValues(
            blobs,
            self._submit,
            clock=opener.clock,
            entropy=entropy,
            at_once_max=limits.large_at_once_max,
            waiting_max=limits.large_waiting_max,
        )
        self._lives = Lives(
            meta.incarnation,
            self._submit,
            deleted=opener.deleted,
            clock=opener.clock,
            entropy=entropy,
        )
        self._file = ServedFile(opener, meta, self._lives, entropy, self._answer_all)
        self._tasks: list[Task[None]] = []

    @property
    def failure(self) -> Failed | None:
        """Why the file is not served at the moment."""
        return self._file.failure

    async def start(self) -> None:
        """Opens the file and begins to serve. Raises sqlite3.Error."""
        await self._file.open(log_must_move=False)
        self._own("writer", self._write_on())
        for number in range(self._readers):
            self._own(f"reader-{number}", self._read_on(number))
        self._own("collector", self._large.collect_on())

    async def aclose(self) -> None:
        """Finishes the writes that wait, then lets go of the file."""
        closing = Failed(Reason.UNREACHABLE, "KVSP is stopping")
        if self._file.failure is None:
            last = self._writes.append([lambda _: None])
            self._file.failure = closing
            await last
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._file.fail(closing)
        await self._file.aclose()
        self._blobs.close()

    def read(self, gets: Sequence[Get]) -> Future[list[ReadAnswer]]:
        """Answers in the order of `gets`."""
        if self._file.failure is not None:
            return at_once(self._file.failure, len(gets))
        waiting = self._reads.add(gets)
        return waiting or at_once(Failed(Reason.OVERLOADED, "too many reads wait"), len(gets))

    def write(self, puts: Sequence[Put]) -> Future[list[WriteReply]]:
        """Answers in the order of `puts`, after the commit."""
        return cast(Future[list[WriteReply]], self._submit(puts))

    async def load(self, large: InBlob) -> bytes | Absent | Failed:
        """The envelope of a large record."""
        return await self._large.load(large)

    async def holds(self, blob: str) -> bool:
        """Whether the blob of a large record is there."""
        return await self._blobs.holds(blob)

    def pieces(self, blob: str) -> AsyncGenerator[bytes, None]:
        """The blob's bytes, unchecked."""
        return self._blobs.pieces(blob)

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
        served = self._file.served
        if isinstance(served, Failed):
            return served
        run = partial(scan_names, scan=scan, blob_exists=self._blobs.exists)
        try:
            return await on_thread(served.scanner, run)
        except sqlite3.Error as error:
            return self._file.met(error)

    async def state(self) -> ClusterState:
        """What an operator wants to know."""
        records, failure, served = 0, self._file.failure, self._file.served
        if isinstance(served, Opened):
            try:
                records = await on_thread(served.scanner, estimate_records)
            except sqlite3.Error as error:
                failure = self._file.met(error)
        text = failure.detail if failure else ""
        return ClusterState(self.name, self._lives.incarnation, self._file.commits, records, text)

    async def life(self, *, floors: bool = True) -> ClusterLife:
        """Which life it is in, as of its last commit."""
        failure, opened = self._file.failure, self._file.opened
        if failure is None and opened is None:
            failure = Failed(Reason.ERROR, "its file is being opened again")
        held = opened.floors.published() if opened is not None and floors else {}
        text = failure.detail if failure else ""
        lives, commits = self._lives, self._file.commits
        return ClusterLife(self.name, lives.incarnation, commits, held, text, lives.opening)

    async def raise_floor(
        self, incarnation: str, span: Span, floor: Version
    ) -> FloorReply | Failed:
        """See `Cluster`."""
        return await self._lives.raise_floor(incarnation, span, floor)

    async def purge(
        self, incarnation: str, namespace: str, rows: Sequence[PurgeRow]
    ) -> Sequence[Removal | Failed]:
        """See `Cluster`."""
        return await self._lives.purge(incarnation, namespace, rows)

    async def renew(self, renewal: Renewal) -> Renewed | Removal | Failed:
        """See `Cluster`."""
        return await self._lives.renew(renewal)

    async def purge_namespace(
        self, namespace: str, limit: int
    ) -> NamespacePurge | Removal | Failed:
        """See `Cluster`."""
        return await self._lives.purge_namespace(namespace, limit)

    def _submit(self, works: Sequence[Work]) -> Future[list[object]]:
        if self._file.failure is not None:
            return at_once(self._file.failure, len(works))
        waiting = self._writes.add(works)
        return waiting or at_once(Failed(Reason.OVERLOADED, "too many writes wait"), len(works))

    async def _write_on(self) -> None:
        while True:
            await self._writes.arrival()
            batches = self._writes.take(self._limits.at_once_max)
            works = [work for batch in batches for work in batch.asked]
            opened = self._file.opened
            assert opened is not None
            try:
                outcomes = await on_thread(opened.writer, partial(_run, opened.transactions, works))
                self._file.commits = opened.transactions.commits
            except CommitFailed as error:
                self._file.met(error.error)
                failed = Failed(Reason.ERROR, f"the commit failed: {error}")
                settle(batches, [failed] * len(works))
                await self._file.open_again(failed, log_must_move=not error.disk_full)
            except sqlite3.Error as error:
                settle(batches, [self._file.met(error)] * len(works))
            except BaseException as error:
                settle(batches, [fault(error)] * len(works))
                raise
            else:
                settle(batches, outcomes)

    async def _read_on(self, number: int) -> None:
        while True:
            await self._reads.arrival()
            await self._file.serving.wait()
            batches = self._reads.take(self._limits.at_once_max)
            gets = [get for batch in batches for get in batch.asked]
            opened = self._file.opened
            assert opened is not None
            run = partial(read_points, gets=gets, floors=opened.floors.published())
            try:
                answers = await on_thread(opened.readers[number], run)
            except sqlite3.Error as error:
                settle(batches, [self._file.met(error)] * len(gets))
            except BaseException as error:
                settle(batches, [fault(error)] * len(gets))
                raise
            else:
                settle(batches, answers)

    def _answer_all(self, failed: Failed) -> None:
        self._writes.answer_all(failed)
        self._reads.answer_all(failed)

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
            self._file.fail_for_good(Failed(Reason.ERROR, f"{task.get_name()} ended: {error!r}"))


def _run(transactions: Transactions, works: Sequence[Work], _: sqlite3.Connection) -> list[object]:
    return transactions.run(works)
