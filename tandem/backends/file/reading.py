"""Reading the file: small records in groups, large bodies and listings each behind their own line,
so that none waits for another kind."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from tandem.backends.file.body_files import BodyFiles
from tandem.backends.file.lane import Call, Lane, LaneBounds
from tandem.backends.file.objects import LargeBody, name_of, read, read_large, scan
from tandem.backends.group_replies import reply_alone
from tandem.backends.port import Gets, Got, Needed, ScanPage
from tandem.backends.sqlite_place import PlacedConnection
from tandem.core.key import Key
from tandem.core.reply import Failed, Glimpsed, ReadReply
from tandem.runtime.clock import Clock

_READS: Final = LaneBounds(
    waiting_max=50_000, group_max=256, waiting_bytes_max=50_000, group_bytes_max=256
)
"""A read weighs one: its body is not known before."""
_BODIES: Final = LaneBounds(waiting_max=1_000, group_max=1)
_LISTINGS: Final = LaneBounds(waiting_max=1_000, group_max=1)
_Small: TypeAlias = ReadReply | LargeBody


class _LargeRead(NamedTuple):
    """Where the reply goes that finds the body, by the loop's time `ends_at_s` at the latest."""

    ends_at_s: float
    got: Got


class _Listing(NamedTuple):
    namespace: str
    after: str
    prefix: str
    limit: int


class FileReads:
    """All reads of one process."""

    def __init__(
        self, reader: Callable[[], PlacedConnection], files: BodyFiles, clock: Clock
    ) -> None:
        self._files = files
        self._clock = clock
        self._reads = Lane(reader, self._read, self._settle, _READS)
        self._bodies = Lane(reader, self._read_large, Call[Key, ReadReply].answer, _BODIES)
        self._listings = Lane(reader, self._scan, Call[_Listing, ScanPage].answer, _LISTINGS)

    def get_all(self, gets: Gets, deadline_s: float, got: Got) -> None:
        """See `tandem.backends.port.AnswersGroups`."""
        large = _LargeRead(asyncio.get_running_loop().time() + deadline_s, got)
        answered = self._reads.ask(gets, deadline_s, len(gets))
        answered.add_done_callback(partial(self._got, gets, large))

    async def scan(
        self, namespace: str, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        """See `tandem.backends.port.Backend`."""
        return await self._listings.ask(_Listing(namespace, after, prefix, limit), deadline_s)

    async def aclose(self) -> None:
        """Ends the lines and lets go of the file."""
        for lane in (self._reads, self._bodies, self._listings):
            await lane.aclose()

    def _got(
        self, gets: Gets, large: _LargeRead, answered: asyncio.Future[Sequence[_Small] | Failed]
    ) -> None:
        """Gives a group its replies; large bodies come by themselves."""
        replies = answered.result()
        if isinstance(replies, Failed):
            replies = [replies] * len(gets)
        ready: list[tuple[int, ReadReply]] = []
        for position, reply in enumerate(replies):
            if isinstance(reply, LargeBody):
                self._fetch(gets[position][0], position, large)
            else:
                ready.append((position, reply))
        if ready:
            large.got(ready)

    def _fetch(self, key: Key, position: int, large: _LargeRead) -> None:
        future: asyncio.Future[ReadReply] = asyncio.get_running_loop().create_future()
        reply_alone(future, position, large.got)
        self._bodies.submit(Call(key, future, large.ends_at_s))

    def _settle(self, call: Call[Gets, Sequence[_Small]], replies: Sequence[_Small]) -> None:
        call.answer([_judged(*each) for each in zip(replies, call.ask, strict=True)])

    def _read(self, connection: sqlite3.Connection, asks: Sequence[Gets]) -> list[Sequence[_Small]]:
        names = [name_of(key) for gets in asks for key, _ in gets]
        replies = iter(read(connection, names, self._clock))
        return [list(islice(replies, len(gets))) for gets in asks]

    def _read_large(self, connection: sqlite3.Connection, keys: Sequence[Key]) -> list[ReadReply]:
        return [read_large(connection, name_of(key), self._files, self._clock) for key in keys]

    def _scan(self, connection: sqlite3.Connection, asks: Sequence[_Listing]) -> list[ScanPage]:
        return [
            scan(connection, ask.namespace, ask.after, ask.prefix, ask.limit, self._clock)
            for ask in asks
        ]


def _judged(reply: _Small, get: tuple[Key, Needed]) -> _Small:
    """The reply; of a large body that nobody needs any more, what is known without it."""
    _, needed = get
    if isinstance(reply, LargeBody) and needed is not None and not needed():
        return Glimpsed(reply.version, reply.etag, reply.home_time_us)
    return reply
