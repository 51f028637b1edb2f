"""An explicit-state model of two homes, a collector and everything that may come late.

Whatever decides is the product's own: `collection` and `remains`. All orders of legs, heals,
sweeps, wipes and restores are tried, breadth first, so the first violation has the shortest trace.
Every state is judged as if all that is under way were lost, and goes on as if it may still land.

    A  SQL: takes what is newer; refuses to insert at or below its floor
    B  S3: takes what is newer, whatever the floor says (conditional writes land no other thing)

A record is (version, kind): v a value, d a tombstone, e a value that is expired once `expired`.
"""

from collections import deque
from collections.abc import Iterator

from tandem.core.collect import (
    Collection,
    CrawlSeen,
    DeadRecord,
    Remains,
    collection,
)
from tandem.core.removal import Span
from tests.core.collect_state import (
    ALWAYS_US,
    APART_US,
    RULE,
    Crawl,
    Held,
    Message,
    Rec,
    Removing,
    State,
    Step,
    Variant,
    newer,
    record,
    remains_of,
    trace,
    version,
    with_at,
)

UNEQUAL_NEVER = 99


class Model:
    """One variant's states and steps."""

    def __init__(self, variant: Variant) -> None:
        self.variant = variant
        self.versions = sorted({op.version for op in variant.ops})
        self._judged: dict[tuple[object, ...], str] = {}
        self._decisions: dict[tuple[Crawl, int, int], Removing | None] = {}

    def initial(self) -> State:
        nothing: Held = self.variant.before or (None,) * self.variant.keys
        return State(
            nothing, nothing, (0,) * len(self.variant.ops), frozenset(), frozenset(), 0, None,
            None, None, 0, 0, 0, False, len(self.variant.wiped[:1]), None, False, 0,
        )  # fmt: skip

    def first_violation(self, states_max: int) -> tuple[str, list[str]] | None:
        """What goes wrong first, and how; None when every state was seen and is sound."""
        start = self.initial()
        came_by: dict[State, Step | None] = {start: None}
        waiting = deque([start])
        while waiting:
            state = waiting.popleft()
            wrong = self.wrong(state)
            if wrong:
                return wrong, trace(came_by, state)
            for label, following in self.steps(state):
                if following not in came_by:
                    came_by[following] = (label, state)
                    waiting.append(following)
            assert len(came_by) <= states_max, "the model has outgrown its test"
        return None

    def steps(self, state: State) -> Iterator[Step]:
        yield from self._clients(state)
        yield from self._deliveries(state)
        yield from self._heals(state)
        yield from self._collector(state)
        yield from self._disasters(state)

    def is_dead(self, rec: Rec, state: State) -> bool:
        return rec[1] == "d" or (rec[1] == "e" and state.expired)

    def _clients(self, state: State) -> Iterator[Step]:
        for number, op in enumerate(self.variant.ops):
            if state.stages[number] == 0:
                stages = (*state.stages[:number], 1, *state.stages[number + 1 :])
                legs = {Message(to, op.key, (op.version, op.kind), number) for to in "AB"}
                messages = state.messages | legs
                yield ("write", op), state._replace(stages=stages, messages=messages)
        later = [v for v in self.versions if v > state.window]
        if later:
            yield ("window of", later[0], "closes"), state._replace(window=later[0])
        if not state.expired and any(op.kind == "e" for op in self.variant.ops):
            yield "time of expiry passes", state._replace(expired=True)

    def _deliveries(self, state: State) -> Iterator[Step]:
        for message in state.messages:
            without = state._replace(messages=state.messages - {message})
            yield (message, "lands"), self._landed(without, message)

    def _landed(self, state: State, message: Message) -> State:
        to, key, rec, op, floor = message
        if to == "S":
            return self._swept(state, key, rec, floor)
        after, confirmed = self._put(state, to, key, rec)
        if op >= 0 and confirmed and rec[0] > state.window:
            return after._replace(acked=after.acked | {op})
        return after

    def _put(self, state: State, to: str, key: int, rec: Rec) -> tuple[State, bool]:
        held = state.a if to == "A" else state.b
        refuses = held[key] is None or self.variant.floor_refuses_updates
        if to == "A" and rec[0] <= state.floor and refuses:
            return state, False
        if not newer(rec, held[key]):
            return state, True
        after = with_at(held, key, rec)
        return (state._replace(a=after) if to == "A" else state._replace(b=after)), True

    def _swept(self, state: State, key: int, rec: Rec, floor: int) -> State:
        if state.b[key] != rec:
            return state
        left = None if self.variant.removes else (floor, "d")
        return state._replace(b=with_at(state.b, key, left))

    def _heals(self, state: State) -> Iterator[Step]:
        if state.heal is None:
            for key in range(self.variant.keys):
                if state.a[key] != state.b[key]:
                    begun = (key, state.a[key], state.floor)
                    yield ("heal of", key, "reads A"), state._replace(heal=begun)
            return
        key, a, floor = state.heal
        message = self._plan(state, key, a, state.b[key], floor)
        messages = state.messages if message is None else state.messages | {message}
        yield ("heal of", key, message), state._replace(heal=None, messages=messages)

    def _plan(
        self, state: State, key: int, a: Rec | None, b: Rec | None, floor: int
    ) -> Message | None:
        if self._equal(a, b, floor):
            return None
        if a is not None and newer(a, b):
            backwards = not self.variant.one_way_sweep and b is None and a[0] <= floor
            return None if backwards else Message("B", key, a, -1)
        assert b is not None
        match remains_of(a, b, floor):
            case Remains.ZOMBIE:
                return Message("S", key, b, -1, floor)
            case Remains.RETIRED:
                return Message("S", key, b, -1, floor) if self.variant.removes else None
            case None:
                return Message("A", key, b, -1)

    def _equal(self, a: Rec | None, b: Rec | None, floor: int) -> bool:
        if a == b:
            return True
        if b is None or self.variant.removes:
            return False
        return remains_of(a, b, floor) is Remains.RETIRED

    def _collector(self, state: State) -> Iterator[Step]:
        if state.removing is not None:
            yield "the collector dies", state._replace(removing=None)
            yield from self._removal(state, state.removing)
        elif state.crawl is not None:
            yield from self._crawling(state, state.crawl)
        elif self.variant.both_sides_only:
            yield from self._naive(state)
        elif any(rec is not None and self.is_dead(rec, state) for rec in state.a):
            crawl = Crawl(state.window, state.incarnation, 0, UNEQUAL_NEVER, ())
            yield "a crawl begins", state._replace(crawl=crawl)

    def _naive(self, state: State) -> Iterator[Step]:
        for key, (a, b) in enumerate(zip(state.a, state.b, strict=True)):
            if a is not None and a == b and self.is_dead(a, state):
                gone = state._replace(a=with_at(state.a, key, None), b=with_at(state.b, key, None))
                yield ("both drop", a), gone

    def _crawling(self, state: State, crawl: Crawl) -> Iterator[Step]:
        if crawl.visited < self.variant.keys:
            key = crawl.visited
            a, b = state.a[key], state.b[key]
            unequal = crawl.unequal
            if not self._equal(a, b, state.floor):
                unequal = min(unequal, *(rec[0] for rec in (a, b) if rec is not None))
            dead = crawl.dead
            if a is not None and self.is_dead(a, state):
                dead = (*dead, (key, a))
            visited = Crawl(crawl.began, crawl.incarnation, key + 1, unequal, dead)
            yield ("the crawl sees", a, "and", b), state._replace(crawl=visited)
            return
        plan = self._decided(state, crawl)
        if plan is None:
            yield "the crawl ends for nothing", state._replace(crawl=None)
        else:
            yield ("the crawl ends:", plan), state._replace(crawl=None, removing=plan)

    def _decided(self, state: State, crawl: Crawl) -> Removing | None:
        """What `collection` says to what the crawl has seen."""
        asked = (crawl, state.window, state.incarnation)
        if asked not in self._decisions:
            self._decisions[asked] = self._collection(*asked)
        return self._decisions[asked]

    def _collection(self, crawl: Crawl, window: int, incarnation: int) -> Removing | None:
        variant = self.variant
        began = crawl.began if variant.crawl_begins_after_window else window
        through = crawl.unequal - 1 if variant.equality else UNEQUAL_NEVER
        ended = incarnation if variant.names_incarnation else crawl.incarnation
        seen = CrawlSeen(
            Span("n"), APART_US * began + RULE.unsettled_us + 1, ALWAYS_US, True,
            version(through), dirty=False, healthy=True,
            incarnations_begun={"c": str(crawl.incarnation)},
            incarnations_ended={"c": str(ended)},
        )  # fmt: skip
        names = {str(key): (key, rec) for key, rec in crawl.dead}
        dead = [
            DeadRecord(name, record(rec).version, record(rec).digest, record(rec).expires_at_s)
            for name, (_, rec) in names.items()
        ]
        decided = collection(seen, dead, RULE)
        if not isinstance(decided, Collection) or not decided.dead:
            return None
        going = tuple(names[one.name] for one in decided.dead)
        return Removing(0, max(rec[0] for _, rec in going), going, crawl.incarnation)

    def _removal(self, state: State, removing: Removing) -> Iterator[Step]:
        """One step of four; the order is the rule's, or the floor comes last but one."""
        order = ("floor", "mirror", "rows", "objects")
        if not self.variant.floor_first:
            order = ("rows", "objects", "floor", "mirror")
        step = order[removing.step]
        done = removing.step + 1 == len(order)
        following = None if done else removing._replace(step=removing.step + 1)
        named = removing.incarnation == state.incarnation or not self.variant.names_incarnation
        after = state._replace(removing=following)
        match step:
            case _ if not named and step != "objects":
                after = state._replace(removing=None)
            case "floor":
                after = self._floor_risen(after, max(state.floor, removing.floor))
            case "mirror":
                after = after._replace(mirror=max(state.mirror, removing.floor))
            case "rows":
                for key, rec in removing.dead:
                    if after.a[key] == rec and (
                        rec[0] <= after.floor or not self.variant.floor_first
                    ):
                        after = after._replace(a=with_at(after.a, key, None))
            case "objects" if self.variant.removes:
                for key, rec in removing.dead:
                    if after.b[key] == rec:
                        after = after._replace(b=with_at(after.b, key, None))
        yield ("collector:", step), after

    def _floor_risen(self, state: State, floor: int) -> State:
        """With the grace, whatever is under way for a version up to the floor is dead by now."""
        if not self.variant.grace_outlives_requests:
            return state._replace(floor=floor)
        alive = frozenset(m for m in state.messages if m.to == "S" or m.rec[0] > floor)
        stages = tuple(
            max(stage, op.version <= floor)
            for stage, op in zip(state.stages, self.variant.ops, strict=True)
        )
        return state._replace(floor=floor, messages=alive, heal=None, stages=stages)

    def _disasters(self, state: State) -> Iterator[Step]:
        if not self.variant.expired_count_as_tombstones and state.expired:
            for key, rec in enumerate(state.a):
                if rec is not None and rec[1] == "e":
                    yield "A drops", state._replace(a=with_at(state.a, key, None))
            for key, rec in enumerate(state.b):
                if rec is not None and rec[1] == "e":
                    yield "B drops", state._replace(b=with_at(state.b, key, None))
        calm = all(self._equal(a, b, state.floor) for a, b in zip(state.a, state.b, strict=True))
        if not calm or not (state.acked or self.variant.before):
            return
        anew = state.incarnation + 1
        nothing: Held = (None,) * self.variant.keys
        if state.wipes:
            wiped = state._replace(wipes=state.wipes - 1)
            if "A" in self.variant.wiped:
                yield (
                    "A is WIPED",
                    wiped._replace(
                        a=nothing, floor=0, mirror=0, incarnation=anew, ended=state.mirror
                    ),
                )
            if "B" in self.variant.wiped:
                yield "B is WIPED", wiped._replace(b=nothing)
        if self.variant.restores and state.backup is None:
            yield "A is copied", state._replace(backup=(state.a, state.floor, state.incarnation))
        if state.backup is not None and not state.restored:
            yield "A is RESTORED", self._restored(state, *state.backup)

    def _restored(self, state: State, a: Held, floor: int, incarnation: int) -> State:
        after = state._replace(a=a, floor=floor, incarnation=state.incarnation + 1, restored=True)
        past = state.mirror
        if self.variant.mirror_outlives_lives and incarnation < state.incarnation:
            past = max(past, state.ended)
        if not self.variant.mirror or floor >= past:
            return after
        if self.variant.renewal_drops_rows:
            kept = tuple(None if r is None or r[0] <= past else r for r in a)
            after = after._replace(a=kept)
        return after._replace(floor=0, mirror=0)

    def wrong(self, state: State) -> str:
        """What is wrong once all heals have run, if whatever is under way is lost."""
        judged = (state.a, state.b, state.floor, state.acked, state.stages, state.expired)
        if judged not in self._judged:
            self._judged[judged] = self._wrong(state)
        return self._judged[judged]

    def _wrong(self, state: State) -> str:
        end = self._healed(state)
        for key, (a, b) in enumerate(zip(end.a, end.b, strict=True)):
            if not self._equal(a, b, end.floor):
                return f"key {key} does not converge: {a}, {b}, floor {end.floor}"
            wrong = self._lost_or_back(state, key, a if a is not None else b)
            if wrong:
                return wrong
        return ""

    def _healed(self, state: State) -> State:
        for _ in range(10):
            before = state
            for key in range(self.variant.keys):
                message = self._plan(state, key, state.a[key], state.b[key], state.floor)
                if message is not None:
                    state = self._landed(state, message)
            if state == before:
                break
        return state

    def _lost_or_back(self, state: State, key: int, stands: Rec | None) -> str:
        acked = [op for n, op in enumerate(self.variant.ops) if n in state.acked and op.key == key]
        if not acked:
            return ""
        last = max(acked, key=lambda op: op.version)
        rec = (last.version, last.kind)
        if self.is_dead(rec, state):
            back = stands is not None and stands[0] < rec[0] and not self.is_dead(stands, state)
            return f"BACK: {stands} after {rec}" if back else ""
        unsure = any(
            op.key == key and op.version > rec[0] and stage and self.is_dead((0, op.kind), state)
            for op, stage in zip(self.variant.ops, state.stages, strict=True)
        )
        gone = stands is None or stands[0] < rec[0] or (
            self.is_dead(stands, state) and stands != rec
        )  # fmt: skip
        return f"LOST: {rec}, there is {stands}" if gone and not unsure else ""
