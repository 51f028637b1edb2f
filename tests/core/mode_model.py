"""An explicit-state model of two homes, two gateways and the steps of one namespace.

Who writes where, who answers and which steps are taken is the product's own: `Mode`, `step` and
`objections`. All orders of legs, failures, repairs, crawls and steps, and of gateways that see them
late, are tried, breadth first, so the first violation has the shortest trace. What is judged in
every state, for one key:

    LOST    a write was acknowledged, and no home that the namespace is kept in has it
    STALE   a home may give a gateway its first answer, lacks an acknowledged write, and nobody owes
            it to that home: no leg is on its way, no repair is queued
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from tandem.core.key import Key
from tandem.core.mode import Mode, Stage, step
from tandem.core.mode_step import WorkerView, objections
from tandem.core.reply import BOTH_SIDES, Side

NAMESPACE = "ab" * 16
RAMP_PERCENT = 50
MODES = tuple(
    Mode(stage, home, percent)
    for stage in Stage
    for home in Side
    for percent in ((RAMP_PERCENT, 100) if stage is Stage.ACTIVE else (100,))
    if not (stage is Stage.ACTIVE and percent == 100 and home is Side.S3)
)
LONG_SINCE_US, LONG_AGO_US = 10**12, 1


_step = cache(step)


@cache
def _key(drawn: bool) -> Key:
    names = (Key(NAMESPACE, str(number)) for number in range(100))
    ramp = Mode(Stage.ACTIVE, Side.S3, RAMP_PERCENT)
    return next(key for key in names if (len(ramp.answers(key)) == 2) == drawn)


@dataclass(frozen=True)
class Variant:
    """The rule, or the rule with a part left out."""

    start: Mode
    drawn: bool = True
    """Whether the key is one of those that the ramp draws."""
    writes: int = 1
    steps: int = 3
    waits_for_epochs: bool = True
    waits_for_writes: bool = True
    crawl_to_come: bool = True
    crawl_to_leave: bool = True
    lapsed_are_cautious: bool = True


class Flight(NamedTuple):
    """A write on its way."""

    gateway: int
    version: int
    mode: Mode
    cautious: bool
    left: tuple[Side, ...]
    """The legs that have not ended."""
    held: tuple[Side, ...] = ()
    old: bool = False
    """Whether its gateway has seen another mode since."""


class Gateway(NamedTuple):
    mode: Mode
    epoch: int = 0
    lapsed: bool = False
    """Whether its registration has ended, so that nobody waits for it."""


class State(NamedTuple):
    mode: Mode
    gateways: tuple[Gateway, ...]
    held: tuple[int, int] = (0, 0)
    """By home: KVSP, S3."""
    epoch: int = 0
    written: int = 0
    acked: int = 0
    flights: frozenset[Flight] = frozenset()
    owed: frozenset[tuple[int, int, Side]] = frozenset()
    """Gateway, version, home."""
    crawling: str = ""
    """"good": since all gateways had ended what they began by the mode before; "early" if not."""
    crawled: bool = False
    """Whether a good crawl has ended."""

    def has(self, side: Side) -> int:
        return self.held[side is Side.S3]

    def with_held(self, side: Side, version: int) -> "State":
        held = [max(self.has(s), version) if s is side else self.has(s) for s in Side]
        return self._replace(held=(held[0], held[1]))


class Model:
    """All that can happen."""

    def __init__(self, variant: Variant) -> None:
        self.variant = variant
        self.key = _key(variant.drawn)
        self.states = 0

    def first_violation(self, states_max: int) -> tuple[str, ...] | None:
        """The shortest way to a broken promise; None when there is none."""
        start = State(self.variant.start, (Gateway(self.variant.start),) * 2)
        came: dict[State, tuple[State, str] | None] = {start: None}
        edge = deque([start])
        while edge:
            state = edge.popleft()
            if (wrong := self._wrong(state)) is not None:
                return (wrong, *_trace(came, state))
            for what, after in self._next(state):
                if after not in came:
                    came[after] = (state, what)
                    edge.append(after)
                    assert len(came) <= states_max, "more states than are tried"
        self.states = len(came)
        return None

    def _wrong(self, state: State) -> str | None:
        if max(state.has(side) for side in state.mode.legs) < state.acked:
            return f"LOST: {state}"
        for number, gateway in enumerate(state.gateways):
            for side in self._answers(gateway):
                if state.has(side) < state.acked and not self._comes(state, side):
                    return f"STALE: {side} at gateway {number}: {state}"
        return None

    def _answers(self, gateway: Gateway) -> tuple[Side, ...]:
        """The homes that may give it a first answer; one that is cautious waits for both."""
        if gateway.lapsed and self.variant.lapsed_are_cautious:
            return ()
        return gateway.mode.answers(self.key)

    def _comes(self, state: State, side: Side) -> bool:
        return any(f.version >= state.acked and side in f.left for f in state.flights) or any(
            version >= state.acked and lacks is side for _, version, lacks in state.owed
        )

    def _next(self, state: State) -> Iterator[tuple[str, State]]:
        for number in range(len(state.gateways)):
            yield from self._gateway(state, number)
        for flight in state.flights:
            yield from self._legs(state, flight)
        for one in state.owed:
            yield f"repair {one}", self._repaired(state, one)
        yield from self._crawl(state)
        yield from self._steps(state)

    def _gateway(self, state: State, number: int) -> Iterator[tuple[str, State]]:
        gateway = state.gateways[number]
        if state.written < self.variant.writes:
            cautious = gateway.lapsed and self.variant.lapsed_are_cautious
            legs = BOTH_SIDES if cautious else gateway.mode.legs
            flight = Flight(number, state.written + 1, gateway.mode, cautious, legs)
            yield (
                f"gateway {number} writes {flight.version} in {gateway.mode}",
                state._replace(written=flight.version, flights=state.flights | {flight}),
            )
        mine = [flight for flight in state.flights if flight.gateway == number]
        if gateway.epoch != state.epoch or gateway.lapsed:
            seen = frozenset(
                f._replace(old=True) if f.gateway == number else f for f in state.flights
            )
            now = Gateway(state.mode, state.epoch)
            after = _set(state, number, now)._replace(flights=seen)
            yield f"gateway {number} sees {state.mode}", after if mine else _ended(after)
        if number == 1 and not gateway.lapsed and not mine:
            lapsed = gateway._replace(lapsed=True)
            yield f"gateway {number} is gone", _set(state, number, lapsed)

    def _legs(self, state: State, flight: Flight) -> Iterator[tuple[str, State]]:
        rest = state.flights - {flight}
        for side in flight.left:
            left = tuple(s for s in flight.left if s is not side)
            landed = flight._replace(left=left, held=(*flight.held, side))
            yield (
                f"write {flight.version} lands on {side.value}",
                self._moved(state.with_held(side, flight.version), rest, landed),
            )
            yield (
                f"write {flight.version} fails on {side.value}",
                self._moved(state, rest, flight._replace(left=left)),
            )

    def _moved(self, state: State, rest: frozenset[Flight], flight: Flight) -> State:
        """A leg of the flight has ended."""
        if flight.cautious:
            acked = len(flight.held) == len(BOTH_SIDES)
        else:
            acked = any(side in flight.mode.answers(self.key) for side in flight.held)
        after = state._replace(acked=max(state.acked, flight.version if acked else 0))
        if flight.left:
            return after._replace(flights=rest | {flight})
        legs = BOTH_SIDES if flight.cautious else flight.mode.legs
        lacks = {(flight.gateway, flight.version, s) for s in legs if s not in flight.held}
        after = after._replace(flights=rest, owed=after.owed | lacks)
        return _ended(after) if flight.old and self.variant.waits_for_writes else after

    def _repaired(self, state: State, task: tuple[int, int, Side]) -> State:
        gateway = state.gateways[task[0]]
        after = state._replace(owed=state.owed - {task})
        if gateway.mode.two:
            return after._replace(held=(max(state.held),) * 2)
        return after

    def _crawl(self, state: State) -> Iterator[tuple[str, State]]:
        if not state.mode.two:
            return
        if not state.crawling and not state.crawled:
            settled = all(self._is_settled(state, n) for n in range(len(state.gateways)))
            yield "a crawl begins", state._replace(crawling="good" if settled else "early")
        if state.crawling:
            held = (max(state.held),) * 2
            good = state.crawling == "good"
            yield "it ends", state._replace(held=held, crawling="", crawled=good)

    def _is_settled(self, state: State, number: int) -> bool:
        """Whether a crawl that begins now sees all that a gateway began by the mode before."""
        gateway, rule = state.gateways[number], self.variant
        if gateway.lapsed:
            return True
        if rule.waits_for_epochs and gateway.epoch != state.epoch:
            return False
        return not (rule.waits_for_writes and self._has_old(state, number))

    def _steps(self, state: State) -> Iterator[tuple[str, State]]:
        if state.epoch >= self.variant.steps:
            return
        for wanted in MODES:
            if _step(state.mode, wanted) is not None and self._may(state, wanted):
                after = state._replace(mode=wanted, epoch=state.epoch + 1, crawled=False)
                yield f"step to {wanted}", after._replace(crawling="")

    def _may(self, state: State, wanted: Mode) -> bool:
        rule = self.variant
        views = [
            WorkerView(
                str(number), 0, gateway.epoch if rule.waits_for_epochs else state.epoch,
                0 if rule.waits_for_writes and self._has_old(state, number) else LONG_AGO_US,
                waiting=tuple({s for g, _, s in state.owed if g == number}),
            )
            for number, gateway in enumerate(state.gateways)
            if not gateway.lapsed
        ]  # fmt: skip
        leaves = len(wanted.legs) < len(state.mode.legs)
        asked = rule.crawl_to_leave if leaves else rule.crawl_to_come
        crawled_us = LONG_SINCE_US if state.crawled or not asked else 0
        return not objections(state.mode, state.epoch, wanted, views, crawled_us)

    def _has_old(self, state: State, number: int) -> bool:
        return any(flight.old and flight.gateway == number for flight in state.flights)


def _set(state: State, number: int, gateway: Gateway) -> State:
    others = list(state.gateways)
    others[number] = gateway
    return state._replace(gateways=tuple(others))


def _ended(state: State) -> State:
    """A gateway has ended what it began by the mode before: a crawl under way began too early."""
    return state._replace(crawling="early" if state.crawling else "", crawled=False)


def _trace(came: dict[State, tuple[State, str] | None], state: State) -> Iterator[str]:
    steps = []
    at: State = state
    while (before := came[at]) is not None:
        at, what = before
        steps.append(what)
    return reversed(steps)
