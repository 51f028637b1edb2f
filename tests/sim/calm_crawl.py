"""Calm weather for crawlers: they make both homes equal, tell the truth about what differs, delete
for good what is dead, and fill a home that was lost."""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

from tandem.core.crawl_status import RunRequest
from tandem.core.drift import Drift
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.record import Kind
from tandem.core.reply import Side
from tandem.core.version import Version
from tests.sim.crawlers import Crawler, all_equal, troubles
from tests.sim.told import TOLD, drift_of
from tests.sim.worker import POLICIES

if TYPE_CHECKING:
    from tests.sim.universe import Universe

EQUAL_MAX_S: Final = 200.0
"""Two rounds, after the lease of a dead crawler has run out."""
COLLECTED_MAX_S: Final = 200.0
"""So long after its grace a dead record may stay."""
_LONGEST_EXPIRY_S: Final = 60.0


class CrawlerCalm:
    """What crawlers must do when nobody disturbs them."""

    def __init__(self, universe: "Universe") -> None:
        self._universe = universe
        self._fail = universe.oracles.fail
        self._crawler: Crawler = universe.crawlers[0]

    async def equal(self, why: str) -> None:
        """Both homes become equal, and everyone trusts both again."""
        universe = self._universe
        since_us = universe.loop.true_us() + 500_000
        await asyncio.sleep(1.0)  # what begins from here on is later than that by any home's clock
        self._crawler.start(universe.fine_ways)
        until_s = universe.loop.time() + EQUAL_MAX_S
        while not all_equal(self._crawler, since_us) or self._distrusting():
            if universe.loop.time() > until_s:
                what = troubles(self._crawler)
                self._fail(f"liveness ({why}): no crawl finds both homes equal: {what}")
                break
            await asyncio.sleep(1.0)
        self._compare(why)

    def _distrusting(self) -> bool:
        """Whether some worker still holds a home to be behind."""
        workers = (worker for host in self._universe.hosts for worker in host.living())
        return any(w.trust.behind(namespace) for w in workers for namespace in POLICIES)

    def _compare(self, why: str) -> None:
        universe = self._universe
        for key in self._universe.disasters.keys:
            if drift_of(universe, key) not in {None, Drift.RETIRED, Drift.EXPIRED}:
                self._fail(f"unequal ({why}): {key.name} is {drift_of(universe, key)}")
            for side in Side:
                if self._universe.sites[side].is_corrupt(key):
                    self._fail(f"corrupt ({why}): {side.value} holds {key.name} in bytes gone bad")

    async def report_is_true(self, count: int) -> None:
        """Some keys are made to differ; a crawl that changes nothing counts just those (P6)."""
        universe = self._universe
        self._crawler.crash()
        for key in universe.disasters.keys[:count]:
            self._disturb(key)
        await asyncio.sleep(universe.plan.crawl.profile.list_lag_s + 3.0)
        _, homes = universe.fine_ways("reporter")
        crawls = self._crawler.crawls_of(homes)
        for namespace in POLICIES:
            request = RunRequest(namespace, dry_run=True)
            told = (await crawls.crawl(namespace, request)).tally.keys
            keys = [key for key in universe.disasters.keys if key.namespace == namespace]
            true = Counter(drift_of(universe, key) for key in keys)
            for drift in TOLD:
                if told[drift] != true[drift]:
                    self._fail(
                        f"report: {told[drift]} keys are said to be {drift.value}"
                        f" instead of {true[drift]}"
                    )
        await self.equal("after what a report showed")

    def _disturb(self, key: Key) -> None:
        """One home loses a key, or has an older version of it."""
        universe = self._universe
        side = universe.random.choice(list(Side))
        held = universe.sites[side].held(key)
        if held is None or universe.sites[side.other].held(key) is None:
            return
        universe.history.note("hand", f"{side.value}: {key.name} is disturbed")
        universe.ledger.forgot(side, [key])
        if universe.random.random() < 0.5 and held.version > universe.floor(key):
            universe.sites[side].drop(key)
        else:
            older = seal(Version.at(held.version.time_us - 1), b"older")
            universe.sites[side].place(key, older)

    async def collected(self) -> None:
        """What is dead goes for good, as far as the store lets it."""
        universe, plan = self._universe, self._universe.plan.crawl
        grace_s = plan.collects.tombstone_grace_s
        until_s = universe.loop.time() + grace_s + _LONGEST_EXPIRY_S + COLLECTED_MAX_S
        while left := self._uncollected():
            if universe.loop.time() > until_s:
                what = troubles(self._crawler)
                self._fail(f"liveness: {left[:3]} are not deleted for good: {what}")
                return
            await asyncio.sleep(5.0)

    def _uncollected(self) -> list[str]:
        universe, left = self._universe, []
        now_s = universe.loop.true_us() / 1e6
        for key in universe.disasters.keys:
            for side in Side:
                held = universe.sites[side].held(key)
                stays = side is Side.S3 and not universe.sites[side].removes
                if held is None or held.live_at(now_s):
                    continue
                if not stays or held.kind is Kind.VALUE:
                    left.append(f"{side.value}/{key.name}")
        return left

    async def filled_again(self, side: Side) -> None:
        """A home is lost, and everything is in it again."""
        self._universe.disasters.wipe(side)
        await self.equal(f"after {side.value} was lost")

    def end(self) -> None:
        """The crawler has done nothing that it should not."""
        for crawler in self._universe.crawlers:
            if crawler.runs and crawler.board.counters.errors:
                self._fail(f"{crawler.name}: unexpected exceptions")
        self._crawler.crash()
