"""How a gateway is at one moment: its homes, its queue and journal, and the worker that answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from kvgateway.data_path.inbox import RepairInbox
from kvgateway.data_path.repair import RepairWorker
from kvgateway.homes.guard import GuardedHome
from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.switchboard import SwitchBoard
from kvgateway.homes.trust import Trust
from kvgateway.state.ports import RepairQueue
from tandem.backends.opening import HomeLabel
from tandem.core.certificate import CertificateInUse
from tandem.core.operations import HomeStatus, QueueStatus, Status
from tandem.core.reply import Side
from tandem.core.settings_in_force import SettingsInForce


class JournalState(Protocol):
    """What a status says of the journal."""

    writable: bool

    def live(self) -> int:
        """Intents that are not done."""
        ...


@dataclass(frozen=True, slots=True)
class ThisWorker:
    """The worker that answers, and the machine that it is one of."""

    gateway_id: str
    process: int
    workers: int
    restarts: Callable[[], int]
    settings: Callable[[], SettingsInForce] = SettingsInForce
    certificate: Callable[[], CertificateInUse] | None = None
    """None without TLS."""


class Overview:
    """Looks at one worker's objects."""

    def __init__(
        self,
        *,
        guards: Mapping[Side, GuardedHome],
        labels: Mapping[Side, HomeLabel],
        time: HomeTime,
        trust: Trust,
        switches: SwitchBoard,
        journal: JournalState,
        left_over: Callable[[], int],
        inbox: RepairInbox,
        queue: RepairQueue,
        repair: RepairWorker,
        namespaces_equal: Callable[[], bool | None],
        doubled: Callable[[], bool],
        worker: ThisWorker,
    ) -> None:
        self._guards = guards
        self._labels = labels
        self._time = time
        self._trust = trust
        self._switches = switches
        self._journal = journal
        self._left_over = left_over
        self._inbox = inbox
        self._queue = queue
        self._repair = repair
        self._namespaces_equal = namespaces_equal
        self._doubled = doubled
        self._worker = worker

    async def status(self) -> Status:
        """All of it; OSError when the queue's disk refuses."""
        worker, pending = self._worker, self._journal.live() + self._left_over()
        queue = await self._queue_status()
        return Status(
            homes=tuple(self._home(side) for side in self._guards),
            queue=queue,
            gateway_id=worker.gateway_id,
            now_us=self._time.reckoned_us(),
            clock_offset_us=self._time.offset_us(),
            clock_alarm=self._time.alarm(),
            workers=worker.workers,
            worker_restarts=worker.restarts(),
            journal_pending=pending,
            journal_writable=self._journal.writable,
            namespaces_equal=bool(self._namespaces_equal()),
            process=worker.process,
            certificate=worker.certificate() if worker.certificate else None,
            settings=worker.settings(),
            doubled=self._doubled(),
        )

    async def _queue_status(self) -> QueueStatus:
        """A repair goes from the journal through memory to the queue, and they are looked at in
        this order: one that moves meanwhile is counted twice, and never not at all."""
        unqueued = self._inbox.waiting
        stats, counters = await self._queue.stats(), self._repair.counters
        age_us = self._time.reckoned_us() - stats.oldest_us if stats.oldest_us else 0
        return QueueStatus(
            depth=stats.depth + unqueued,
            oldest_age_us=max(0, age_us),
            dirty_ranges=stats.dirty_marks,
            healed=counters.healed,
            failed_tries=counters.failed,
            needs_person=stats.needs_person,
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
