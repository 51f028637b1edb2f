"""The blobs of one file: entered and retired in its transactions, kept in a directory beside it."""

import errno
import sqlite3
from asyncio import Future
from collections.abc import AsyncIterable, Callable, Sequence
from functools import partial
from typing import Final, cast

from kvsp.large import OTHER_BYTES
from kvsp.rules import (
    REPLACED_BLOB_LIFE_FULL_US,
    UNUSED_BLOB_LIFE_US,
    Held,
    Write,
    verdict,
)
from kvsp.sqlite.blobs import BlobDirectory
from kvsp.sqlite.new_blob import OtherBytes
from kvsp.sqlite.transaction import Step
from tandem.core.reply import Failed, Reason, WriteReply
from tandem.core.version import NO_VERSION
from tandem.runtime.clock import Clock
from tandem.wire.storage_codec import LargePut

_COLLECTED_AT_ONCE_MAX: Final = 1_000
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class FileBlobs:
    """See `Blobs`; `submit` puts steps into the cluster's transactions."""

    def __init__(
        self,
        directory: BlobDirectory,
        submit: Callable[[Sequence[Step]], Future[list[object]]],
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._submit = submit
        self._clock = clock
        self._disk_is_full = False
        """Whether a blob found no room since all that may go was collected."""
        self.holds = directory.holds
        self.pieces = directory.pieces

    async def enter(self, blob: str, put: LargePut) -> WriteReply | None:
        """See `Blobs`."""
        [outcome] = await self._submit([partial(self._enter, blob, put)])
        return cast(WriteReply | None, outcome)

    async def write(
        self, blob: str, pieces: AsyncIterable[bytes | memoryview], digest: bytes
    ) -> Failed | None:
        """See `Blobs`."""
        try:
            await self._directory.write(blob, pieces, digest)
        except OtherBytes:
            return OTHER_BYTES
        except OSError as error:
            self._disk_is_full |= error.errno in _NO_ROOM
            return Failed(Reason.ERROR, f"the value could not be written: {error}")
        return None

    async def read(self, blob: str, digest: bytes) -> bytes | Failed | None:
        """See `Blobs`."""
        try:
            return await self._directory.read(blob, digest)
        except OSError as error:
            return Failed(Reason.ERROR, f"the value could not be read: {error}")

    async def collect(self) -> Failed | None:
        """See `Blobs`."""
        [due] = await self._submit([self._take_unused])
        if not isinstance(due, list):
            return cast(Failed, due)
        try:
            await self._directory.remove(due)
        except OSError as error:
            return Failed(Reason.ERROR, str(error))
        if due:
            await self._submit([partial(_forget, due)])
        if len(due) < _COLLECTED_AT_ONCE_MAX:
            self._disk_is_full = False
        return None

    def _enter(self, blob: str, put: LargePut, connection: sqlite3.Connection) -> WriteReply | None:
        row = connection.execute(
            "select version, digest, blob from record where namespace = ? and name = ?",
            (put.key.namespace, put.raw_name),
        ).fetchone()
        if row is not None:
            version, digest, held = row
            whole = held is None or self._directory.exists(held)
            outcome = verdict(put, Held(version, digest, whole), NO_VERSION)
            if not isinstance(outcome, Write):
                return outcome
        connection.execute("insert into blob_pending values (?, ?)", (blob, self._clock.now_us()))
        return None

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
        life_us = REPLACED_BLOB_LIFE_FULL_US if self._disk_is_full else UNUSED_BLOB_LIFE_US
        rows = connection.execute(
            "select blob from blob_retired where retired_us <= ? limit ?",
            (now_us - life_us, _COLLECTED_AT_ONCE_MAX),
        )
        return [blob for (blob,) in rows]


def _forget(blobs: Sequence[str], connection: sqlite3.Connection) -> None:
    connection.executemany("delete from blob_retired where blob = ?", [(b,) for b in blobs])
