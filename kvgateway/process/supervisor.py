"""Worker processes and who is alive: start, watch, replace, stop.

Every worker sends a heartbeat through a pipe. One that is silent for too long is killed: stopped
inside a transaction on the shared memory it would block all others. A worker that died is replaced
after its intents were taken care of; one that dies again and again is replaced ever more slowly.
A worker whose supervisor is gone finds its pipe broken and stops.

For other settings every worker is replaced while it runs: its successor sits in the slot's other
seat, since both run for a while, and takes over once it serves.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from kvgateway.process.life import Life, Orders, first
from kvgateway.process.lives import Lives
from tandem.core.backoff import delay_s
from tandem.errors import ConfigurationError
from tandem.runtime import logs
from tandem.runtime.clock import Clock

_LOG = logs.get("supervisor")
STABLE_US = 10_000_000
"""A worker that lived this long starts with a clean record."""
READY_S = 60.0
"""A successor that does not serve by then is given up."""
_STOPPING = "the gateway is being stopped"


@dataclass(slots=True)
class _Worker:
    """One slot and the process that fills it."""

    seat: int
    orders: Orders
    life: Life | None = None
    deaths: int = 0
    lives: Lives = field(default_factory=Lives)
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever puts a process into the slot."""


@dataclass(slots=True)
class Supervisor:
    """Keeps `slots` workers running until told to stop.

    Args:
        recover: has reads want what a dead worker left, and makes repair tasks of it as soon as the
            disk takes those; runs before a seat is taken again.
        tell: hears what became of the workers, slot by slot, whenever that changes.
    """

    slots: int
    orders: Orders
    recover: Callable[[int], Awaitable[None]]
    tell: Callable[[Sequence[Lives]], None]
    clock: Clock
    silence_max_us: int
    drain_s: float
    _workers: list[_Worker] = field(default_factory=list)
    _running: list[Life] = field(default_factory=list)
    _replacing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, stop: asyncio.Event) -> None:
        """Runs workers until `stop` is set; then lets them drain, and returns when all are gone."""
        self._workers = [_Worker(slot, self.orders) for slot in range(self.slots)]
        async with asyncio.TaskGroup() as group:
            for worker in self._workers:
                group.create_task(self._keep(worker, stop))
            group.create_task(self._watch(stop))
        async with self._replacing:
            assert not self._running, "whoever replaces has ended its successor"

    async def replace(self, orders: Orders, stop: asyncio.Event) -> None:
        """Puts processes with other orders into all slots, one after the other.

        ConfigurationError when one of them does not come to serve, or `stop` is set before: then
        all slots go by the orders before.
        """
        async with self._replacing:
            done: list[_Worker] = []
            try:
                for worker in self._workers:
                    await self._replace(worker, orders, stop)
                    done.append(worker)
            except Exception:
                for worker in done:
                    await self._restore(worker, stop)
                raise
            self.orders = orders

    def _told(self) -> None:
        self.tell([worker.lives for worker in self._workers])

    async def _keep(self, worker: _Worker, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if worker.deaths:
                await _unless(stop, _pause_s(worker.deaths))
            try:
                if worker.deaths:
                    await self.recover(worker.seat)
                if stop.is_set():
                    break
                async with worker.changing:
                    if worker.life is None:
                        worker.life = await self._begin(worker, worker.seat, worker.orders)
                await self._until_gone(worker, stop)
            except Exception as error:
                worker.deaths += 1
                worker.lives.not_started += 1
                self._told()
                slot = worker.seat % self.slots
                _LOG.error("worker_not_started", slot=slot, error=repr(error), exc_info=True)

    async def _begin(self, worker: _Worker, seat: int, orders: Orders) -> Life:
        life = await Life.begin(seat, orders, self.clock)
        self._running.append(life)
        life.gone.add_done_callback(lambda _: self._running.remove(life))
        worker.lives.started += 1
        self._told()
        return life

    async def _until_gone(self, worker: _Worker, stop: asyncio.Event) -> None:
        """Until the process that fills the slot is gone, whichever that is by then."""
        stopped = asyncio.ensure_future(stop.wait())
        try:
            while (life := worker.life) is not None and not stop.is_set():
                await first(life.gone, stopped)
                if life is worker.life and life.gone.done():
                    worker.life = None
                    if not stop.is_set():
                        self._died(worker, life)
        finally:
            stopped.cancel()
        if stop.is_set():
            async with worker.changing:
                if worker.life is not None:
                    await worker.life.end(self.drain_s)
                    worker.life = None

    def _died(self, worker: _Worker, life: Life) -> None:
        lived_us = self.clock.monotonic_us() - life.started_us
        worker.deaths = 1 if lived_us >= STABLE_US else worker.deaths + 1
        worker.lives.died += 1
        self._told()
        _LOG.error(
            "worker_died",
            slot=life.seat % self.slots,
            status=life.gone.result(),
            killed_for=life.killed_for,
            deaths=worker.deaths,
        )

    async def _replace(self, worker: _Worker, orders: Orders, stop: asyncio.Event) -> None:
        """The one before drains once its successor serves, and nobody takes its seat before its
        intents are safe."""
        if stop.is_set():
            raise ConfigurationError([_STOPPING])
        before, emptied = None, worker.seat
        seat = (emptied + self.slots) % (2 * self.slots)
        try:
            life = await self._begin(worker, seat, orders)
        except OSError as error:
            raise self._not_up(worker, f"no worker can be started with them: {error}") from error
        obstacle = await self._obstacle(life, stop)
        async with worker.changing:
            if not obstacle and not stop.is_set():
                before, worker.life = worker.life, life
                worker.seat, worker.orders = seat, orders
        if worker.seat != seat:
            await life.end(self.drain_s)
            await self._recovered(seat, stop)
            raise self._not_up(worker, obstacle or _STOPPING)
        worker.lives.replaced += 1
        self._told()
        if before is not None:
            await before.end(self.drain_s)
        await self._recovered(emptied, stop)

    def _not_up(self, worker: _Worker, why: str) -> ConfigurationError:
        if why != _STOPPING:
            worker.lives.not_started += 1
            self._told()
        return ConfigurationError([why])

    async def _obstacle(self, life: Life, stop: asyncio.Event) -> str:
        """Why a successor cannot take over; empty once it serves."""
        ready = asyncio.ensure_future(life.ready.wait())
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await first(ready, life.gone, stopped, within_s=READY_S)
        finally:
            ready.cancel()
            stopped.cancel()
        if stop.is_set():
            return _STOPPING
        if life.gone.done():
            why = f", killed for {life.killed_for}" if life.killed_for else ""
            status = life.gone.result()
            return f"a worker with them ended with status {status}{why}; the log has its words"
        return "" if life.ready.is_set() else f"a worker with them does not serve in {READY_S:g} s"

    async def _restore(self, worker: _Worker, stop: asyncio.Event) -> None:
        """Back to the orders before; where even those have no successor, the process that runs has
        to go first."""
        try:
            await self._replace(worker, self.orders, stop)
        except ConfigurationError as error:
            slot = worker.seat % self.slots
            _LOG.error("worker_not_restored", slot=slot, why=list(error.mistakes))
            worker.orders = self.orders
            if worker.life is not None:
                worker.life.ask_to_stop()

    async def _recovered(self, seat: int, stop: asyncio.Event) -> None:
        """Tries until the intents of a worker that was replaced are safe, as on a full disk."""
        failures = 0
        while not stop.is_set():
            try:
                await self.recover(seat)
            except Exception as error:
                failures += 1
                slot = seat % self.slots
                _LOG.error("worker_not_recovered", slot=slot, error=repr(error), exc_info=True)
                await _unless(stop, _pause_s(failures))
            else:
                return

    async def _watch(self, stop: asyncio.Event) -> None:
        """Looks at the workers four times in the longest silence; while this process, or the whole
        machine, stood still, nobody can have been heard, and nobody counts as silent."""
        looked_us = self.clock.monotonic_us()
        while not stop.is_set():
            pause_us = self.silence_max_us // 4
            await _unless(stop, pause_us / 1e6)
            now_us = self.clock.monotonic_us()
            stood_us = now_us - looked_us - pause_us
            looked_us = now_us
            for life in self._running:
                if stood_us > pause_us:
                    life.heard_us += stood_us
                if now_us - life.heard_us <= self.silence_max_us or life.killed_for:
                    continue
                life.kill("silence")
                self._workers[life.seat % self.slots].lives.silent += 1
                self._told()


def _pause_s(failures: int) -> float:
    return delay_s(failures, first_s=0.05, most_s=5.0, unit_random=0.5)


async def _unless(stop: asyncio.Event, pause_s: float) -> None:
    """Waits, but not longer than until `stop` is set."""
    try:
        await asyncio.wait_for(stop.wait(), pause_s)
    except TimeoutError:
        return
