"""How a worker goes by the modes of namespaces: as they were drawn, or as the real registry says.

Where a namespace is stepped from mode to mode, each worker has the registry, the registration and
the steps of production. Elsewhere modes stay, and nobody looks for others.
"""

import asyncio
from typing import TYPE_CHECKING

from kvgateway.data_path.settled_modes import SettledModes
from kvgateway.registry.changes import RecordChanges
from kvgateway.registry.claims import Claims
from kvgateway.registry.form import NAMESPACES
from kvgateway.registry.namespaces import Registry
from kvgateway.registry.presence import Presence
from kvgateway.registry.steps import Steps
from kvgateway.registry.view import RegisteredView
from kvgateway.state.ports import Machine, RepairQueue
from tandem.core.key import SYSTEM_NAMESPACE
from tandem.core.mode import Mode
from tandem.core.mode_step import ModeReport
from tests.sim.loop import SeededEntropy

if TYPE_CHECKING:
    from tests.sim.worker import Worker


class Registered:
    """One worker's registry, registration and steps; made before what goes by them."""

    registry: Registry
    presence: Presence
    steps: Steps

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self.view = RegisteredView(worker.trust)

    def build(
        self, slot: int, machine: Machine, queue: RepairQueue, entropy: SeededEntropy
    ) -> None:
        """The worker has all that they stand on."""
        worker = self._worker
        guards, clock, disk = worker.guards, worker.host.clock, worker.host.disk
        self.registry = Registry(
            homes=guards, reader=worker.reader, clock=clock, file=disk.namespaces,
            home_is_out=lambda: not all(guard.switch.writes for guard in guards.values()),
        )  # fmt: skip
        self.presence = Presence(
            process=f"{disk.gateway_id.hex()}.{slot}", homes=guards, machine=machine,
            time=worker.time, clock=clock, registry=self.registry,
            modes=SettledModes(self.registry.book, worker.writer, worker.reader.comparisons),
            inbox=worker.inbox, queue=queue, trust=worker.trust,
        )  # fmt: skip
        self.view.go_by(self.registry, self.presence.stands)
        look_at_switches = worker.keeper.look_at_switches
        self.steps = Steps(
            registry=self.registry, time=worker.time,
            changes=RecordChanges(self.registry, NAMESPACES, worker.writer, look_at_switches),
            presence=self.presence, claims=Claims(self.presence, guards, worker.time, entropy),
            crawled_us=worker.trust.crawled_us,
        )  # fmt: skip

    def namespaces(self) -> frozenset[str]:
        """All that crawls compare; none while they are not known."""
        if not self.registry.ready:
            return frozenset()
        return self.registry.book.in_both_homes() | {SYSTEM_NAMESPACE}

    def epoch_of(self, namespace: str) -> int | None:
        """Of the mode that this worker goes by; None while it goes by none."""
        known = self.registry.book.get(namespace)
        return known.settings.mode_epoch if known and self.presence.stands() else None

    def step(self, namespace: str, wanted: Mode) -> "asyncio.Future[ModeReport]":
        """As `kvctl namespace mode` has it; ConnectionLost when the worker dies first."""
        return self._worker.call(self._step(namespace, wanted))

    async def _step(self, namespace: str, wanted: Mode) -> ModeReport:
        report = await self.steps.report(namespace, None)
        epoch = report.namespace.settings.mode_epoch
        return await self.steps.step(namespace, wanted, epoch, force=False)
