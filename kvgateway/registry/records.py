"""The system records of one kind as this gateway knows them: from its disk, and from both homes.

They are records of the system namespace, so they have two homes like any others. Each home is
looked at once a second by itself, so that a slow one keeps no news of the other one back. The
newest version of each record counts, and nothing but a tombstone ends one: a home that does not
list it proves nothing. The whole is kept on disk, so that a gateway that starts while its homes are
slow or down serves what it served before.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol

from kvgateway.data_path.reads import Reader
from kvgateway.registry.book import Kept, RecordBook, deleted
from kvgateway.registry.form import RecordForm, T
from kvgateway.registry.passing_ids import PassingIds
from tandem.backends.port import Backend
from tandem.backends.whole_listing import list_all
from tandem.core.key import SYSTEM_NAMESPACE, Key
from tandem.core.record import Kind, Record
from tandem.core.reply import Failed, Found, Reason, Side
from tandem.core.request import Read, ReadResult
from tandem.core.scan_diff import Entry
from tandem.core.version import NO_VERSION
from tandem.errors import TandemError, Unavailable, Unconfirmed
from tandem.runtime import logs
from tandem.runtime.clock import Clock

_LOG = logs.get("registry")
RECORDS_MAX: Final = 100_000
"""Of one kind, that there are or ever were, since the tombstone of an id stays for ever."""
REFRESH_S: Final = 1.0
LOOK_DEADLINE_S: Final = 3.0
LOOKUP_S: Final = 2.0
"""How long a request waits for a home that may know what it names."""
READS_MAX: Final = 32


class CopyFile(Protocol[T]):
    """The copy on this gateway's disk."""

    def load(self) -> Sequence[Kept[T]]:
        """What was saved last; nothing when there is no file, or none that can be read."""
        ...

    async def save(self, kept: Sequence[Kept[T]]) -> None:
        """Replaces the copy, durably and all or nothing; OSError when the disk refuses."""
        ...


@dataclass(frozen=True, slots=True)
class _View:
    """What one home listed at the last look."""

    digests: Mapping[str, bytes]
    whole: bool
    """Whether all of it could be read."""


class SystemRecords(Generic[T]):
    """The records of one kind; `run` is its one task."""

    def __init__(
        self,
        *,
        homes: Mapping[Side, Backend],
        reader: Reader,
        clock: Clock,
        file: CopyFile[T],
        form: RecordForm[T],
        book: RecordBook[T],
    ) -> None:
        self._homes = homes
        self._reader = reader
        self._clock = clock
        self._file = file
        self._form = form
        self._misses = PassingIds(clock)
        self._unconfirmed = PassingIds(clock)
        self._views: dict[Side, _View] = {}
        self._failed: dict[Side, Failed | None] = {}
        self._judged: dict[Side, dict[str, bytes]] = {side: {} for side in homes}
        """Copies that were read and are not to be read again, though they are not the newest."""
        self._saving = asyncio.Lock()
        self._unsaved = False
        self.errors = 0
        """Looks that met a fault of ours."""
        self.book = book
        self.looked_us = 0
        """When the last look began that saw all of a home, by the machine's monotonic clock."""
        self.ready = book.learn(file.load())
        """Whether the records are known at all: from disk, or from one home that listed all."""

    def missing(self, record_id: str) -> bool:
        """Whether it is known that nothing has this id: deleted, or just looked for."""
        kept = self.book.kept(record_id)
        if kept is not None:
            return kept.item is None
        return record_id in self._misses

    def equal(self) -> bool | None:
        """Whether both homes listed the same records lately; None when one did not answer."""
        views = [self._views.get(side) for side in self._homes]
        if not all(view is not None and view.whole for view in views):
            return None
        return all(view == views[0] for view in views)

    def silent(self) -> Mapping[Side, Failed]:
        """The homes that did not answer the last look, though nobody has switched them off."""
        return {
            side: failed
            for side, failed in self._failed.items()
            if failed is not None and failed.reason is not Reason.SWITCHED_OFF
        }

    def confirmed(self) -> bool:
        """Whether every home has listed everything at the last look, so that a miss is one."""
        return self.equal() is not None

    async def find(self, record_id: str) -> T | None:
        """What has this id, asked for in both homes when it is not known here; None when both miss
        it or it is deleted.

        Raises Unconfirmed when a home that could have it does not answer within LOOKUP_S, or did
        not within the last second; Unavailable when neither home answers, or the record is damaged.
        """
        found = self.book.get(record_id)
        if found is not None or self.missing(record_id):
            return found
        if record_id in self._unconfirmed:
            raise self._doubt(record_id)
        match await self._look_up(record_id):
            case ReadResult(record=Record() as record):
                await self.learn(self._opened(self._form.key_of(record_id).name, record))
                return self._served(record_id)
            case ReadResult(version=version) if version != NO_VERSION:
                await self.learn([deleted(record_id, version)])
            case ReadResult(unconfirmed=False, stale=False):
                self._misses.add(record_id)
            case _:
                self._unconfirmed.add(record_id)
                raise self._doubt(record_id)
        return None

    async def _look_up(self, record_id: str) -> ReadResult | None:
        """What the homes say of an id; None when one of them has not answered in time, and the
        other one alone cannot tell."""
        [answer] = self._reader.read([Read(self._form.key_of(record_id), cache_ttl_s=0)])
        if isinstance(answer, TandemError):
            raise answer
        if isinstance(answer, ReadResult):
            return answer
        try:
            return await asyncio.wait_for(answer, LOOKUP_S)
        except TimeoutError:
            return None

    def _doubt(self, record_id: str) -> Unconfirmed:
        return Unconfirmed(
            f"{self._form.noun} {record_id} is not known here, and a home that may have it does"
            " not answer"
        )

    def _served(self, record_id: str) -> T | None:
        found = self.book.get(record_id)
        if found is None and not self.missing(record_id):
            raise Unavailable(f"the record of {self._form.noun} {record_id} is damaged")
        return found

    async def run(self) -> None:
        """Looks at both homes once a second until cancelled; a look that raises is counted, and the
        next one comes: what is revoked must not go on counting here."""
        await asyncio.gather(*(self._follow(side) for side in self._homes))

    async def _follow(self, side: Side) -> None:
        while True:
            try:
                await self._look(side)
            except Exception as error:
                self.errors += 1
                _LOG.error(
                    "records_look_broke", of=self._form.noun, home=side.value, error=repr(error),
                    exc_info=True,
                )  # fmt: skip
            await asyncio.sleep(REFRESH_S)

    async def refresh(self) -> None:
        """Looks at both homes once; a home that fails changes nothing."""
        await asyncio.gather(*(self._look(side) for side in self._homes))

    async def _look(self, side: Side) -> None:
        began_us = self._clock.monotonic_us()
        listing = await list_all(
            self._homes[side], SYSTEM_NAMESPACE, self._form.prefix, LOOK_DEADLINE_S
        )
        self._failed[side] = listing.failed
        all_read = await self._take(side, listing.entries)
        if listing.lacking:
            self._views.pop(side, None)
        else:
            self._saw_all(side, listing.entries, all_read, began_us)
        await self._save()

    def _saw_all(self, side: Side, entries: Sequence[Entry], all_read: bool, began_us: int) -> None:
        digests = {entry.name: entry.digest for entry in entries}
        self._views[side] = _View(digests, all_read)
        judged = self._judged[side]
        self._judged[side] = {name: judged[name] for name in digests if name in judged}
        if all_read:
            self.ready = True
            self.looked_us = max(began_us, self.looked_us)

    async def _take(self, side: Side, entries: Sequence[Entry]) -> bool:
        """Learns what a home lists; False when one of its records could not be read."""
        news = [entry for entry in entries if self._is_news(side, entry)]
        buried = {entry.name: self._buried(entry) for entry in news}
        self._learn(kept for kept in buried.values() if kept is not None)
        unread = [entry.name for entry in news if buried[entry.name] is None]
        all_read = True
        read: dict[str, Record] = {}
        for start in range(0, len(unread), READS_MAX):
            names = unread[start : start + READS_MAX]
            replies = await asyncio.gather(
                *(
                    self._homes[side].get(Key(SYSTEM_NAMESPACE, name), LOOK_DEADLINE_S)
                    for name in names
                )
            )
            found = {
                n: r.record for n, r in zip(names, replies, strict=True) if isinstance(r, Found)
            }
            all_read = all_read and len(found) == len(names)
            read |= found
            if len(read) >= len(self.book):  # to learn anything costs as much as all that is known
                self._judge(side, read)
                read = {}
        self._judge(side, read)
        return all_read

    def _judge(self, side: Side, read: Mapping[str, Record]) -> None:
        """Learns from records; none of them is read again."""
        self._judged[side].update((name, record.digest) for name, record in read.items())
        self._learn([kept for name, record in read.items() for kept in self._opened(name, record)])

    def _is_news(self, side: Side, entry: Entry) -> bool:
        record_id = self._form.id_of(entry.name)
        if not self._form.is_id(record_id):
            return False
        kept = self.book.kept(record_id)
        if kept is not None and kept.digest == entry.digest:
            return False
        return self._judged[side].get(entry.name) != entry.digest

    def _opened(self, name: str, record: Record) -> Sequence[Kept[T]]:
        """What a record says of its id; nothing when it is damaged, which is told."""
        record_id = self._form.id_of(name)
        if record.kind is Kind.TOMBSTONE:
            return [Kept(record_id, record.version, record.digest, None)]
        try:
            item = self._form.decode(record.value)
            if item.id != record_id:
                raise ValueError(f"it says that its id is {item.id}")
        except ValueError as error:
            _LOG.error("bad_record", of=self._form.noun, id=record_id, error=str(error))
            return []
        return [Kept(record_id, record.version, record.digest, item)]

    async def learn(self, kept: Iterable[Kept[T]]) -> None:
        """Takes what is newer than what is known, and saves it."""
        self._learn(kept)
        await self._save()

    def _learn(self, kept: Iterable[Kept[T]]) -> None:
        self._unsaved = self.book.learn(kept) or self._unsaved

    async def _save(self) -> None:
        async with self._saving:
            if not self._unsaved:
                return
            kept, self._unsaved, saved = self.book.all_kept(), False, False
            try:
                await self._file.save(kept)
                saved = True
            except OSError as error:
                _LOG.error("registry_not_saved", error=str(error))
            finally:
                self._unsaved = self._unsaved or not saved

    def _buried(self, entry: Entry) -> Kept[T] | None:
        """What a listed tombstone says by itself; None for any other entry."""
        if entry.kind is not Kind.TOMBSTONE or entry.version is None:
            return None
        return Kept(self._form.id_of(entry.name), entry.version, entry.digest, None)
