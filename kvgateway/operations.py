"""What an operator may see and do: the `Operations` behind the Ops service."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from kvgateway.data_path.repair import RepairWorker
from kvgateway.homes.guard import GuardedHome
from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.switchboard import SwitchBoard
from kvgateway.homes.trust import Trust
from kvgateway.state.ports import RepairQueue
from kvgateway.state.switches import HomeSwitch
from tandem.backends.heal import Healed as HealDone
from tandem.backends.heal import LeftToSweep, NotHealed
from tandem.backends.opening import HomeLabel
from tandem.core.certificate import CertificateInUse
from tandem.core.key import Key, object_name
from tandem.core.limits import LIST_PAGE_MAX, WHOLE_SECOND_CLOCK_SKEW_MAX_US
from tandem.core.mode import Mode
from tandem.core.mode_step import ModeReport
from tandem.core.operations import (
    Compared,
    Copy,
    CrawlReport,
    Healed,
    HomeStatus,
    Inspection,
    QueuedRepair,
    QueueStatus,
    Status,
)
from tandem.core.read_race import in_sync
from tandem.core.record import Kind
from tandem.core.repair import repair_plan
from tandem.core.reply import Failed, Found, Glimpsed, Missing, ReadReply, Side
from tandem.core.scan_diff import ScanDiff
from tandem.core.settings_in_force import SettingsInForce
from tandem.errors import ConfigurationError, InvalidArgument, Unavailable

INSPECT_DEADLINE_S = 5.0
COMPARE_DEADLINE_S = 5.0


class JournalState(Protocol):
    """What a status says of the journal."""

    writable: bool

    def live(self) -> int:
        """Intents that are not done."""
        ...


class Steps(Protocol):
    """Shows and takes the steps of namespaces from mode to mode."""

    async def report(self, namespace_id: str, wanted: Mode | None) -> ModeReport:
        """See `kvgateway.service.Operations.mode`."""
        ...

    async def step(
        self, namespace_id: str, wanted: Mode, mode_epoch: int, *, force: bool
    ) -> ModeReport:
        """See `kvgateway.service.Operations.step`."""
        ...


class GatewayOperations:
    """See `kvgateway.service.Operations`."""

    def __init__(
        self,
        *,
        guards: Mapping[Side, GuardedHome],
        labels: Mapping[Side, HomeLabel],
        time: HomeTime,
        trust: Trust,
        queue: RepairQueue,
        unqueued: Callable[[], int],
        repair: RepairWorker,
        switches: SwitchBoard,
        apply_switches: Callable[[], None],
        mark_behind: Callable[[Side], Awaitable[None]],
        journal: JournalState,
        namespaces_equal: Callable[[], bool | None],
        steps: Steps,
        gateway_id: str,
        workers: int,
        restarts: Callable[[], int],
        process: int,
        prefix: str,
        certificate: Callable[[], CertificateInUse] | None = None,
        settings: Callable[[], SettingsInForce] = SettingsInForce,
    ) -> None:
        self._guards = guards
        self._labels = labels
        self._time = time
        self._trust = trust
        self._queue = queue
        self._unqueued = unqueued
        self._repair = repair
        self._switches = switches
        self._apply_switches = apply_switches
        self._mark_behind = mark_behind
        self._journal = journal
        self._namespaces_equal = namespaces_equal
        self._steps = steps
        self._gateway_id = gateway_id
        self._workers = workers
        self._restarts = restarts
        self._process = process
        self._prefix = prefix
        self._certificate = certificate
        self._settings = settings

    async def status(self) -> Status:
        """The homes, the queue and the journal at this moment.

        A repair goes from the journal through memory to the queue, and they are looked at in this
        order: one that moves meanwhile is counted twice, and never not at all.
        """
        pending, unqueued = self._journal.live(), self._unqueued()
        with _disk_told():
            stats = await self._queue.stats()
        now_us = self._time.reckoned_us()
        counters = self._repair.counters
        return Status(
            homes=tuple(self._home(side) for side in self._guards),
            queue=QueueStatus(
                depth=stats.depth + unqueued,
                oldest_age_us=max(0, now_us - stats.oldest_us) if stats.oldest_us else 0,
                dirty_ranges=stats.dirty_marks,
                healed=counters.healed,
                failed_tries=counters.failed,
                needs_person=stats.needs_person,
            ),
            gateway_id=self._gateway_id,
            now_us=now_us,
            clock_offset_us=self._time.offset_us(),
            clock_alarm=self._time.alarm(),
            workers=self._workers,
            worker_restarts=self._restarts(),
            journal_pending=pending,
            journal_writable=self._journal.writable,
            namespaces_equal=bool(self._namespaces_equal()),
            process=self._process,
            certificate=self._certificate() if self._certificate else None,
            settings=self._settings(),
        )

    def _home(self, side: Side) -> HomeStatus:
        guard, label = self._guards[side], self._labels[side]
        return HomeStatus(
            side=side,
            kind=label.kind,
            location=label.location,
            breaker=guard.breaker.state.value,
            reads_enabled=guard.switch.reads,
            writes_enabled=guard.switch.writes,
            behind=tuple(self._trust.open_marks(side)),
            last_failure=guard.barred or guard.last_failure,
            detail=label.detail(),
            switch_epoch=self._switches.current.epoch,
        )

    async def inspect(self, key: Key) -> Inspection:
        """What each home holds under a key; a home that is switched off is looked at too."""
        homes = (guard.unguarded for guard in self._guards.values())
        both = await asyncio.gather(*(home.get(key, INSPECT_DEADLINE_S) for home in homes))
        replies = dict(zip(self._guards, both, strict=True))
        kvsp, s3 = replies[Side.KVSP], replies[Side.S3]
        return Inspection(
            copies=tuple(_copy(side, reply) for side, reply in replies.items()),
            equal=not isinstance(kvsp, Failed) and not isinstance(s3, Failed) and in_sync(kvsp, s3),
            object_name=object_name(self._prefix, key),
            plan=str(repair_plan(kvsp, s3)),
        )

    async def heal(self, key: Key) -> Healed:
        """Makes both homes hold the newest record of a key, now."""
        with _disk_told():
            outcome = await self._repair.heal_key(key)
        match outcome:
            case HealDone(copied):
                return Healed(True, copied)
            case LeftToSweep(version):
                why = f"s3 holds {version}, which was deleted for good: the crawler sweeps it"
                return Healed(False, reasons=(why,))
            case NotHealed(reasons):
                return Healed(False, reasons=reasons)

    async def compare(self, namespace: str, prefix: str, after: str) -> Compared:
        """A page of what both homes list above `after`, tombstones too."""
        pages = await asyncio.gather(
            *(
                guard.scan(
                    namespace, after=after, prefix=prefix, limit=LIST_PAGE_MAX,
                    deadline_s=COMPARE_DEADLINE_S,
                )
                for guard in self._guards.values()
            )
        )  # fmt: skip
        diff, differing = ScanDiff(), list[str]()
        for side, page in zip(self._guards, pages, strict=True):
            if isinstance(page, Failed):
                raise Unavailable(f"{side.value}: {page}")
            if not page.complete:
                raise Unavailable(f"{side.value}: the listing is incomplete")
            ended = page.next_after is None
            differing += [one.name for one in diff.feed(side, page.entries, ended=ended)]
        return Compared(diff.equal, tuple(differing), diff.judged if diff.wants() else None)

    async def switch(self, home: Side, *, reads_enabled: bool, writes_enabled: bool) -> Status:
        """Takes a home out or back in: in this worker at once, in the others within a second."""
        with _disk_told():
            await self._switches.change(home, HomeSwitch(reads_enabled, writes_enabled))
        self._apply_switches()
        return await self.status()

    async def mark_behind(self, home: Side) -> Status:
        """Takes an operator's word that a home lost records: in this worker at once, in the others
        within a second."""
        with _disk_told():
            await self._mark_behind(home)
        return await self.status()

    async def queue(self, limit: int) -> Sequence[QueuedRepair]:
        """The next repairs, at most `limit`."""
        now_us = self._time.reckoned_us()
        with _disk_told():
            sample = await self._queue.sample(limit)
        return [
            QueuedRepair(
                key=queued.task.key,
                version=queued.task.version,
                attempts=queued.attempts,
                age_us=max(0, now_us - queued.queued_us),
                due_in_us=max(0, queued.due_us - now_us),
                last_failure=queued.failure,
            )
            for queued in sample
        ]

    async def crawled(self, report: CrawlReport) -> None:
        """A namespace that was found equal clears the marks that are older than the crawl.

        Raises InvalidArgument for a crawl that is still to begin: it would hide what the homes miss
        until then.
        """
        if report.began_at_us > self._time.reckoned_us() + WHOLE_SECOND_CLOCK_SKEW_MAX_US:
            raise InvalidArgument("began_at_us", "lies ahead of the homes' time")
        if not report.equal:
            return
        self._trust.crawled(report.namespace, report.began_at_us)
        with _disk_told():
            for side in Side:
                await self._queue.clear_dirty(side, report.namespace, report.began_at_us)

    async def mode(self, namespace_id: str, wanted: Mode | None) -> ModeReport:
        """Where a namespace is between one home and both, and what a step would need."""
        return await self._steps.report(namespace_id, wanted)

    async def step(
        self, namespace_id: str, wanted: Mode, mode_epoch: int, *, force: bool
    ) -> ModeReport:
        """Takes a step, unless something stands in its way."""
        return await self._steps.step(namespace_id, wanted, mode_epoch, force=force)


@contextmanager
def _disk_told() -> Iterator[None]:
    """An operator is told what this gateway's disk refuses; it is no fault of the program."""
    try:
        yield
    except (OSError, ConfigurationError) as error:
        raise Unavailable(str(error)) from error


def _copy(side: Side, reply: ReadReply) -> Copy:
    match reply:
        case Found(record):
            return Copy(
                side,
                found=True,
                version=record.version,
                digest=record.digest,
                tombstone=record.kind is Kind.TOMBSTONE,
                expires_at_s=record.expires_at_s,
                value_bytes=record.value_size,
                metadata=record.metadata,
            )
        case Missing():
            return Copy(side)
        case Glimpsed() | Failed():
            return Copy(side, failure=str(reply))
