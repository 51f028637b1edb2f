"""A namespace that an operator takes from mode to mode in the storm, by the real steps.

Whatever objects to a step (`tandem.core.mode_step`) is waited for, as a person would. In calm
weather it comes home: both homes answer for all of it again.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tandem.core.crawl_status import RunRequest
from tandem.core.mode import ACTIVE, Mode, Stage, step, steps_from
from tandem.core.mode_step import ModeReport
from tandem.core.reply import Side
from tandem.errors import TandemError
from tests.sim.crawlers import Crawler, troubles
from tests.sim.history import ConnectionLost
from tests.sim.plan import MOVED
from tests.sim.worker import Worker

if TYPE_CHECKING:
    from tests.sim.universe import Universe

TRY_EACH_S: Final = 1.0
HOME_MAX_S: Final = 400.0
"""Four steps, each after a crawl; the first one after the claim of a step has ended of which nobody
knows whether it was taken."""


class Journey:
    """Of one namespace; `begin` is for the storm, `come_home` for the calm after it."""

    def __init__(self, universe: "Universe") -> None:
        self._universe = universe
        self._wanted = ACTIVE
        self._task: asyncio.Task[None] | None = None
        self._asked: dict[int | None, str] = {}
        """By the epoch of the mode, the run that was asked for."""
        self.taken: list[Mode] = []
        """The steps of which somebody has heard that they were taken."""

    def begin(self, stages: Sequence[tuple[float, Mode]]) -> None:
        """An operator wants another mode at each of these times."""
        if not stages:
            return
        loop = self._universe.loop
        for at_s, mode in stages:
            loop.call_at(at_s, self._want, mode)
        self._task = loop.create_task(self._run())
        self._task.add_done_callback(loop.must_not_fail)

    def _want(self, mode: Mode) -> None:
        if not self._universe.is_calm:
            self._wanted = mode

    async def _run(self) -> None:
        while not self._universe.is_calm:
            await self._try()
            await asyncio.sleep(TRY_EACH_S)

    async def come_home(self, crawler: Crawler) -> None:
        """What it takes for both homes to answer again; no crawl if they do."""
        universe = self._universe
        assert self._task is not None
        await self._task  # a step away that is still under way would be taken behind our back
        self._wanted = ACTIVE
        until_s = universe.loop.time() + HOME_MAX_S
        while not self._is_home():
            if universe.loop.time() > until_s:
                why = troubles(crawler) if crawler.runs else "nobody crawls"
                universe.oracles.fail(f"liveness: {MOVED[0]} does not come home: {why}")
                break
            if any(mode is not ACTIVE for mode in self._modes()):
                crawler.start(universe.fine_ways)
                self._fill(crawler)
            await self._try()
            await asyncio.sleep(TRY_EACH_S)
        if crawler.runs:
            crawler.crash()

    def _fill(self, crawler: Crawler) -> None:
        """As `kvctl backfill`: what a home lacks that nobody reads is copied once somebody says so;
        said again where that could not begin, and once the home was left meanwhile."""
        for worker, mode in zip(self._workers(), self._modes(), strict=True):
            asked = self._asked.get(_epoch(worker))
            failed = any(run.id == asked and run.failure for run in crawler.board.runs)
            if mode.filled and (asked is None or failed):
                run = crawler.board.ask(RunRequest(MOVED, rebuild=mode.filled))
                self._asked[_epoch(worker)] = run.id

    async def _try(self) -> None:
        """One step, if there is one to take, asked of whichever worker."""
        workers = [worker for worker in self._workers() if not worker.host.stands_still]
        if not workers:
            return
        worker = self._universe.random.choice(workers)
        assert worker.registered is not None
        now = worker.registered.view.mode_of(MOVED)
        if now == self._wanted:
            return
        try:
            report = await worker.registered.step(MOVED, next_step(now, self._wanted))
        except (TandemError, ConnectionLost) as error:
            self._universe.history.note("operator", f"{MOVED[0]} stays {now}: {error!r}")
        else:
            self._told(worker, report)

    def _told(self, worker: Worker, report: ModeReport) -> None:
        mode = report.namespace.settings.mode
        if report.stepped:
            self.taken.append(mode)
            self._universe.history.note("operator", f"{MOVED[0]} is {mode}, says {worker.name}")
            self._are_close_together()
        else:
            why = "; ".join(one.text for one in report.objections)
            self._universe.history.note("operator", f"{MOVED[0]} stays {mode}: {why}")

    def _are_close_together(self) -> None:
        """Workers that go by what they know of it know the newest mode, or the one before."""
        epochs = {worker.name: _epoch(worker) for worker in self._workers()}
        known = [epoch for epoch in epochs.values() if epoch is not None]
        if known and max(known) - min(known) > 1:
            self._universe.oracles.fail(f"steps: {MOVED[0]} is in epochs apart: {epochs}")

    def _workers(self) -> list[Worker]:
        return [worker for host in self._universe.hosts for worker in host.living()]

    def _modes(self) -> list[Mode]:
        return [one.registered.view.mode_of(MOVED) for one in self._workers() if one.registered]

    def _is_home(self) -> bool:
        standing = all(
            one.registered.presence.stands() for one in self._workers() if one.registered
        )
        whole = all(host.whole for host in self._universe.hosts)
        return whole and standing and all(mode == ACTIVE for mode in self._modes())


def _epoch(worker: Worker) -> int | None:
    assert worker.registered is not None
    return worker.registered.epoch_of(MOVED)


def next_step(now: Mode, wanted: Mode) -> Mode:
    """The step that leads there, or nearest to it."""
    if step(now, wanted) is not None:
        return wanted
    return min(steps_from(now), key=lambda mode: abs(_place(mode) - _place(wanted)))


def _place(mode: Mode) -> float:
    """Where a mode is between one home alone and the other one."""
    far = {Stage.SINGLE: 3.0, Stage.SHADOW: 2.0, Stage.ACTIVE: 0.0 if mode.whole else 1.0}
    return far[mode.stage] * (1 if mode.home is Side.KVSP else -1)
