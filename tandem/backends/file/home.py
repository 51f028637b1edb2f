"""The embedded object home: stands on the S3 side where no S3 store is to be had.

Any number of processes of one machine may have the file open. Small reads, large bodies, listings
and writes each have a connection, so none waits for another kind. Bodies of full size lie in files
of their own (`body_files`).
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, cast

from tandem.backends.file.ahead_file import AheadFile
from tandem.backends.file.body_files import FILED_ABOVE_BYTES, BodyFiles
from tandem.backends.file.exact_changes import Change, Outcome, Purge, change
from tandem.backends.file.lane import Answer, Ask, Call, Lane, LaneBounds
from tandem.backends.file.objects import Put, name_of, write
from tandem.backends.file.reading import FileReads
from tandem.backends.file.schema import check_place, is_new, prepare_reader, prepare_writer
from tandem.backends.file.turn import Turn
from tandem.backends.group_replies import reply_alone, reply_for, reply_into
from tandem.backends.port import Gets, Got, Heal, Needed, Puts, Replied, ScanPage
from tandem.backends.sqlite_place import PlacedConnection, connected, number_of
from tandem.core.key import Key
from tandem.core.limits import CLOCK_SKEW_MAX_US, KIB, MIB
from tandem.core.record import Record, Stamp
from tandem.core.removal import NamespacePurge, Removal
from tandem.core.reply import Failed, ReadReply, Reason, Side, WriteReply
from tandem.errors import ConfigurationError
from tandem.runtime.clock import Clock
from tandem.runtime.passing import may_pass

_CHANGES: Final = LaneBounds(waiting_max=10_000, group_max=256)
_WRITES: Final = LaneBounds(
    waiting_max=50_000, group_max=1_000, waiting_bytes_max=256 * MIB, group_bytes_max=4 * MIB
)
_FILED: Final = LaneBounds(waiting_max=1_000, group_max=1, waiting_bytes_max=256 * MIB)
_TIDYING: Final = LaneBounds(waiting_max=1, group_max=1)
_TIDYING_S: Final = 60.0
_PUT_BYTES: Final = 4 * KIB
"""What a put weighs beside its envelope, since each one writes a page: so a thousand small ones
make a group, however they were asked."""


class _Filed(NamedTuple):
    """A put whose body goes into a file, and the file where it may lie already."""

    put: Put
    ahead: AheadFile | None


class FileHome:
    """Objects in one SQLite file; made by `FileHome.open`. Its clock is the machine's."""

    def __init__(self, path: Path, turn: Turn, clock: Clock) -> None:
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._turn = turn
        self._number: int | None = None
        self.reached = 0
        """See `tandem.backends.port.ReachedAnew`."""
        self._clock = clock
        self._closed = False
        self._files = BodyFiles(path, clock)
        reader = partial(connected, path, self._prepare_reader)
        self._reads = FileReads(reader, self._files, clock)
        writer = partial(connected, path, self._prepare_writer)
        self._writes = Lane(writer, self._write, self._settle, _WRITES)
        self._filed = Lane(writer, self._write_filed, self._settle, _FILED)
        self._changes = Lane(writer, self._change, self._settle, _CHANGES)
        self._tidying = Lane(writer, self._tidy, self._settle, _TIDYING)

    @classmethod
    async def open(cls, path: Path, clock: Clock) -> "FileHome":
        """The home in the file at `path`, made if there is none; its directory must exist.

        Raises ConfigurationError when the file cannot be written or is not one of ours.
        """
        try:
            check_place(path)
            home = cls(path, Turn(path), clock)
            try:
                await home._writes.do(home._files.remove_unnamed)
            except BaseException:
                await home.aclose()
                raise
        except (sqlite3.Error, OSError) as error:
            mistake = f"the object file {path} cannot be used: {error}"
            raise ConfigurationError([mistake], passes=may_pass(error)) from error
        return home

    @property
    def side(self) -> Side:
        return Side.S3

    @property
    def clock_skew_max_us(self) -> int:
        return CLOCK_SKEW_MAX_US

    def get(self, key: Key, deadline_s: float, needed: Needed = None) -> asyncio.Future[ReadReply]:
        future: asyncio.Future[ReadReply] = asyncio.get_running_loop().create_future()
        self.get_all([(key, needed)], deadline_s, reply_into(future))
        return future

    def get_all(self, gets: Gets, deadline_s: float, got: Got) -> None:
        self._reads.get_all(gets, deadline_s, got)

    def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> asyncio.Future[WriteReply]:
        put = Put(name_of(key), record, heal)
        if len(record.envelope) > FILED_ABOVE_BYTES:
            return self._put_filed(put, deadline_s)
        future: asyncio.Future[WriteReply] = asyncio.get_running_loop().create_future()
        self._put([put], deadline_s, reply_into(future))
        return future

    def put_all(self, puts: Puts, deadline_s: float, replied: Replied) -> None:
        group = [Put(name_of(key), record, None) for key, record in puts]
        large = [at for at, put in enumerate(group) if len(put.record.envelope) > FILED_ABOVE_BYTES]
        if not large:
            self._put(group, deadline_s, replied)
            return
        for at in large:
            reply_alone(self._put_filed(group[at], deadline_s), at, replied)
        small = sorted(set(range(len(group))) - set(large))
        if small:
            part = [group[at] for at in small]
            self._put(part, deadline_s, reply_for(small, replied))

    def _put(self, puts: Sequence[Put], deadline_s: float, replied: Replied) -> None:
        size = sum([len(put.record.envelope) for put in puts]) + _PUT_BYTES * len(puts)
        written = self._writes.ask(puts, deadline_s, size)
        written.add_done_callback(partial(_hand_over, len(puts), replied))

    def _put_filed(self, put: Put, deadline_s: float) -> asyncio.Future[WriteReply]:
        ahead = self._files.ahead.taken(put.record.digest)
        written = self._filed.ask(_Filed(put, ahead), deadline_s, len(put.record.envelope))
        if ahead is not None:
            written.add_done_callback(lambda _: ahead.drop())
        return written

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        return await self._reads.scan(namespace, after, prefix, limit, deadline_s)

    def ahead(self) -> AbstractContextManager[AheadFile | None]:
        return self._files.ahead.one()

    async def incarnation(self, deadline_s: float) -> str | Failed:
        number = number_of(self._path)
        return Failed(Reason.ERROR, "the file is gone") if number is None else f"{number:x}"

    @property
    def removes(self) -> bool:
        return True

    async def remove(self, key: Key, seen: Stamp, deadline_s: float) -> Removal | Failed:
        asked = Change(name_of(key), seen, None, 0)
        return cast(Removal | Failed, await self._changes.ask(asked, deadline_s))

    async def replace(
        self, key: Key, seen: Stamp | None, record: Record, read_at_us: int, deadline_s: float
    ) -> Removal | Failed:
        asked = Change(name_of(key), seen, record, read_at_us)
        return cast(Removal | Failed, await self._changes.ask(asked, deadline_s))

    async def purge_namespace(
        self, namespace: str, limit: int, deadline_s: float
    ) -> NamespacePurge | Removal | Failed:
        return await self._changes.ask(Purge(namespace, limit), deadline_s)

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._reads.aclose()
        for lane in (self._writes, self._filed, self._changes, self._tidying):
            await lane.aclose()
        self._files.ahead.close()
        self._turn.close()

    def _settle(self, call: Call[Ask, Answer], reply: Answer) -> None:
        """Answers a change; what it has left of files is removed afterwards."""
        call.answer(reply)
        if self._files.untidy and not self._closed:
            self._tidying.ask(None, _TIDYING_S)

    def _tidy(self, connection: sqlite3.Connection, _: Sequence[None]) -> Sequence[None]:
        self._files.tidy(connection, self._turn)
        return [None]

    def _write(
        self, connection: sqlite3.Connection, asks: Sequence[Sequence[Put]]
    ) -> list[Sequence[WriteReply]]:
        puts = [put for ask in asks for put in ask]
        with self._turn:
            replies = iter(write(connection, puts, self._log, self._files, self._clock))
        return [list(islice(replies, len(ask))) for ask in asks]

    def _write_filed(
        self, connection: sqlite3.Connection, asks: Sequence[_Filed]
    ) -> Sequence[WriteReply]:
        """Writes the files first: other processes have their turn meanwhile."""
        write_file = self._files.write
        filed = [put._replace(file=write_file(put.record.envelope, file)) for put, file in asks]
        try:
            with self._turn:
                return write(connection, filed, self._log, self._files, self._clock)
        except BaseException:
            self._files.doubt(put.file for put in filed if put.file is not None)
            raise

    def _change(
        self, connection: sqlite3.Connection, asked: Sequence[Change | Purge]
    ) -> list[Outcome]:
        with self._turn:
            return change(connection, asked, self._files, self._clock)

    def _prepare_reader(self, connection: PlacedConnection) -> None:
        if is_new(connection):  # the one that was here was removed while others had it open
            self._prepare_writer(connection)
        self._note_file(connection)
        prepare_reader(connection)

    def _note_file(self, connection: PlacedConnection) -> None:
        """Before anything is answered out of it."""
        if connection.number != self._number:
            self._number = connection.number
            self.reached += 1

    def _prepare_writer(self, connection: PlacedConnection) -> None:
        self._note_file(connection)
        with self._turn:
            prepare_writer(connection)


def _hand_over(
    count: int, replied: Replied, written: asyncio.Future[Sequence[WriteReply] | Failed]
) -> None:
    """Gives a group its replies."""
    replies = written.result()
    replied(list(enumerate([replies] * count if isinstance(replies, Failed) else replies)))
