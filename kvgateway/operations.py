"""What an operator may see and do: the `Operations` behind the Ops service."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from kvgateway.data_path.repair import RepairWorker
from kvgateway.homes.guard import GuardedHome
from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.switchboard import SwitchBoard
from kvgateway.homes.trust import Trust
from kvgateway.overview import Overview
from kvgateway.state.ports import RepairQueue
from kvgateway.state.switches import HomeSwitch
from tandem.backends.heal import Healed as HealDone
from tandem.backends.heal import LeftToSweep, NotHealed
from tandem.core.key import Key, object_name
from tandem.core.limits import LIST_PAGE_MAX, WHOLE_SECOND_CLOCK_SKEW_MAX_US
from tandem.core.mode import Mode
from tandem.core.mode_step import ModeReport
from tandem.core.operations import (
    Compared,
    Copy,
    CrawlReport,
    Healed,
    Inspection,
    QueuedRepair,
    Status,
)
from tandem.core.read_race import in_sync
from tandem.core.record import Kind
from tandem.core.repair import repair_plan
from tandem.core.reply import Failed, Found, Glimpsed, Missing, ReadReply, Side
from tandem.core.scan_diff import ScanDiff
from tandem.errors import ConfigurationError, InvalidArgument, Unavailable

INSPECT_DEADLINE_S = 5.0
COMPARE_DEADLINE_S = 5.0


class Keeper(Protocol):
    """Puts into force what an operator says of homes."""

    def apply_switches(self) -> None:
        """Puts the kill switches into force in this worker."""
        ...

    async def mark_behind(self, side: Side) -> None:
        """A home lost records; durable on return. Raises Unavailable while the time of the homes is
        not known, OSError when the disk refuses."""
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
        overview: Overview,
        guards: Mapping[Side, GuardedHome],
        time: HomeTime,
        trust: Trust,
        queue: RepairQueue,
        repair: RepairWorker,
        switches: SwitchBoard,
        keeper: Keeper,
        steps: Steps,
        prefix: str,
    ) -> None:
        """`prefix` is that of all objects on S3."""
        self._overview = overview
        self._guards = guards
        self._time = time
        self._trust = trust
        self._queue = queue
        self._repair = repair
        self._switches = switches
        self._keeper = keeper
        self._steps = steps
        self._prefix = prefix

    async def status(self) -> Status:
        """The homes, the queue and the journal at this moment."""
        with _disk_told():
            return await self._overview.status()

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
        self._keeper.apply_switches()
        return await self.status()

    async def mark_behind(self, home: Side) -> Status:
        """Takes an operator's word that a home lost records: in this worker at once, in the others
        within a second."""
        with _disk_told():
            await self._keeper.mark_behind(home)
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
