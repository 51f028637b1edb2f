"""Large values of one cluster: written before their rows, read after them, collected if unused.

A blob's name is entered into blob_pending before the blob is written. The row's transaction
consumes the entry and fails if it is gone; the collector takes entries that nobody consumed, and
only then their blobs. So a blob in use is never removed and a blob without use never stays. A
replaced blob lives an hour longer, for readers that hold its name.
"""

import asyncio
import sqlite3
from asyncio import Future
from collections.abc import AsyncIterable, Callable, Sequence
from functools import partial
from typing import Final

from kvsp.cluster import Absent, InBlob
from kvsp.rules import UNUSED_BLOB_LIFE_US, Held, LargeRow, Write, verdict
from kvsp.sqlite.blobs import BlobDirectory
from kvsp.sqlite.new_blob import OtherBytes
from kvsp.sqlite.transaction import Work
from tandem.core.reply import Failed, Reason, WriteReply
from tandem.core.version import NO_VERSION
from tandem.runtime import logs
from tandem.runtime.clock import Clock
from tandem.runtime.randomness import Entropy
from tandem.wire.storage_codec import LargePut

_COLLECT_EVERY_S: Final = 60.0
_COLLECTED_AT_ONCE_MAX: Final = 1_000

_log = logs.get("kvsp.blobs")


class LargeValues:
    """Writes, loads and collects blobs; `submit` puts works into the cluster's transactions."""

    def __init__(
        self,
        blobs: BlobDirectory,
        submit: Callable[[Sequence[Work]], Future[list[object]]],
        *,
        clock: Clock,
        entropy: Entropy,
        at_once_max: int,
        waiting_max: int,
    ) -> None:
        self._blobs = blobs
        self._submit = submit
        self._clock = clock
        self._entropy = entropy
        self._at_once = asyncio.Semaphore(at_once_max)
        self._waiting = 0
        self._waiting_max = waiting_max

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
        entered = await self._one(partial(self._enter, blob, put))
        if entered is not None:
            return entered
        try:
            await self._blobs.write(blob, pieces, put.record.digest)
        except OtherBytes:
            return Failed(Reason.ERROR, "the bytes that came do not match their digest")
        except OSError as error:
            return Failed(Reason.ERROR, f"the value could not be written: {error}")
        outcome = await self._one(LargeRow(put, blob))
        assert outcome is not None
        return outcome

    async def _one(self, work: Work) -> WriteReply | None:
        [outcome] = await self._submit([work])
        assert outcome is None or isinstance(outcome, WriteReply)
        return outcome

    def _enter(self, blob: str, put: LargePut, connection: sqlite3.Connection) -> WriteReply | None:
        row = connection.execute(
            "select version, digest, blob from record where namespace = ? and name = ?",
            (put.key.namespace, put.raw_name),
        ).fetchone()
        if row is not None:
            version, digest, held = row
            whole = held is None or self._blobs.exists(held)
            outcome = verdict(put, Held(version, digest, whole), NO_VERSION)
            if not isinstance(outcome, Write):
                return outcome
        connection.execute("insert into blob_pending values (?, ?)", (blob, self._clock.now_us()))
        return None

    async def load(self, large: InBlob) -> bytes | Absent | Failed:
        """The envelope, checked; a row without its blob is a missing record.

        It is one without a floor: there is a row, so nobody deleted the key for good.
        """
        try:
            found = await self._blobs.read(large.blob, large.digest)
        except OSError as error:
            return Failed(Reason.ERROR, f"the value could not be read: {error}")
        return Absent(NO_VERSION) if found is None else found

    async def collect_on(self) -> None:
        """Collects from time to time, until cancelled."""
        while True:
            await asyncio.sleep(_COLLECT_EVERY_S)
            try:
                await self.collect()
            except OSError as error:
                _log.warning("blobs_not_collected", error=str(error))

    async def collect(self) -> None:
        """Removes blobs that have been unused for an hour. Raises OSError."""
        [due] = await self._submit([self._take_unused])
        if not isinstance(due, list) or not due:
            return
        await self._blobs.remove(due)
        await self._submit([partial(_forget, due)])

    def _take_unused(self, connection: sqlite3.Connection) -> list[str]:
        now_us = self._clock.now_us()
        old_us = now_us - UNUSED_BLOB_LIFE_US
        connection.execute(
            "insert into blob_retired select blob, 0 from blob_pending where entered_us <= ?",
            (old_us,),
        )
        connection.execute("delete from blob_pending where entered_us <= ?", (old_us,))
        connection.execute(
            "update blob_retired set retired_us = ? where retired_us is null", (now_us,)
        )
        rows = connection.execute(
            "select blob from blob_retired where retired_us <= ? limit ?",
            (old_us, _COLLECTED_AT_ONCE_MAX),
        )
        return [blob for (blob,) in rows]


def _forget(blobs: Sequence[str], connection: sqlite3.Connection) -> None:
    connection.executemany("delete from blob_retired where blob = ?", [(b,) for b in blobs])
