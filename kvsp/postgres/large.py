"""Large values of one cluster: written before their rows, read after them, collected if unused.

The protocol is that of the SQLite engine: a name is entered into blob_pending before the first
piece, the row's transaction consumes the entry and fails if it is gone, and the collector takes
entries that nobody consumed. Here one KVSP at a time collects.
"""

import asyncio
from asyncio import Future
from collections.abc import AsyncIterable, Callable, Sequence
from functools import partial
from typing import Final

from kvsp.cluster import Absent, ClusterLimits, InBlob
from kvsp.postgres.blobs import BlobPieces
from kvsp.postgres.connecting import Connection
from kvsp.postgres.errors import FAILURES, failed
from kvsp.postgres.places import Places
from kvsp.postgres.transaction import Work
from kvsp.rules import UNUSED_BLOB_LIFE_US, Held, LargeRow, Write, verdict
from tandem.core.reply import Failed, Reason, WriteReply
from tandem.core.version import NO_VERSION
from tandem.runtime import logs
from tandem.runtime.clock import Clock
from tandem.runtime.randomness import Entropy
from tandem.wire.storage_codec import LargePut

_COLLECT_EVERY_S: Final = 60.0
_COLLECTED_AT_ONCE_MAX: Final = 20
_COLLECTING_LOCK: Final = 0x544B5654
_MET: Final = """
select version, digest, blob is null or exists (
    select 1 from blob_piece where blob_piece.blob = record.blob and number = 0)
from record where namespace = $1 and name = $2
"""
_TAKE: Final = """
with taken as (delete from blob_pending where entered_us <= $1 returning blob)
insert into blob_retired select blob, 0 from taken
"""
_log = logs.get("kvsp.blobs")


class LargeValues:
    """Writes, loads and collects blobs; `submit` puts works into the cluster's transactions."""

    def __init__(
        self,
        places: Places,
        submit: Callable[[Sequence[Work]], Future[list[object]]],
        *,
        clock: Clock,
        entropy: Entropy,
        limits: ClusterLimits,
    ) -> None:
        self.blobs = BlobPieces(places)
        self._places = places
        self._submit = submit
        self._clock = clock
        self._entropy = entropy
        self._at_once = asyncio.Semaphore(limits.large_at_once_max)
        self._waiting = 0
        self._waiting_max = limits.large_waiting_max

    async def write(self, put: LargePut, pieces: AsyncIterable[bytes | memoryview]) -> WriteReply:
        """Stores the put with its envelope in a blob, unless its row is newer already."""
        if self._waiting >= self._waiting_max:
            return Failed(Reason.OVERLOADED, "too many large values wait")
        self._waiting += 1
        try:
            async with self._at_once:
                return await self._write(put, pieces)
        finally:
            self._waiting -= 1

    async def _write(self, put: LargePut, pieces: AsyncIterable[bytes | memoryview]) -> WriteReply:
        blob = self._entropy.token(16).hex()
        entered = await self._one(partial(_enter, blob=blob, put=put))
        if entered is not None:
            return entered
        try:
            if not await self.blobs.write(blob, pieces, put.record.digest):
                return Failed(Reason.ERROR, "the bytes that came do not match their digest")
        except FAILURES as error:
            return failed(error)
        outcome = await self._one(LargeRow(put, blob))
        assert outcome is not None
        return outcome

    async def _one(self, work: Work) -> WriteReply | None:
        [outcome] = await self._submit([work])
        assert outcome is None or isinstance(outcome, WriteReply)
        return outcome

    async def load(self, large: InBlob) -> bytes | Absent | Failed:
        """The envelope, checked; a row without its blob is a missing record.

        It is one without a floor: there is a row, so nobody deleted the key for good.
        """
        try:
            found = await self.blobs.read(large.blob, large.digest)
        except FAILURES as error:
            return failed(error)
        return Absent(NO_VERSION) if found is None else found

    async def collect_on(self) -> None:
        """Collects from time to time, until cancelled."""
        while True:
            await asyncio.sleep(_COLLECT_EVERY_S)
            try:
                await self.collect()
            except FAILURES as error:
                _log.warning("blobs_not_collected", error=str(error))

    async def collect(self) -> None:
        """Removes blobs that have been unused for an hour, unless another KVSP is doing so. Raises
        one of FAILURES."""
        while True:
            async with self._places.one() as connection, connection.transaction():
                if not await connection.fetchval(
                    "select pg_try_advisory_xact_lock($1)", _COLLECTING_LOCK
                ):
                    return
                if not await _collect_some(connection, self._clock.now_us()):
                    return


async def _enter(
    connection: Connection, now_us: int, *, blob: str, put: LargePut
) -> WriteReply | None:
    row = await connection.fetchrow(_MET, put.key.namespace, put.raw_name)
    if row is not None:
        outcome = verdict(put, Held(*row), NO_VERSION)
        if not isinstance(outcome, Write):
            return outcome
    await connection.execute("insert into blob_pending values ($1, $2)", blob, now_us)
    return None


async def _collect_some(connection: Connection, now_us: int) -> bool:
    """Whether more may be left."""
    old_us = now_us - UNUSED_BLOB_LIFE_US
    await connection.execute(_TAKE, old_us)
    await connection.execute(
        "update blob_retired set retired_us = $1 where retired_us is null", now_us
    )
    rows = await connection.fetch(
        "select blob from blob_retired where retired_us <= $1 limit $2",
        old_us, _COLLECTED_AT_ONCE_MAX,
    )  # fmt: skip
    due = [row[0] for row in rows]
    await connection.execute("delete from blob_piece where blob = any($1::text[])", due)
    await connection.execute("delete from blob_retired where blob = any($1::text[])", due)
    return len(due) == _COLLECTED_AT_ONCE_MAX
