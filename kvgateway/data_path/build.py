"""The objects of a worker that handle data, wired together; no front door is known here."""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from kvgateway.data_path.gateway import Gateway
from kvgateway.data_path.inbox import RepairInbox
from kvgateway.data_path.list_draft import ListBounds
from kvgateway.data_path.lists import Lister
from kvgateway.data_path.lookups import Lookups
from kvgateway.data_path.read_bounds import ReadBounds
from kvgateway.data_path.reads import Reader
from kvgateway.data_path.repair import RepairRule, RepairWorker
from kvgateway.data_path.settled_modes import SettledModes
from kvgateway.data_path.stores import Stores, open_stores
from kvgateway.data_path.view import View
from kvgateway.data_path.writes import WriteBounds, Writer
from kvgateway.homes.guard import GuardedHome, LegBounds
from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.keeper import Keeper
from kvgateway.homes.switch_copies import SwitchCopies
from kvgateway.homes.switchboard import SwitchBoard
from kvgateway.homes.trust import Trust
from kvgateway.homes.trust_file import DiskTrustFile
from kvgateway.metrics import HomeMetrics
from kvgateway.process.places import Places
from kvgateway.process.post import Post
from kvgateway.registry.book import RecordBook
from kvgateway.registry.doubles import Doubles
from kvgateway.registry.file import DiskCopy
from kvgateway.registry.form import NAMESPACES, TOKENS
from kvgateway.registry.namespaces import Registry
from kvgateway.registry.presence import Presence
from kvgateway.registry.records import SystemRecords
from kvgateway.registry.view import RegisteredView
from kvgateway.settings import GatewaySettings
from kvgateway.state.journal import DiskJournal
from kvgateway.state.queue import SqliteQueue
from kvgateway.state.quota_memory import QuotaMemory
from kvgateway.state.shared import SharedMachine
from kvgateway.state.shared_place import Place
from tandem.backends.opening import Homes, open_homes
from tandem.core.key import SYSTEM_NAMESPACE
from tandem.core.reply import Side
from tandem.core.token import Token
from tandem.runtime import logs
from tandem.runtime.clock import Clock
from tandem.runtime.randomness import Entropy, SystemEntropy
from tandem.runtime.telemetry import Metrics

_LOG = logs.get("data_path")


@dataclass(frozen=True, slots=True)
class DataPath:
    """One worker's races and what they stand on."""

    homes: Homes
    guards: Mapping[Side, GuardedHome]
    time: HomeTime
    entropy: Entropy
    place: Place
    machine: SharedMachine
    quota_memory: QuotaMemory
    journal: DiskJournal
    queue: SqliteQueue
    switches: SwitchBoard
    trust: Trust
    inbox: RepairInbox
    writer: Writer
    reader: Reader
    repair: RepairWorker
    registry: Registry
    presence: Presence
    tokens: SystemRecords[Token]
    keeper: Keeper
    switch_copies: SwitchCopies
    lookups: Lookups
    gateway: Gateway

    def loops(self) -> Mapping[str, Coroutine[None, None, None]]:
        """The work that goes on for as long as the worker lives."""
        return {
            "inbox": self.inbox.run(),
            "repair": self.repair.run(),
            "registry": self.registry.run(),
            "presence": self.presence.run(),
            "doubles": Doubles(self.presence, self.guards).run(),
            "tokens": self.tokens.run(),
            "keeper": self.keeper.run(),
            "switches": self.keeper.follow_switches(),
            "switch copies": self.switch_copies.run(),
        }

    async def drain(self, deadline_s: float) -> None:
        """Sees the writes under way home; what is late stays in the journal as intents."""
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self.lookups.drained()
                self.gateway.flush()
                await self.writer.drained()
                await self.inbox.drained()
                await self.presence.leave()

    async def aclose(self) -> None:
        """Closes files and connections; the loops must have ended."""
        await self.journal.aclose()
        await self.homes.aclose()
        await self.queue.aclose()
        self.machine.close()
        self.quota_memory.close()
        self.place.leave()


async def build_data_path(
    post: Post, settings: GatewaySettings, places: Places, clock: Clock, metrics: Metrics
) -> DataPath:
    """Opens and wires everything; ConfigurationError when a home or a file cannot be used."""
    entropy = SystemEntropy()
    time = HomeTime(clock, post.offset_us)
    homes = await open_homes(settings.homes(post.machine), clock, entropy)
    guards = _guarded(homes, settings, clock, time, metrics)
    stores = await open_stores(post, settings, places, entropy)
    machine, queue = stores.machine, stores.queue
    trust = Trust()
    view = RegisteredView(trust)
    inbox = RepairInbox(queue, time)
    pin_us = 2 * int(settings.read_deadline_s * 1e6)
    reader = Reader(
        homes=guards,
        machine=machine,
        queue=queue,
        inbox=inbox,
        time=time,
        view=view,
        entropy=entropy,
        bounds=_read_bounds(settings),
    )
    registry = Registry(
        homes=guards,
        reader=reader,
        clock=clock,
        file=DiskCopy(places.namespaces, NAMESPACES),
        home_is_out=lambda: not all(guard.switch.writes for guard in guards.values()),
    )
    tokens = _tokens(guards, reader, clock, places)
    writer = Writer(
        homes={side: guards[side] for side in homes.leg_order},
        machine=machine,
        journal=stores.journal,
        inbox=inbox,
        time=time,
        view=view,
        bounds=WriteBounds(settings.writes_max, settings.write_bytes_max, pin_us),
    )
    presence = _presence(post, guards, stores, time, clock, registry, writer, reader, inbox, trust)
    view.go_by(registry, presence.stands)
    lister = _lister(guards, machine, reader, time, view, settings)
    repair = RepairWorker(
        homes=guards,
        queue=queue,
        machine=machine,
        time=time,
        entropy=entropy,
        rule=RepairRule(at_once_max=settings.repairs_at_once, pin_us=pin_us),
        monotonic_us=clock.monotonic_us,
        view=view,
    )
    keeper = _keeper(post.store_id, guards, time, stores, trust, places, registry, entropy)
    lookups = Lookups(registry, clock)
    gateway = Gateway(
        registry=registry, reader=reader, writer=writer, lister=lister, lookups=lookups
    )
    return DataPath(
        homes, guards, time, entropy, stores.place, machine, stores.quotas, stores.journal, queue,
        stores.switches, trust, inbox, writer, reader, repair, registry, presence, tokens, keeper,
        SwitchCopies(guards, stores.switches, entropy), lookups, gateway,
    )  # fmt: skip


def _presence(
    post: Post,
    guards: Mapping[Side, GuardedHome],
    stores: Stores,
    time: HomeTime,
    clock: Clock,
    registry: Registry,
    writer: Writer,
    reader: Reader,
    inbox: RepairInbox,
    trust: Trust,
) -> Presence:
    return Presence(
        process=f"{post.gateway_id.hex()}.{post.seat}",
        homes=guards,
        machine=stores.machine,
        time=time,
        clock=clock,
        registry=registry,
        modes=SettledModes(registry.book, writer, reader.comparisons),
        inbox=inbox,
        queue=stores.queue,
        trust=trust,
    )


def _lister(
    guards: Mapping[Side, GuardedHome],
    machine: SharedMachine,
    reader: Reader,
    time: HomeTime,
    view: View,
    settings: GatewaySettings,
) -> Lister:
    return Lister(
        homes=guards,
        machine=machine,
        reader=reader,
        time=time,
        view=view,
        # A listing that began before both homes had a write must end while it is still pinned.
        bounds=ListBounds(scan_s=settings.read_deadline_s),
    )


def _read_bounds(settings: GatewaySettings) -> ReadBounds:
    return ReadBounds(
        settings.read_deadline_s,
        int(settings.cache_ttl_s),
        sample_share=settings.read_sample_share,
    )


def _guarded(
    homes: Homes, settings: GatewaySettings, clock: Clock, time: HomeTime, metrics: Metrics
) -> Mapping[Side, GuardedHome]:
    observer = HomeMetrics(metrics)
    bounds = LegBounds(settings.legs_max, settings.leg_bytes_max)
    return {
        side: GuardedHome(home, clock=clock, time=time, observer=observer, bounds=bounds)
        for side, home in homes.backends.items()
    }


def _tokens(
    guards: Mapping[Side, GuardedHome], reader: Reader, clock: Clock, places: Places
) -> SystemRecords[Token]:
    return SystemRecords(
        homes=guards,
        reader=reader,
        clock=clock,
        file=DiskCopy(places.tokens, TOKENS),
        form=TOKENS,
        book=RecordBook(),
    )


def _keeper(
    store_id: str,
    guards: Mapping[Side, GuardedHome],
    time: HomeTime,
    stores: Stores,
    trust: Trust,
    places: Places,
    registry: Registry,
    entropy: Entropy,
) -> Keeper:
    return Keeper(
        store_id=store_id,
        guards=guards,
        time=time,
        machine=stores.machine,
        journal=stores.journal,
        switches=stores.switches,
        queue=stores.queue,
        trust=trust,
        trust_file=DiskTrustFile(places.trust),
        namespaces=partial(_namespaces, registry),
        entropy=entropy,
    )


def _namespaces(registry: Registry) -> frozenset[str]:
    """All that crawls compare; none while they are not known."""
    if not registry.ready:
        return frozenset()
    return registry.book.in_both_homes() | {SYSTEM_NAMESPACE}
