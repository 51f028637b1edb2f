"""A gateway in a dictionary: the data path's Protocol with switches for what tests need."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from kvgateway.data_path.remembered import result_of
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import Key
from tandem.core.record import Record, is_live
from tandem.core.request import (
    ListedName,
    Listing,
    ListPage,
    Put,
    Read,
    ReadResult,
    Write,
    Written,
)
from tandem.core.version import NO_VERSION, Version, next_hlc
from tandem.errors import NamespaceNotFound, TandemError, Unavailable
from tandem.runtime.clock import Clock

NAMESPACE = "ab" * 16

_Result = TypeVar("_Result")


class MemoryStore:
    """Answers reads at once, or in a later loop turn while `deferred`; writes always later."""

    def __init__(self, clock: Clock) -> None:
        self.records: dict[Key, Record] = {}
        self.namespaces = {NAMESPACE}
        self.lists_anyway = False
        """Whether `failure` spares listings."""
        self.stale_lists = False
        """Whether a listing may lack names."""
        self.deferred = False
        self.failure: BaseException | None = None
        self.one_home_answers = False
        """Whether a miss is what one home alone says."""
        self.held: list[Callable[[], None]] | None = None
        """While a list, answers wait in it until `release`."""
        self.reads = self.writes = self.calls = 0
        self.body_refusal: TandemError | None = None
        self.admitted: list[tuple[str, int | None]] = []
        """Every body that was, with the length that was announced."""
        self.bodies = 0
        """How many are under way."""
        self.abandoned = 0
        """Futures that somebody else had cancelled."""
        self._clock = clock
        self._hlc = 0

    def read(
        self, reads: Sequence[Read]
    ) -> Sequence[ReadResult | TandemError | asyncio.Future[ReadResult]]:
        self.calls += 1
        self.reads += len(reads)
        return [self._read(read) for read in reads]

    def write(self, writes: Sequence[Write]) -> Sequence[TandemError | asyncio.Future[Written]]:
        self.calls += 1
        self.writes += len(writes)
        return [self._write(write) for write in writes]

    async def list(self, listing: Listing) -> ListPage:
        if self.failure is not None and not self.lists_anyway:
            raise self.failure
        if listing.namespace not in self.namespaces:
            raise NamespaceNotFound(listing.namespace)
        now_s = self._clock.now_us() / 1e6
        live = sorted(
            (key.name, record)
            for key, record in self.records.items()
            if key.namespace == listing.namespace
            and key.name.startswith(listing.prefix)
            and key.name > listing.after
            and is_live(record.kind, record.expires_at_s, now_s)
        )
        page = live[: listing.limit]
        names = tuple(ListedName(n, r.expires_at_s, r.metadata) for n, r in page)
        after = page[-1][0] if len(live) > len(page) else None
        return ListPage(names, after, self.stale_lists)

    @contextmanager
    def admit_body(self, namespace: str, size: int | None) -> Iterator[None]:
        if self.body_refusal is not None:
            raise self.body_refusal
        self.admitted.append((namespace, size))
        self.bodies += 1
        try:
            yield
        finally:
            self.bodies -= 1

    def release(self) -> None:
        """Lets everything that is held go on."""
        held, self.held = self.held or [], None
        for finish in held:
            finish()

    def _read(self, read: Read) -> ReadResult | TandemError | asyncio.Future[ReadResult]:
        if read.key.namespace not in self.namespaces:
            return NamespaceNotFound(read.key.namespace)
        if isinstance(self.failure, TandemError):
            return self.failure
        record = self.records.get(read.key)
        if read.min_version > (record.version if record else NO_VERSION):
            newest = record.version if record else "nothing"
            return Unavailable(f"no home has version {read.min_version}; the newest is {newest}")
        waits = self.deferred or self.held is not None or self.failure is not None
        result = result_of(record, self._clock.now_us(), cached=not waits)
        if self.one_home_answers and record is None:
            result = result._replace(unconfirmed=True)
        return self._later(result) if waits else result

    def _write(self, write: Write) -> TandemError | asyncio.Future[Written]:
        if write.key.namespace not in self.namespaces:
            return NamespaceNotFound(write.key.namespace)
        if isinstance(self.failure, TandemError):
            return self.failure
        self._hlc = next_hlc(self._hlc, self._clock.now_us(), write.above.hlc)
        version = Version.of(self._hlc, b"memory01")
        if isinstance(write, Put):
            record = seal(
                version, write.value, metadata=write.metadata, expires_at_s=write.expires_at_s
            )
        else:
            record = seal_tombstone(version)
        self.records[write.key] = record
        return self._later(Written(version))

    def _later(self, result: _Result) -> asyncio.Future[_Result]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Result] = loop.create_future()

        def finish() -> None:
            if future.done():
                self.abandoned += 1
            elif isinstance(self.failure, asyncio.CancelledError):
                future.cancel()
            elif self.failure is not None:
                future.set_exception(self.failure)
            else:
                future.set_result(result)

        if self.held is None:
            loop.call_soon(finish)
        else:
            self.held.append(finish)
        return future
