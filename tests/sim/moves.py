"""A namespace that leaves S3 in the storm, is collected in KVSP alone, and comes back in calm."""

import asyncio
from typing import TYPE_CHECKING, Final

from tandem.core.crawl_status import RunRequest
from tandem.core.envelope import seal
from tandem.core.key import NAMESPACE_RECORD, SYSTEM_NAMESPACE, Key
from tandem.core.mode import ACTIVE, Mode, Stage
from tandem.core.namespace import Namespace, Settings, encode_namespace
from tandem.core.record import Kind
from tandem.core.reply import Side
from tandem.core.version import Version
from tests.sim.crawlers import Crawler, troubles
from tests.sim.plan import MOVED

if TYPE_CHECKING:
    from tests.sim.universe import Universe

FILLING: Final = Mode(Stage.SHADOW, Side.KVSP)
BACK_MAX_S: Final = 300.0
"""Three rounds, after the lease of a dead crawler has run out."""


class Moves:
    """Takes its steps: all gateways see one at once, crawlers when they look at the registry."""

    def __init__(self, universe: "Universe") -> None:
        self._universe = universe
        self._epoch = 0
        self.mode = ACTIVE

    def step(self, mode: Mode) -> None:
        """From now on it is kept so."""
        universe = self._universe
        universe.history.note("operator", f"{MOVED[0]} is {mode}")
        self.mode = mode
        self._epoch += 1
        settings = Settings(mode=mode, mode_epoch=self._epoch)
        value = encode_namespace(Namespace(MOVED, f"title of {MOVED[0]}", settings))
        for site in universe.sites.values():
            key = Key(SYSTEM_NAMESPACE, f"{NAMESPACE_RECORD}{MOVED}")
            site.place(key, seal(Version.at(1 + self._epoch), value))

    async def come_back(self, crawler: Crawler) -> None:
        """S3 is filled, and answers again as soon as the gateways would let it."""
        universe = self._universe
        self.step(FILLING)
        since_us = universe.loop.true_us() + 500_000
        await asyncio.sleep(1.0)
        crawler.start(universe.fine_ways)
        until_s = universe.loop.time() + BACK_MAX_S
        while not self._may_answer(since_us):
            if universe.loop.time() > until_s:
                why = troubles(crawler)
                universe.oracles.fail(f"liveness: {MOVED[0]} does not come back to s3: {why}")
                break
            self._ask(crawler)
            await asyncio.sleep(1.0)
        for key in universe.disasters.keys:
            if key.namespace == MOVED:
                self._check(key)
        self.step(ACTIVE)
        crawler.crash()

    def _ask(self, crawler: Crawler) -> None:
        """Has S3 filled; asks again where that could not begin, as while no gateway answers."""
        if all(run.ended and run.failure for run in crawler.board.runs):
            crawler.board.ask(RunRequest(MOVED, rebuild=Side.S3))

    def _may_answer(self, since_us: int) -> bool:
        workers = [worker for host in self._universe.hosts for worker in host.living()]
        heard = [worker.trust.crawled_us(MOVED) > since_us for worker in workers]
        behind = [Side.S3 in worker.trust.behind(MOVED) for worker in workers]
        return bool(heard) and all(heard) and not any(behind)

    def _check(self, key: Key) -> None:
        """S3 must not show what KVSP has deleted for good."""
        kvsp, s3 = (self._universe.sites[side].held(key) for side in Side)
        if kvsp is None and s3 is not None and s3.kind is Kind.VALUE:
            self._universe.oracles.fail(f"s3 answers again, and {key.name} is back")
