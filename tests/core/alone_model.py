"""An explicit-state model of a namespace that leaves S3, is collected in KVSP, and comes back.

Whatever decides is the product's own: `collection` and `remains`. The modes go round:

    both      writes go to both homes, either confirms, either answers
    alone     writes go to A (KVSP), which confirms and answers; what B (S3) holds grows old
    shadow    writes go to both, A confirms and answers; repairs and the sweep fill B

All orders of writes, legs, repairs, crawls, steps and restores are tried, breadth first. Judged in
every state: what A answers alone, what B would answer, and what both hold once all is repaired.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from tandem.core.collect import Collection, CrawlSeen, DeadRecord, Homes, Remains, collection
from tandem.core.removal import Span
from tests.core.collect_state import (
    ALWAYS_US,
    APART_US,
    RULE,
    Held,
    Label,
    Op,
    Rec,
    newer,
    record,
    remains_of,
    trace,
    version,
    with_at,
)

NEXT = {"both": "alone", "alone": "shadow", "shadow": "both"}


@dataclass(frozen=True)
class Variant:
    """The rule, or the rule with a part left out."""

    ops: tuple[Op, ...]
    a: Held = ()
    """What both homes hold at first; empty for nothing."""
    mode: str = "alone"
    mirror: int = 0
    """The floor of a collection before S3 was left, which both A and its mirror know."""
    acked: frozenset[int] = frozenset()
    """Which of the writes are in both homes at first."""
    steps: int = 2
    removes: bool = True
    restores: bool = False
    floor_first: bool = True
    same_mode: bool = True
    zombies_are_unequal: bool = True
    mirrored_on_return: bool = True
    swept_before_mirrored: bool = True
    upholds_rows: bool = True
    upholds_floors: bool = True

    @cached_property
    def keys(self) -> int:
        return 1 + max(op.key for op in self.ops)


class Leg(NamedTuple):
    to: str
    """A, B, or S for a sweep of B."""
    key: int
    rec: Rec
    op: int
    """Which write it belongs to; -1 for a repair."""
    mode: str = ""
    """By which its gateway confirms it."""


class Crawl(NamedTuple):
    epoch: int
    """Of the mode that the crawler went by: it was read before the crawl began."""
    began: int = -1
    """Up to which version the ack window had closed; -1 before it has begun."""


class State(NamedTuple):
    mode: str
    epoch: int
    a: Held
    b: Held
    stages: tuple[bool, ...]
    legs: frozenset[Leg]
    acked: frozenset[int]
    window: int
    crawl: Crawl | None
    floor: int
    mirror: int
    crawled: bool
    """Whether a crawl in this mode has found the homes equal."""
    backup: tuple[Held, int, frozenset[int]] | None
    restored: bool


Step = tuple[Label, State]


class Model:
    """One variant's states and steps."""

    def __init__(self, variant: Variant) -> None:
        self.variant = variant
        self.versions = sorted({op.version for op in variant.ops})
        self.states = 0
        self._known: dict[tuple[object, ...], str] = {}

    def first_violation(self, states_max: int) -> tuple[str, list[str]] | None:
        """What goes wrong first, and how; None when every state was seen and is sound."""
        rule = self.variant
        held = rule.a or (None,) * rule.keys
        stages = tuple(number in rule.acked for number in range(len(rule.ops)))
        start = State(
            rule.mode, 0, held, held, stages, frozenset(), rule.acked, 0, None, rule.mirror,
            rule.mirror, False, None, False,
        )  # fmt: skip
        came_by: dict[State, Step | None] = {start: None}
        waiting = deque([start])
        while waiting:
            state = waiting.popleft()
            if wrong := self.wrong(state):
                return wrong, trace(came_by, state)
            for label, following in self.steps(state):
                if following not in came_by:
                    came_by[following] = (label, state)
                    waiting.append(following)
            assert len(came_by) <= states_max, "the model has outgrown its test"
        self.states = len(came_by)
        return None

    def steps(self, state: State) -> Iterator[Step]:
        yield from self._writes(state)
        yield from self._repairs(state)
        yield from self._modes(state)
        yield from self._collector(state)
        yield from self._restores(state)

    def _writes(self, state: State) -> Iterator[Step]:
        for number, op in enumerate(self.variant.ops):
            if not state.stages[number] and op.version > state.window:
                stages = (*state.stages[:number], True, *state.stages[number + 1 :])
                sides = "A" if state.mode == "alone" else "AB"
                rec = (op.version, op.kind)
                legs = {Leg(to, op.key, rec, number, state.mode) for to in sides}
                yield ("write", op), state._replace(stages=stages, legs=state.legs | legs)
        if later := [v for v in self.versions if v > state.window]:
            yield ("window of", later[0], "closes"), state._replace(window=later[0])
        for leg in state.legs:
            yield (leg, "lands"), self._landed(state._replace(legs=state.legs - {leg}), leg)

    def _landed(self, state: State, leg: Leg) -> State:
        if leg.to == "S":
            left = None if self.variant.removes else (max(state.floor, leg.rec[0] + 1), "d")
            swept = state.b[leg.key] == leg.rec
            return state._replace(b=with_at(state.b, leg.key, left)) if swept else state
        held = state.a if leg.to == "A" else state.b
        if leg.to == "A" and held[leg.key] is None and leg.rec[0] <= state.floor:
            return state
        if newer(leg.rec, held[leg.key]):
            after = with_at(held, leg.key, leg.rec)
            state = state._replace(a=after) if leg.to == "A" else state._replace(b=after)
        confirms = leg.to == "A" or leg.mode == "both"
        if leg.op >= 0 and confirms and leg.rec[0] > state.window:
            return state._replace(acked=state.acked | {leg.op})
        return state

    def _repairs(self, state: State) -> Iterator[Step]:
        """Nothing is repaired in one home alone."""
        if state.mode == "alone":
            return
        for key in range(self.variant.keys):
            leg = self._repair(state, key)
            if leg is not None and leg not in state.legs:
                mirror = state.mirror
                if leg.to == "S" and not self.variant.swept_before_mirrored:
                    mirror = max(mirror, state.floor)
                yield ("repair", leg), state._replace(legs=state.legs | {leg}, mirror=mirror)

    def _repair(self, state: State, key: int) -> Leg | None:
        a, b = state.a[key], state.b[key]
        if newer(a, b):
            assert a is not None
            return Leg("B", key, a, -1)
        if b is None or a == b:
            return None
        match remains_of(a, b, state.floor):
            case Remains.ZOMBIE:
                return Leg("S", key, b, -1)
            case Remains.RETIRED:
                return None
            case None:
                return Leg("A", key, b, -1)

    def _equal(self, state: State) -> bool:
        """What a crawl says that repairs what it can."""
        for key in range(self.variant.keys):
            leg = self._repair(state, key)
            if leg is not None and (leg.to != "S" or self.variant.zombies_are_unequal):
                return False
        return True

    def _modes(self, state: State) -> Iterator[Step]:
        if state.mode != "alone" and not state.crawled and not state.legs and self._equal(state):
            floor = state.floor if self.variant.mirrored_on_return else 0
            yield (
                "a crawl finds them equal",
                state._replace(crawled=True, mirror=max(state.mirror, floor)),
            )
        if state.epoch < self.variant.steps and self._may_step(state):
            after = state._replace(mode=NEXT[state.mode], epoch=state.epoch + 1, crawled=False)
            yield f"step to {after.mode}", after

    def _may_step(self, state: State) -> bool:
        """S3 is left by way of a shadow in which KVSP gets everything, here in one step."""
        match state.mode:
            case "both":
                return state.crawled and not state.legs and self._equal(state)
            case "shadow":
                return state.crawled
            case _:
                return True

    def _collector(self, state: State) -> Iterator[Step]:
        if state.crawl is None:
            if state.mode == "alone":
                yield "the crawler reads the mode", state._replace(crawl=Crawl(state.epoch))
        elif state.crawl.began < 0:
            begun = state.crawl._replace(began=state.window)
            yield "a crawl of A begins", state._replace(crawl=begun)
        else:
            yield from self._collected(state._replace(crawl=None), state.crawl)

    def _collected(self, state: State, crawl: Crawl) -> Iterator[Step]:
        """What `collection` says, done in as many steps as can be told apart: what is dead and
        below the floor may go at any time once the floor has risen."""
        dead = {str(n): rec for n, rec in enumerate(state.a) if rec is not None and rec[1] == "d"}
        seen = CrawlSeen(
            Span("n"), APART_US * crawl.began + RULE.unsettled_us + 1, ALWAYS_US, True,
            version(0), dirty=False, healthy=True,
            incarnations_begun={"c": ""}, incarnations_ended={"c": ""},
            stepped=self.variant.same_mode and crawl.epoch != state.epoch,
        )  # fmt: skip
        records = [
            DeadRecord(name, record(rec).version, record(rec).digest) for name, rec in dead.items()
        ]
        plan = collection(seen, records, RULE, Homes.KVSP)
        if not isinstance(plan, Collection) or not plan.dead:
            yield "the crawl ends for nothing", state
            return
        risen = state
        if self.variant.floor_first:
            risen = self._risen(state, max(dead[one.name][0] for one in plan.dead))
            yield "the floor rises, and the collector dies", risen
        a = state.a
        for one in plan.dead:
            a = with_at(a, int(one.name), None)
        yield "the dead go", risen._replace(a=a)

    def _risen(self, state: State, floor: int) -> State:
        """With the grace, whatever is under way for a version up to the floor is over."""
        alive = frozenset(leg for leg in state.legs if leg.to == "S" or leg.rec[0] > floor)
        stages = tuple(
            stage or op.version <= floor
            for stage, op in zip(state.stages, self.variant.ops, strict=True)
        )
        return state._replace(floor=max(state.floor, floor), legs=alive, stages=stages)

    def _restores(self, state: State) -> Iterator[Step]:
        """A copy of A is made in the time alone, and takes A's place, once. Until a crawl has found
        both homes equal, A was the only one: what was acknowledged since the copy is lost."""
        if not self.variant.restores or state.restored:
            return
        if state.backup is None:
            if state.mode == "alone":
                backup = (state.a, state.floor, state.acked)
                yield "A is copied", state._replace(backup=backup)
            return
        whole = state.mode == "both" or (state.mode == "shadow" and state.crawled)
        if whole and not (self._equal(state) and not state.legs):
            return
        a, floor, acked = state.backup
        after = state._replace(
            a=a, floor=floor, restored=True, crawled=False, acked=state.acked if whole else acked
        )
        yield "A is RESTORED", self._renewed(after)

    def _renewed(self, state: State) -> State:
        """By its number of commits at least, the copy is found to be behind its mirror."""
        forgot = state.floor < state.mirror
        a, floor = state.a, state.floor
        if forgot or not self.variant.upholds_rows:
            a = tuple(None if rec is None or rec[0] <= state.mirror else rec for rec in a)
        if forgot or not self.variant.upholds_floors:
            floor = 0
        return state._replace(a=a, floor=floor, mirror=0)

    def wrong(self, state: State) -> str:
        """What is wrong now, or will be once everything is repaired."""
        judged = (
            state.mode, state.a, state.b, state.floor, state.acked, state.stages, state.restored,
        )  # fmt: skip
        if judged not in self._known:
            self._known[judged] = self._wrong(state)
        return self._known[judged]

    def _wrong(self, state: State) -> str:
        for key in range(self.variant.keys):
            a, b = state.a[key], state.b[key]
            comes = state.mode == "both" or (state.mode == "shadow" and state.restored)
            if not comes and (wrong := self._judged(state, key, a)):
                return f"A: {wrong}"
            if state.mode == "both" and b is not None and not state.restored:
                zombie = remains_of(a, b, state.floor) is Remains.ZOMBIE
                if zombie and (wrong := self._judged(state, key, b)):
                    return f"B: {wrong}"
        end = self._repaired(state)
        for key in range(self.variant.keys):
            if wrong := self._judged(state, key, end.a[key]):
                return f"repaired: {wrong}"
            if self._repair(end, key) is not None:
                return f"key {key} does not converge: {end}"
        return ""

    def _repaired(self, state: State) -> State:
        for _ in range(5):
            for key in range(self.variant.keys):
                if (leg := self._repair(state, key)) is not None:
                    state = self._landed(state, leg)
        return state

    def _judged(self, state: State, key: int, stands: Rec | None) -> str:
        acked = [op for n, op in enumerate(self.variant.ops) if n in state.acked and op.key == key]
        if not acked:
            return ""
        last = max(acked, key=lambda op: op.version)
        if last.kind == "d":
            back = stands is not None and stands[0] < last.version and stands[1] != "d"
            return f"BACK: {stands} after {last}" if back else ""
        return f"LOST: {last}, there is {stands}" if not self._stands(state, last, stands) else ""

    def _stands(self, state: State, last: Op, stands: Rec | None) -> bool:
        """Whether the value, or a write after it that nobody was told of, is what there is."""
        unsure = any(
            op.key == last.key and op.version > last.version and op.kind == "d" and stage
            for op, stage in zip(self.variant.ops, state.stages, strict=True)
        )
        return unsure or (stands is not None and stands[0] >= last.version)
