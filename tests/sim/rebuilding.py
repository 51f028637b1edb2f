"""`kvctl backend rebuild` in the storm: what it asks gateways and crawler for, and what it says.

The gateways' operations, the crawler's runs and the command's judgement are the real ones; what is
written anew here is the order in which `kvctl.rebuild.command` asks for them.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from crawler.board import Board
from kvctl.endings import Ended, Ending
from kvctl.rebuild.command import CRAWLS_MAX, TRUSTED_S
from kvctl.rebuild.evidence import (
    check_homes,
    check_seen,
    check_which,
    drifted,
    is_behind,
    is_marked,
    lacks,
)
from kvgateway.operations import GatewayOperations
from kvgateway.overview import Overview, ThisWorker
from tandem.backends.opening import HomeLabel
from tandem.core.crawl_status import Run, RunRequest
from tandem.core.key import Key
from tandem.core.operations import Status
from tandem.core.reply import Side
from tandem.core.version import NO_VERSION, Version
from tandem.errors import TandemError
from tests.sim.crawlers import Crawler
from tests.sim.history import ConnectionLost
from tests.sim.ledger import version_of
from tests.sim.worker import Worker

if TYPE_CHECKING:
    from tests.sim.universe import Universe

LOOK_S: Final = 0.5
AGAIN_S: Final = 3.0
"""After so long a person gives the command again that could not do its work."""
DONE_MAX_S: Final = 300.0
"""So long it may take in calm weather: two rounds and the lease of a dead crawler."""
QUIET_S: Final = 4.0
"""A write that began later than this before the command did may look young to its crawls."""


class Rebuilding:
    """Of one home; `begin` is for the storm, `finish` for the calm after it."""

    def __init__(self, universe: "Universe") -> None:
        self._universe = universe
        self._crawler: Crawler = universe.crawlers[0]
        self._task: asyncio.Task[None] | None = None
        self._side = Side.KVSP
        self.done = 0
        """How often the command has said that the home is filled."""

    def begin(self, rebuild: tuple[float, Side] | None) -> None:
        """An operator gives the command, from then on, until it is done once."""
        if rebuild is not None:
            at_s, self._side = rebuild
            self._task = self._universe.loop.create_task(self._run(at_s))
            self._task.add_done_callback(self._universe.loop.must_not_fail)

    async def _run(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self._universe.loop.time()))
        for misfortune in self._universe.storm.misfortunes:
            await misfortune  # a home that is being restored is switched off
        while not await self._given():
            await asyncio.sleep(AGAIN_S)

    async def finish(self) -> None:
        """The command is done, at the latest now that nothing disturbs it."""
        assert self._task is not None
        universe = self._universe
        self._crawler.start(universe.fine_ways)
        until_s = universe.loop.time() + DONE_MAX_S
        while not self._task.done() and universe.loop.time() < until_s:
            await asyncio.sleep(1.0)
        if not self._task.done():
            universe.oracles.fail(f"liveness: {self._side.value} is not rebuilt")
            self._task.cancel()
        self._crawler.crash()

    async def _given(self) -> bool:
        """Gives the command; whether it ends well."""
        began_s, struck = self._universe.loop.time(), self._universe.disasters.struck
        try:
            await self._command()
        except (Ended, TandemError, ConnectionLost) as why:
            self._note(f"cannot be rebuilt: {why}")
            return False
        self._note("is rebuilt")
        self.done += 1
        if struck == self._universe.disasters.struck:
            self._lacks_nothing(began_s)
        return True

    def _note(self, what: str) -> None:
        self._universe.history.note("operator", f"{self._side.value} {what}")

    async def _command(self) -> None:
        """See `kvctl.rebuild.command.rebuild_command`, with --yes."""
        side, workers = self._side, self._gateways()
        statuses = [await _status(worker) for worker in workers]
        for worker, status in zip(workers, statuses, strict=True):
            check_homes(status, side, worker.name, force=False)
        look = await self._ended_run(RunRequest(dry_run=True))
        check_seen(look, side)
        check_which(look.crawls, side)
        if not lacks(look.crawls, side).keys and not is_behind(statuses, side):
            if drifted(look.crawls):
                raise Ended(Ending.DRIFT, "keys differ")
            return
        for worker, status in zip(workers, statuses, strict=True):
            if not is_marked(status, side):
                await worker.call(operations_of(worker).mark_behind(side))
        await self._fill()

    async def _fill(self) -> None:
        left, trusted = 0, False
        for _ in range(CRAWLS_MAX):
            for request in (RunRequest(rebuild=self._side), RunRequest(dry_run=True)):
                run = await self._ended_run(request)
                check_seen(run, self._side)
            left, trusted = drifted(run.crawls), await self._trusted()
            if trusted and not left:
                return
        raise Ended(Ending.DRIFT, f"{left} keys differ, it is {'' if trusted else 'not '}trusted")

    async def _ended_run(self, request: RunRequest) -> Run:
        if not self._crawler.runs:
            raise Ended(Ending.UNAVAILABLE, "there is no crawler")
        board = self._crawler.board
        asked = board.ask(request)
        while self._goes_on(board):
            for run in board.runs:
                if run.id == asked.id and run.ended:
                    return run
            await asyncio.sleep(LOOK_S)
        raise Ended(Ending.UNAVAILABLE, "the crawler ended before the crawl did")

    def _goes_on(self, board: Board) -> bool:
        """Whether the crawler lives whose board this is."""
        return self._crawler.runs and self._crawler.board is board

    async def _trusted(self) -> bool:
        for _ in range(int(TRUSTED_S / LOOK_S)):
            statuses = [await _status(worker) for worker in self._gateways()]
            if not is_behind(statuses, self._side):
                return True
            await asyncio.sleep(LOOK_S)
        return False

    def _gateways(self) -> Sequence[Worker]:
        """One worker of each machine, as a connection finds one."""
        hosts = self._universe.hosts
        if not all(host.living() and not host.stands_still for host in hosts):
            raise Ended(Ending.UNAVAILABLE, "a gateway does not answer")
        return [host.living()[0] for host in hosts]

    def _lacks_nothing(self, began_s: float) -> None:
        """What was acknowledged before, and nobody has written since, is in the home now."""
        universe, side = self._universe, self._side
        for key, version in sorted(self._quiet(began_s).items()):
            held = version_of(universe.sites[side].held(key))
            if held < version and not universe.ledger.gone(key, version):
                universe.oracles.fail(
                    f"lost (a rebuild): {side.value} is said to be filled, and lacks {key.name}"
                )

    def _quiet(self, began_s: float) -> dict[Key, Version]:
        """The newest acknowledged version of the keys that nobody was writing any more."""
        found: dict[Key, Version] = {}
        for key, operations in self._universe.oracles.by_key.items():
            acked = [one.version for one in operations if one.acked_s is not None]
            if all(one.over and one.began_s < began_s - QUIET_S for one in operations):
                found[key] = max(acked, default=NO_VERSION)
        return found


async def _status(worker: Worker) -> Status:
    return await worker.call(operations_of(worker).status())


def operations_of(worker: Worker) -> GatewayOperations:
    """What an operator may ask of a worker; nothing here asks for the parts that are missing."""
    label = HomeLabel("simulated", "", str)
    nothing = cast(Any, None)
    overview = Overview(
        guards=worker.guards, labels=dict.fromkeys(Side, label), time=worker.time,
        trust=worker.trust, switches=worker.switches, journal=worker.journal, inbox=worker.inbox,
        left_over=worker.host.memory.left_over, queue=worker.queue, repair=worker.repair,
        namespaces_equal=lambda: None, doubled=lambda: False,
        worker=ThisWorker(worker.host.name, process=0, workers=1, restarts=int),
    )  # fmt: skip
    return GatewayOperations(
        overview=overview, guards=worker.guards, time=worker.time, trust=worker.trust,
        queue=worker.queue, repair=worker.repair, switches=worker.switches, keeper=worker.keeper,
        steps=nothing, prefix="",
    )  # fmt: skip
