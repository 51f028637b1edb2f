"""What must hold while clients work: sessions, machines, errors. (`calm` checks what must hold
after.)

The oracles know every write by its number, which stands in its value, and by the version that its
worker minted. They see what clients see, at the moment when clients see it.
"""

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Final

from tandem.core.key import Key
from tandem.core.record import Kind, Record
from tandem.core.request import Listing, ListPage, ReadResult
from tandem.core.version import NO_VERSION, Version
from tests.sim.history import History
from tests.sim.ledger import Ledger
from tests.sim.loop import EPOCH_US, VirtualLoop
from tests.sim.scope import Scope
from tests.sim.wrong_clocks import WrongClocks

CLOCKS_APART_S: Final = 4.0
"""Writes of two machines that are further apart than this are in the order of real time."""
EXPIRY_SLACK_S: Final = 4.0
"""How far a machine's idea of the homes' time may lag when replies are slow."""


class Violation(Exception):
    """A promise is broken, and nobody wants to know more of this universe."""


@dataclass(slots=True, eq=False)
class Operation:
    """One write as its client knows it."""

    number: int
    key: Key
    kind: Kind
    expires_at_s: int
    began_s: float
    version: Version = NO_VERSION
    """NO_VERSION if it was refused before it was stamped."""
    acked_s: float | None = None
    superseded: bool = False
    over: bool = False
    """Its client has heard something, or will hear nothing."""
    misled: bool = False
    """Whoever stamped it went by a home's wrong clock: nothing is promised of its order."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A read that has begun, and what it must not go behind."""

    key: Key
    floors: Sequence[tuple[Scope, Version]]
    buried: frozenset[int]
    scopes: Sequence[tuple[Scope, int]]
    """Each with how often it had lost its cache: one that has lost it since knows nothing of this
    read, though its client may look at an answer from before only now."""
    began_s: float

    @property
    def knowing(self) -> Sequence[Scope]:
        """Whoever remembers what is read."""
        return [scope for scope, forgot in self.scopes if scope.forgot == forgot]


@dataclass(frozen=True, slots=True)
class Writing:
    """A write that has begun, and what it buries once it is acknowledged."""

    operation: Operation
    buries: Sequence[tuple[Scope, frozenset[int]]]


@dataclass(frozen=True, slots=True)
class Sure:
    """Names whose newest write is known beyond doubt, each with that write's number."""

    alive: Set[tuple[str, int]]
    dead: Set[tuple[str, int]]
    at_s: float


class Oracles:
    """Watches one universe."""

    def __init__(self, loop: VirtualLoop, history: History) -> None:
        self._loop = loop
        self._history = history
        self.operations: list[Operation] = []
        self.by_version: dict[Version, Operation] = {}
        self.by_key: dict[Key, list[Operation]] = {}
        self.violations: list[str] = []
        self.ends_at_once = False
        """Whether the first violation ends the universe."""
        self.reads = 0
        self.ledger = Ledger(self.fail, self._is_write, self._owed, self._alive)
        self.home_was_lost: Callable[[], bool] = lambda: False
        """Whether a home has forgotten something: then an answer that is marked may go back."""
        self.wrong_clocks = WrongClocks()
        self.remembered_s = float("inf")
        """So long after a home has shown it a machine surely remembers a record."""
        self.list_lag_s = 0.0
        """A listing of S3 may show a name as it was so long before."""
        self.s3_changed_s: Callable[[Key], float] = lambda _: float("-inf")
        self.on_stamped: Callable[[Operation], None] = lambda _: None

    def fail(self, what: str) -> None:
        """A promise is broken."""
        self._history.note("ORACLE", what)
        violation = f"{self._loop.time():.6f}: {what}"
        self.violations.append(violation)
        if self.ends_at_once:
            self._loop.end_with(Violation(violation))

    def operation(self, key: Key, kind: Kind, expires_at_s: int) -> Operation:
        """A write that a client is about to ask for."""
        one = Operation(len(self.operations), key, kind, expires_at_s, self._loop.time())
        self.operations.append(one)
        return one

    def stamped(
        self, operation: Operation, version: Version, scopes: Sequence[Scope], believed_us: int
    ) -> Writing:
        """Its worker, which believes this to be the homes' time, has taken it."""
        operation.version = version
        key, true_us = operation.key, self._loop.true_us()
        believed_off_s, stamped_off_s = (
            (us - true_us) / 1e6 for us in (believed_us, version.time_us)
        )
        operation.misled = self.wrong_clocks.mislead(
            self._loop.time(), believed_off_s, stamped_off_s
        )
        if not operation.misled:
            self._in_order(operation, scopes)
        self.by_version[version] = operation
        self._history.numbers[version] = operation.number
        self.by_key.setdefault(key, []).append(operation)
        self.on_stamped(operation)
        buries = [(scope, self._older(scope.seen.get(key, ()), version)) for scope in scopes]
        return Writing(operation, buries)

    def _in_order(self, operation: Operation, scopes: Sequence[Scope]) -> None:
        key, version = operation.key, operation.version
        for earlier in self.by_key.get(key, ()):
            late = earlier.acked_s is None or earlier.acked_s > operation.began_s - CLOCKS_APART_S
            if late or earlier.misled:
                continue
            if earlier.version >= version:
                self.fail(
                    f"order: write {operation.number} of {key.name} is stamped below"
                    f" {earlier.number}, which was acknowledged long before"
                )
        for scope in scopes:
            known = scope.floors.get(key, NO_VERSION)
            if version <= known and not self._is_misled(known):
                self.fail(f"order: write {operation.number} of {key.name} is stamped below what "
                          f"{scope.name} knows")  # fmt: skip

    def _is_misled(self, version: Version) -> bool:
        one = self.by_version.get(version)
        return one is not None and one.misled

    def _older(self, numbers: Iterable[int], version: Version) -> frozenset[int]:
        return frozenset(one for one in numbers if self.operations[one].version < version)

    def acknowledged(self, writing: Writing, version: Version, *, superseded: bool) -> None:
        """Its client has heard that it is done."""
        operation = writing.operation
        key = operation.key
        operation.acked_s, operation.superseded, operation.over = (
            self._loop.time(),
            superseded,
            True,
        )
        if version != operation.version:
            self.fail(f"restamped: write {operation.number} of {key.name}")
        for scope, buried in writing.buries:
            scope.raise_floor(key, version)
            scope.written[key] = max(version, scope.written.get(key, NO_VERSION))
            scope.seen.setdefault(key, set()).add(operation.number)
            scope.buried.setdefault(key, set()).update(buried)

    def reading(self, key: Key, scopes: Sequence[Scope]) -> Reading:
        """A read begins."""
        floors = [(scope, scope.floors.get(key, NO_VERSION)) for scope in scopes]
        buried = frozenset[int]().union(*(scope.buried.get(key, ()) for scope in scopes))
        lives = [(scope, scope.forgot) for scope in scopes]
        return Reading(key, floors, buried, lives, self._loop.time())

    def read(self, reading: Reading, result: ReadResult) -> None:
        """A read has found something, or nothing."""
        self.reads += 1
        key = reading.key
        for scope, floor in reading.floors:
            if result.version < floor and not self._excused(scope, key, floor, result):
                self.fail(
                    f"{scope.name} reads {key.name} at {self._named(result.version)}, but knows"
                    f" {self._named(floor)}; {_marks(result)}"
                )
        if result.record is not None:
            self._sound(reading, result.record, doubted=self._doubted(reading, result))
        for scope in reading.knowing:
            scope.shown(key, result, reading.began_s)

    def _is_write(self, key: Key, version: Version) -> bool:
        """Whether a client wrote it: a gravestone may have the version of another key's write."""
        one = self.by_version.get(version)
        return one is not None and one.key == key

    def _owed(self, version: Version) -> bool:
        """Whether this is an acknowledged value that has not expired."""
        one = self.by_version.get(version)
        return one is not None and one.acked_s is not None and self._alive(version)

    def _alive(self, version: Version) -> bool:
        """Whether this is a value that has not expired."""
        one = self.by_version.get(version)
        if one is None or one.kind is Kind.TOMBSTONE:
            return False
        return not one.expires_at_s or one.expires_at_s > self._loop.true_us() / 1e6

    def _excused(self, scope: Scope, key: Key, floor: Version, result: ReadResult) -> bool:
        """Of what was deleted for good, nothing is known any more but that it is not there; what is
        in doubt may go back where a home was lost, or behind what no home has shown for long."""
        if result.record is None and self.ledger.gone(key, floor):
            return True
        stamped_s = (floor.time_us - EPOCH_US) / 1e6
        past = scope.is_past(key, stamped_s, self._loop.time() - self.remembered_s)
        emptied = scope.is_emptied(self._loop.time())
        return (self.home_was_lost() or past or emptied) and (result.unconfirmed or result.stale)

    def _doubted(self, reading: Reading, result: ReadResult) -> bool:
        """Whether it says itself that it may be old, and memory is not what it was."""
        emptied = any(scope.is_emptied(self._loop.time()) for scope, _ in reading.floors)
        return emptied and (result.unconfirmed or result.stale)

    def _sound(self, reading: Reading, record: Record, *, doubted: bool) -> None:
        key = reading.key
        operation = self.by_version.get(record.version)
        if operation is None or operation.key != key or record.value != value_of(operation):
            self.fail(f"{key.name} has a value that nobody wrote: {record.value!r}")
            return
        if operation.number in reading.buried and not doubted:
            self.fail(f"{key.name}: write {operation.number} is back, though it was overwritten")
        if record.expires_at_s and record.expires_at_s + EXPIRY_SLACK_S < self._now_s(reading):
            self.fail(f"{key.name}: write {operation.number} is served after it has expired")
        for scope in reading.knowing:
            scope.seen.setdefault(key, set()).add(operation.number)

    def _now_s(self, reading: Reading) -> float:
        return self._loop.true_us() / 1e6 - (self._loop.time() - reading.began_s)

    def _named(self, version: Version) -> str:
        operation = self.by_version.get(version)
        return "nothing" if operation is None else f"write {operation.number}"

    def surely(self, scope: Scope, namespace: str) -> Sure:
        """What every listing on this machine must show, and what none may show."""
        alive: set[tuple[str, int]] = set()
        dead: set[tuple[str, int]] = set()
        for key, operations in self.by_key.items():
            if key.namespace != namespace:
                continue
            last = max(operations, key=lambda one: one.version)
            if scope.written.get(key, NO_VERSION) < last.version or last.expires_at_s:
                continue
            if last.acked_s is None or not all(one.over for one in operations):
                continue
            (alive if last.kind is Kind.VALUE else dead).add((key.name, last.number))
        return Sure(alive, dead, self._loop.time())

    def listed(
        self,
        machine: str,
        scope: Scope,
        listing: Listing,
        page: ListPage,
        before: Sure,
        after: Sure,
        *,
        unnoticed: bool,
    ) -> None:
        """A page has come; `before` and `after` are what was sure when it was asked for and now.
        It may be short if its worker had not noticed yet that a home was emptied."""
        names = [listed.name for listed in page.names]
        if names != sorted(set(names)) or any(name <= listing.after for name in names):
            self.fail(f"{machine}: a listing out of order: {names}")
        emptied = scope.is_emptied(self._loop.time())
        if (page.stale and (self.home_was_lost() or emptied)) or unnoticed:
            return
        alive = {
            name
            for name, _ in before.alive & after.alive
            if name > listing.after
            and (page.next_after is None or name <= page.next_after)
            and not self._listed_late(Key(listing.namespace, name), before.at_s)
        }
        if alive - set(names):
            self.fail(f"{machine}: a listing misses {sorted(alive - set(names))}")
        dead = {
            name
            for name, _ in before.dead & after.dead
            if not (emptied and self._listed_late(Key(listing.namespace, name), before.at_s))
        }
        if dead & set(names):
            self.fail(f"{machine}: a listing shows {sorted(dead & set(names))}")

    def _listed_late(self, key: Key, asked_s: float) -> bool:
        """Whether S3 may list it as it was before a write, or a repair, of so lately."""
        return bool(self.list_lag_s) and self.s3_changed_s(key) > asked_s - self.list_lag_s


def value_of(operation: Operation) -> bytes:
    """The value that a write puts, which names it."""
    return b"write %d" % operation.number


def _marks(result: ReadResult) -> str:
    marks = [n for n in ("cached", "unconfirmed", "stale") if getattr(result, n)]
    return ", ".join(marks) or "no marks"
