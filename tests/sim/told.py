"""What crawls tell while clients write, against what was true meanwhile (P6).

A crawl looks at each key at some moment of its own. A key that nothing has touched from before it
began until it ended, but for its own repair, has been the same at that moment: it must be counted
as what it was. A key that something else has touched may have been anything. So each class has a
least and a greatest count, and a report must lie between them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from crawler.board import Board
from crawler.book import Book
from crawler.crawl import Crawl
from tandem.core.crawl_range import Range
from tandem.core.drift import REAL, Drift
from tandem.core.key import Key
from tandem.core.record import Kind
from tandem.core.reply import Side
from tandem.core.tally import Tally
from tandem.core.version import Version
from tests.sim.history import History
from tests.sim.ledger import version_of
from tests.sim.loop import SeededEntropy
from tests.sim.plan import MOVED
from tests.sim.worker import POLICIES

if TYPE_CHECKING:
    from tests.sim.universe import Universe

TOLD: Final = (*sorted(REAL, key=lambda one: one.value), Drift.RETIRED)
"""Classes of drift that a report may not be wrong about."""
QUIET_S: Final = 4.0
"""A key that was touched later than this before a crawl may look young to it: the times by which it
judges are apart by as much."""


def drift_of(universe: "Universe", key: Key) -> Drift | None:
    """What the difference of a key truly is; see the table of `tandem.core.drift`."""
    kvsp, s3 = (universe.sites[side].held(key) for side in Side)
    if kvsp is None and s3 is None:
        return None
    if kvsp is None:
        assert s3 is not None
        if s3.version > universe.floor(key):
            return Drift.MISSING_IN_KVSP
        return Drift.RETIRED if s3.kind is Kind.TOMBSTONE else Drift.ZOMBIE
    if s3 is None:
        return Drift.MISSING_IN_S3
    if kvsp == s3:
        now_s = universe.loop.true_us() / 1e6
        has_expired = kvsp.kind is Kind.VALUE and not kvsp.live_at(now_s)
        return Drift.EXPIRED if has_expired else None
    if kvsp.version == s3.version:
        return Drift.OTHER_BYTES
    return Drift.OLDER_IN_S3 if kvsp.version > s3.version else Drift.OLDER_IN_KVSP


class Touches:
    """Who has changed a key lately, in whatever home, and when that was sent."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._last: dict[Key, list[tuple[float, str, float]]] = {}
        self._s3_s: dict[Key, float] = {}

    def touched(self, side: Side, key: Key) -> None:
        """Whatever is applied now has changed this key in one home."""
        who, sent_s = self._history.applying
        self._last.setdefault(key, []).append((self._history.now_s, who, sent_s))
        if side is Side.S3:
            self._s3_s[key] = self._history.now_s

    def s3_changed_s(self, key: Key) -> float:
        """When S3 has last changed it."""
        return self._s3_s.get(key, float("-inf"))

    def by_others(self, key: Key, since_s: float, process: str, began_s: float) -> bool:
        """Whether anything but what this process has sent since `began_s` has changed the key."""
        return any(
            at_s >= since_s and not (who.startswith(f"{process}>") and sent_s >= began_s)
            for at_s, who, sent_s in self._last.get(key, ())
        )


@dataclass(frozen=True, slots=True)
class _Begun:
    """What was true when a crawl of a range began."""

    process: str
    namespace: str
    within: Range
    at_s: float
    drift: Mapping[Key, Drift | None]
    floors: Mapping[Key, Version]
    newest_us: Mapping[Key, int]
    """When the newest version of a key was stamped."""
    true_us: int


class Told:
    """Compares the reports of crawls in one universe."""

    def __init__(self, universe: "Universe") -> None:
        self._universe = universe
        self.touches = Touches(universe.history)
        self.compared = 0
        """How many reports of a range had a key in them that was quiet."""

    def begin(self, process: str, namespace: str, within: Range) -> _Begun:
        """This crawler begins a range."""
        universe = self._universe
        keys = [key for key in self._keys(namespace, within) if not self._is_corrupt(key)]
        return _Begun(
            process, namespace, within, universe.loop.time(),
            {key: drift_of(universe, key) for key in keys},
            {key: universe.floor(key) for key in keys},
            {key: self._newest_us(key) for key in keys},
            universe.loop.true_us(),
        )  # fmt: skip

    def end(self, begun: _Begun, tally: Tally) -> None:
        """It has seen all of the range, and has counted this."""
        if not self._can_be_told(begun):
            return
        quiet = [key for key in begun.drift if self._is_quiet(key, begun)]
        least = dict.fromkeys(TOLD, 0)
        for key in quiet:
            drift = begun.drift[key]
            if drift in least:
                least[drift] += 1
        self.compared += any(least.values())
        others = len(self._keys(begun.namespace, begun.within)) - len(quiet)
        self._lies_between(begun, least, others, tally)

    def _keys(self, namespace: str, within: Range) -> list[Key]:
        keys = self._universe.oracles.by_key
        return [key for key in keys if key.namespace == namespace and within.holds(key.name)]

    def _can_be_told(self, begun: _Begun) -> bool:
        """Not of the crawlers' own records, nor of a namespace in one home; nor where a store's
        answers tell a wrong time, and what is old looks young."""
        plan, now_s = self._universe.plan, self._universe.loop.time()
        dated_wrongly = any(
            at_s <= now_s and begun.at_s <= at_s + for_s for at_s, for_s, _ in plan.wrong_dates
        )
        moves = (plan.moves or plan.steps) and begun.namespace == MOVED
        return begun.namespace in POLICIES and not moves and not dated_wrongly

    def _lies_between(
        self, begun: _Begun, least: Mapping[Drift, int], others: int, tally: Tally
    ) -> None:
        lacking = sum(max(0, count - tally.keys[drift]) for drift, count in least.items())
        beyond = sum(max(0, tally.keys[drift] - count) for drift, count in least.items())
        if lacking > tally.keys[Drift.UNKNOWN] or beyond > others:
            told = {drift.value: tally.keys[drift] for drift in least if tally.keys[drift]}
            true = {drift.value: count for drift, count in least.items() if count}
            self._universe.oracles.fail(
                f"report: {begun.process} tells {told} of {begun.namespace[0]}, but {true} has"
                f" not changed meanwhile, and only {others} other keys may count"
            )

    def _is_quiet(self, key: Key, begun: _Begun) -> bool:
        universe = self._universe
        since_s = begun.at_s - QUIET_S - universe.oracles.list_lag_s
        return not (
            self.touches.by_others(key, since_s, begun.process, begun.at_s)
            or universe.floor(key) != begun.floors[key]
            or self._looks_young(key, begun)
        )

    def _looks_young(self, key: Key, begun: _Begun) -> bool:
        """Whether it is like a write in flight by the clock of a home that is behind, or because
        whoever stamped it, or the store that dated it, went by one that was ahead."""
        universe = self._universe
        changed_s = self.touches.s3_changed_s(key)
        ahead_s = universe.oracles.wrong_clocks.ahead_s(changed_s)
        if ahead_s and changed_s + ahead_s > begun.at_s - QUIET_S:
            return True
        behind_s = universe.oracles.wrong_clocks.behind_s(begun.at_s, universe.loop.time())
        return begun.newest_us[key] > begun.true_us - int((QUIET_S + behind_s) * 1e6)

    def _newest_us(self, key: Key) -> int:
        held = (self._universe.sites[side].held(key) for side in Side)
        return max(version_of(one) for one in held).time_us

    def _is_corrupt(self, key: Key) -> bool:
        return any(self._universe.sites[side].is_corrupt(key) for side in Side)


class WatchedBoard(Board):
    """A crawler's board, on which each range of a crawl is compared with the truth."""

    def __init__(
        self, book: Book, entropy: SeededEntropy, process: str, told: Callable[[], Told]
    ) -> None:
        super().__init__(book, entropy)
        self._process = process
        self._told = told
        self._begun: dict[int, _Begun] = {}

    def began(self, crawl: Crawl, within: Range, ranges: int) -> None:
        super().began(crawl, within, ranges)
        self._begun[id(crawl)] = self._told().begin(self._process, crawl.report.namespace, within)

    def left(self, crawl: Crawl, within: Range) -> None:
        super().left(crawl, within)
        report, begun = crawl.report, self._begun.pop(id(crawl))
        if report.ended_at_us and not report.failure and not report.resumed:
            self._told().end(begun, report.tally)
