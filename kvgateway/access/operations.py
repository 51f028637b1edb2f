"""What an operator may see and do, for callers who reach the whole deployment."""

from collections.abc import Sequence

from kvgateway.access.gate import Gate
from kvgateway.service import Operations
from tandem.core.access import Permission
from tandem.core.key import Key
from tandem.core.mode import Mode
from tandem.core.mode_step import ModeReport
from tandem.core.operations import Compared, CrawlReport, Healed, Inspection, QueuedRepair, Status
from tandem.core.reply import Side


class GatedOperations:
    """See `kvgateway.service.Operations`."""

    def __init__(self, gate: Gate, behind: Operations) -> None:
        self._gate = gate
        self._behind = behind

    async def status(self) -> Status:
        """For readers of the deployment; everything else is for its admins."""
        self._gate.demand_deployment(Permission.READ)
        return await self._behind.status()

    async def inspect(self, key: Key) -> Inspection:
        """See `kvgateway.service.Operations`."""
        self._gate.demand_deployment(Permission.ADMIN)
        return await self._behind.inspect(key)

    async def heal(self, key: Key) -> Healed:
        """See `kvgateway.service.Operations`."""
        self._gate.demand_deployment(Permission.ADMIN)
        return await self._behind.heal(key)

    async def compare(self, namespace: str, prefix: str, after: str) -> Compared:
        """See `kvgateway.service.Operations`."""
        self._gate.demand_deployment(Permission.ADMIN)
        return await self._behind.compare(namespace, prefix, after)

    async def switch(self, home: Side, *, reads_enabled: bool, writes_enabled: bool) -> Status:
        """See `kvgateway.service.Operations`."""
        self._gate.demand_deployment(Permission.ADMIN)
        return await self._behind.switch(
            home, reads_enabled=reads_enabled, writes_enabled=writes_enabled
        )

    async def mark_behind(self, home: Side) -> Status:
        """See `kvgateway.service.Operations`."""
        self._gate.demand_deployment(Permission.ADMIN)
        return await self._behind.mark_behind(home)

    async def queue(self, limit: int) -> Sequence[QueuedRepair]:
        """See `kvgateway.service.Operations`."""
        self._gate.demand_deployment(Permission.ADMIN)
        return await self._behind.queue(limit)

    async def crawled(self, report: CrawlReport) -> None:
        """See `kvgateway.service.Operations`."""
        self._gate.demand_deployment(Permission.ADMIN)
        await self._behind.crawled(report)

    async def mode(self, namespace_id: str, wanted: Mode | None) -> ModeReport:
        """See `kvgateway.service.Operations`."""
        self._gate.demand_deployment(Permission.READ)
        return await self._behind.mode(namespace_id, wanted)

    async def step(
        self, namespace_id: str, wanted: Mode, mode_epoch: int, *, force: bool
    ) -> ModeReport:
        """See `kvgateway.service.Operations`."""
        self._gate.demand_deployment(Permission.ADMIN)
        return await self._behind.step(namespace_id, wanted, mode_epoch, force=force)
