"""After the storm: what must become true when faults and writes have stopped."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kvgateway.state.switches import HomeSwitch
from tandem.core.key import Key
from tandem.core.record import Kind, Record
from tandem.core.reply import Side
from tandem.core.request import Read
from tandem.core.version import NO_VERSION
from tandem.errors import TandemError
from tests.sim.calm_crawl import CrawlerCalm
from tests.sim.ledger import version_of
from tests.sim.oracles import value_of
from tests.sim.plan import MOVED
from tests.sim.scope import Scope
from tests.sim.worker import CACHE_TTL_S, PIN_US, Worker

if TYPE_CHECKING:
    from tests.sim.universe import Universe

REPAIR_MAX_S: Final = 180.0
"""Repair has to be done by then."""
SHOWN_S: Final = 5.0
"""How long after the last crawl, and after all caches have ended, a write may take to be seen
everywhere."""


class Calm:
    """Calms a universe down and checks it."""

    def __init__(self, universe: "Universe") -> None:
        self._universe = universe
        self._fail = universe.oracles.fail

    async def run(self, clients: Sequence["asyncio.Task[None]"]) -> None:
        """Faults end, then writes; then each check at its time."""
        universe = self._universe
        universe.history.note("calm", "begins")
        for weather in universe.all_weather:
            weather.clear()
        universe.storm.set_clocks_right()
        for misfortune in universe.storm.misfortunes:
            await misfortune  # a restored home is used only once it was looked at
        for host in universe.hosts:
            for side in Side:
                host.switch(side, HomeSwitch())
            for worker in host.living():
                worker.journal.writable = True
        for client in clients:
            await client
        universe.is_calm = True
        ahead_s = [jump.by_s for jump in universe.plan.clock_jumps if jump.by_s > 0]
        await asyncio.sleep(sum(ahead_s))  # till nothing is stamped above what every home takes
        for crawler in universe.crawlers:
            if crawler.runs:
                crawler.crash()
        if universe.plan.moves:
            await universe.moves.come_back(universe.crawlers[0])
        if universe.plan.steps:
            await universe.journey.come_home(universe.crawlers[0])
        if universe.plan.rebuild:
            await universe.rebuilding.finish()
        await self._repaired()
        if not universe.disasters.struck:
            self._both_homes_have_what_was_acknowledged("repair alone")
        await asyncio.sleep(PIN_US / 1e6)  # a write that was lost unacknowledged is wanted so long
        while any(weather.under_way for weather in universe.all_weather):
            await asyncio.sleep(1.0)
        await self._read_all()
        forgotten_s = universe.loop.time() + CACHE_TTL_S
        await self._repaired()
        await self._crawled()
        await asyncio.sleep(max(0.0, forgotten_s - universe.loop.time()) + SHOWN_S)
        await self._shown_everywhere()
        await asyncio.sleep(1.0)
        self._nothing_left()

    async def _crawled(self) -> None:
        """All that crawlers do, and after each step both homes have what was acknowledged."""
        crawls, plan = CrawlerCalm(self._universe), self._universe.plan.crawl
        await crawls.equal("the end")
        self._both_homes_have_what_was_acknowledged("the end")
        if plan.disturbed:
            await crawls.report_is_true(plan.disturbed)
        if plan.grave:
            await crawls.collected()
            self._both_homes_have_what_was_acknowledged("what is dead is gone")
        if plan.lost_last is not None:
            await crawls.filled_again(plan.lost_last)
            self._both_homes_have_what_was_acknowledged("a home is lost")
        crawls.end()

    def _workers(self) -> list[Worker]:
        return [worker for host in self._universe.hosts for worker in host.living()]

    async def _repaired(self) -> None:
        """Repair comes to its end by itself."""
        loop = self._universe.loop
        until_s = loop.time() + REPAIR_MAX_S
        while loop.time() < until_s:
            depths = [(await host.disk.queue.stats()).depth for host in self._universe.hosts]
            whole = all(host.whole for host in self._universe.hosts)
            if whole and not any(depths) and all(worker.idle for worker in self._workers()):
                return
            await asyncio.sleep(1.0)
        for host in self._universe.hosts:
            if not host.whole:
                self._fail(f"liveness: {host.name} does not serve with all its workers")
            for queued in await host.disk.queue.sample(3):
                self._fail(f"liveness: {host.name} still has to repair {queued}")
        for worker in self._workers():
            if not worker.idle:
                self._fail(f"liveness: {worker.name} is not idle: {worker.busy()}")

    def _both_homes_have_what_was_acknowledged(self, after: str) -> None:
        ledger = self._universe.ledger
        for key, operations in sorted(self._universe.oracles.by_key.items()):
            acked = [one for one in operations if one.acked_s is not None]
            newest = max((one.version for one in acked), default=NO_VERSION)
            for side in Side:
                held = self._universe.sites[side].held(key)
                swept = held is None or held.version not in self._universe.oracles.by_version
                if swept and ledger.owes(key, newest):
                    self._fail(f"lost ({after}): {side.value} has let {key.name} go")
                if ledger.gone(key, newest) and (held is None or self._has_served(key, held)):
                    continue
                if version_of(held) < newest:
                    number = self._universe.oracles.by_version[newest].number
                    self._fail(
                        f"lost ({after}): {side.value} holds {key.name} at {self._named(held)},"
                        f" but write {number} was acknowledged"
                    )
                if held is not None:
                    self._is_sound(side, key, held)

    def _has_served(self, key: Key, held: Record) -> bool:
        """Whether it is a tombstone from before S3 was left that has stayed there; KVSP has it from
        there once it was lost itself."""
        moved = self._universe.plan.moves and key.namespace == MOVED
        left = self._universe.sites[Side.S3].held(key)
        return bool(moved) and held.kind is Kind.TOMBSTONE and held == left

    def _is_sound(self, side: Side, key: Key, held: Record) -> None:
        operation = self._universe.oracles.by_version.get(held.version)
        ours = operation is not None and operation.key == key
        if not ours and held.kind is Kind.TOMBSTONE and self._universe.plan.crawl.grave:
            return  # the collector's, at the floor, in the place of a value that had to go
        if operation is None or operation.key != key or held.kind is not operation.kind:
            self._fail(f"{side.value} holds {key.name} as nobody wrote it: {held.value!r}")
        elif held.value not in {b"", value_of(operation)}:
            self._fail(f"{side.value} holds {key.name} with {held.value!r}")
        elif any(operation.number in m.buried.get(key, ()) for m in self._scopes()):
            self._fail(f"{side.value}: write {operation.number} of {key.name} is back")

    def _scopes(self) -> list[Scope]:
        return list(self._universe.machines.values())

    def _named(self, held: Record | None) -> str:
        operation = None if held is None else self._universe.oracles.by_version.get(held.version)
        return "nothing" if operation is None else f"write {operation.number}"

    async def _read_all(self) -> None:
        """Reads past the cache notice what only reads can notice: copies that went bad. Where one
        home answers alone such a read fails, and one that comes later finds the copy repaired."""
        for worker in self._workers()[:1]:
            keys = sorted(self._universe.oracles.by_key)
            errors = {key: error for key in keys if (error := await _error_of(worker, key))}
            for key in list(errors):
                if self._universe.mode_of(key.namespace).filled is not None:
                    await self._repaired()
                    if await _error_of(worker, key) is None:
                        del errors[key]
            for key, error in errors.items():
                self._fail(f"liveness: {worker.name} cannot read {key.name}: {error}")
        await asyncio.sleep(1.0)

    async def _shown_everywhere(self) -> None:
        """Every machine shows the newest of each key, from its cache or not."""
        for worker in self._workers():
            keys = sorted(self._universe.oracles.by_key)
            for key, answer in zip(keys, worker.read([Read(key) for key in keys]), strict=True):
                held = self._universe.sites[Side.KVSP].held(key)
                try:
                    result = await answer
                except TandemError as error:
                    self._fail(f"{worker.name} cannot read {key.name} in calm weather: {error}")
                    continue
                shows = result.record is None if held is None else result.version == held.version
                if not shows:
                    self._fail(f"{worker.name} shows {result} instead of"
                               f" {self._named(held)} of {key.name}")  # fmt: skip

    def _nothing_left(self) -> None:
        for worker in self._workers():
            if worker.busy():
                self._fail(f"left over at {worker.name}: {worker.busy()}")
            if worker.observer.broken or worker.keeper.errors:
                self._fail(f"{worker.name}: unexpected exceptions")
            refused = self._universe.plan.queue_fails is not None
            queue_errors = worker.inbox.queue_errors + worker.repair.counters.queue_errors
            if worker.repair.counters.errors or (queue_errors and not refused):
                self._fail(f"{worker.name}: unexpected exceptions in repair")


async def _error_of(worker: Worker, key: Key) -> TandemError | None:
    """Why a read past the cache fails, if it does."""
    try:
        await worker.read([Read(key, cache_ttl_s=0)])[0]
    except TandemError as error:
        return error
    return None
