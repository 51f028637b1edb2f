"""A gateway that is registered and takes steps, over two homes in memory."""

from kvgateway.data_path.settled_modes import SettledModes
from kvgateway.homes.guard import GuardedHome
from kvgateway.registry.changes import RecordChanges
from kvgateway.registry.claims import Claims
from kvgateway.registry.form import NAMESPACES
from kvgateway.registry.namespace_changes import Namespaces
from kvgateway.registry.presence import Presence
from kvgateway.registry.steps import Steps
from kvgateway.state.switches import HomeSwitch
from tandem.core.mode import Mode
from tandem.core.mode_step import ModeReport
from tandem.core.namespace import Namespace, SettingsChange
from tandem.core.reply import Side
from tandem.runtime.randomness import SeededEntropy
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.registry.administration import Administration
from tests.kvgateway.two_homes import Deaf


class Registered(Administration):
    """One process of a gateway."""

    def __init__(self, homes: TwoHomes, number: int = 1) -> None:
        super().__init__(homes, number)
        self.homes = homes
        gateway = self.gateway
        self.guards = {
            side: GuardedHome(home, clock=homes.clock, time=gateway.time, observer=Deaf())
            for side, home in homes.by_side.items()
        }
        for guard in self.guards.values():
            guard.barred = ""
        self.modes = SettledModes(self.registry.book, gateway.writer, gateway.reader.comparisons)
        self.presence = Presence(
            process=f"g{number}.0", homes=self.guards, machine=gateway.machine, time=gateway.time,
            clock=homes.clock, registry=self.registry, modes=self.modes, inbox=gateway.inbox,
            queue=gateway.queue, trust=self.trust,
        )  # fmt: skip
        self.view.go_by(self.registry, self.presence.stands)
        self.claims = Claims(self.presence, self.guards, gateway.time, SeededEntropy(str(number)))
        changes = RecordChanges(self.registry, NAMESPACES, gateway.writer, self.look_at_switches)
        self.namespaces = Namespaces(
            registry=self.registry, changes=changes, time=gateway.time,
            entropy=gateway.entropy, claims=self.claims,
        )  # fmt: skip
        self.steps = Steps(
            registry=self.registry, changes=changes, time=gateway.time,
            presence=self.presence, claims=self.claims, crawled_us=self.trust.crawled_us,
        )  # fmt: skip

    async def looks(self) -> None:
        """Looks at the namespaces, and says so."""
        await self.registry.refresh()
        await self.presence.renew()

    async def create(self, mode: Mode) -> Namespace:
        """A namespace in this mode."""
        return await self.namespaces.create("a", SettingsChange(mode=mode))

    def mode_of(self, namespace: Namespace) -> Mode:
        """What this process goes by."""
        return self.view.mode_of(namespace.id)

    async def step(self, namespace: Namespace, wanted: Mode, *, force: bool = False) -> ModeReport:
        """A step from the mode that is in force."""
        now = (await self.steps.report(namespace.id, None)).namespace
        return await self.steps.step(now.id, wanted, now.settings.mode_epoch, force=force)

    def crawled(self, namespace: Namespace) -> None:
        """A crawl that begins a while from now finds both homes equal."""
        self.homes.clock.advance(5.0)
        self.trust.crawled(namespace.id, self.gateway.time.now_us())

    def switch_off(self, side: Side) -> None:
        self.guards[side].switch = HomeSwitch(reads=False, writes=False)


def said(report: ModeReport) -> str:
    """All objections."""
    return "; ".join(one.text for one in report.objections)
