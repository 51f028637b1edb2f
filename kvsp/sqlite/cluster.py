"""One SQLite cluster: who waits for its writer and readers, and what they are answered.

The writer takes everything that waits into one transaction; a reader takes all waiting reads in one
thread hop. When the file is closed, and opened again, is decided in `served_file`.
"""

import sqlite3
from collections.abc import Sequence
from functools import partial

from kvsp.answers import ReadAnswer, ScanPart
from kvsp.desk import Desk
from kvsp.identity import Meta
from kvsp.large import LargeValues
from kvsp.limits import ClusterLimits
from kvsp.sqlite.blobs import BlobDirectory
from kvsp.sqlite.errors import CommitFailed
from kvsp.sqlite.large import FileBlobs
from kvsp.sqlite.lives import Lives
from kvsp.sqlite.opened import Opener
from kvsp.sqlite.reading import read_points, scan_names
from kvsp.sqlite.served_file import ServedFile
from kvsp.sqlite.thread import in_place
from kvsp.sqlite.transaction import Transactions, Work
from tandem.core.cluster_life import ClusterLife
from tandem.core.reply import Failed, Reason
from tandem.runtime.randomness import Entropy
from tandem.wire.scan_codec import Scan
from tandem.wire.storage_codec import Get


class SqliteCluster:
    """Serves one file; `start` before anything else. What is asked of it goes straight to the desk,
    and to its lives."""

    def __init__(
        self, opener: Opener, meta: Meta, blobs: BlobDirectory, entropy: Entropy,
        limits: ClusterLimits,
    ) -> None:  # fmt: skip
        self.name = meta.identity.cluster
        self._blobs = blobs
        self._readers = opener.readers
        self._at_once_max = limits.at_once_max
        self._desk: Desk[Work] = Desk(self.name, limits)
        stored = FileBlobs(blobs, self._desk.submit, opener.clock)
        self.large = LargeValues(stored, self._desk.one, entropy, limits)
        self._lives = Lives(
            meta.incarnation,
            self._desk.submit,
            deleted=opener.deleted,
            clock=opener.clock,
            entropy=entropy,
        )
        self._file = ServedFile(opener, meta, self._lives, entropy, self._desk)
        self.read, self.write = self._desk.read, self._desk.write
        self.raise_floor, self.purge = self._lives.raise_floor, self._lives.purge
        self.renew, self.purge_namespace = self._lives.renew, self._lives.purge_namespace

    @property
    def failure(self) -> Failed | None:
        """Why the file is not served at the moment."""
        return self._desk.shut

    async def start(self) -> None:
        """Opens the file and begins to serve. Raises sqlite3.Error."""
        await self._file.open(log_must_move=False)
        self._desk.employ("writer", self._write_on())
        for number in range(self._readers):
            self._desk.employ(f"reader-{number}", self._read_on(number))
        self._desk.employ("collector", self.large.collect_on())

    async def aclose(self) -> None:
        """Finishes the writes that wait, then lets go of the file."""
        await self._desk.aclose(lambda _: None)
        await self._file.aclose()
        self._blobs.close()

    async def scan(self, scan: Scan) -> ScanPart | Failed:
        """At most `scan.limit` names of this cluster."""
        served = self._file.served
        if isinstance(served, Failed):
            return served
        run = partial(scan_names, scan=scan, blob_exists=self._blobs.exists)
        try:
            return await in_place(served.scanner, run)
        except sqlite3.Error as error:
            return self._file.met(error)

    async def life(self, *, floors: bool = True) -> ClusterLife:
        """Which life it is in, as of its last commit."""
        failure, opened = self._desk.shut, self._file.opened
        if failure is None and opened is None:
            failure = Failed(Reason.ERROR, "its file is being opened again")
        held = opened.floors.published() if opened is not None and floors else {}
        text = failure.detail if failure else ""
        lives, commits = self._lives, self._file.commits
        return ClusterLife(self.name, lives.incarnation, commits, held, text, lives.opening)

    async def _write_on(self) -> None:
        while True:
            await self._desk.writes.arrival()
            await self._desk.writes.serve(self._at_once_max, self._outcomes)
            await self._file.trusted()

    async def _outcomes(self, works: Sequence[Work]) -> Sequence[object]:
        opened = self._file.opened
        assert opened is not None
        try:
            outcomes = await in_place(opened.writer, partial(_run, opened.transactions, works))
        except CommitFailed as error:
            return [self._file.commit_failed(error)] * len(works)
        except sqlite3.Error as error:
            return [self._file.met(error)] * len(works)
        self._file.commits = opened.transactions.commits
        return outcomes

    async def _read_on(self, number: int) -> None:
        while True:
            await self._desk.reads.arrival()
            await self._file.serving.wait()
            await self._desk.reads.serve(self._at_once_max, partial(self._answers, number))

    async def _answers(self, number: int, gets: Sequence[Get]) -> Sequence[ReadAnswer]:
        opened = self._file.opened
        assert opened is not None
        run = partial(read_points, gets=gets, floors=opened.floors.published())
        try:
            return await in_place(opened.readers[number], run)
        except sqlite3.Error as error:
            return [self._file.met(error)] * len(gets)


def _run(transactions: Transactions, works: Sequence[Work], _: sqlite3.Connection) -> list[object]:
    return transactions.run(works)
