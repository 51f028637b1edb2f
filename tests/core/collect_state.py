"""What the model of deleting for good is about: writes, what is under way, and both homes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple, TypeVar

from tandem.core.collect import CollectRule, Remains, remains
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.record import Record
from tandem.core.reply import Found, Missing
from tandem.core.version import NO_VERSION, Version

S = TypeVar("S")
Rec = tuple[int, str]
Held = tuple[Rec | None, ...]
APART_US = 10_000_000_000
"""Between two versions of the model lies more than any window."""
LONG_AGO_S = 1
ALWAYS_US = 10**15
RULE = CollectRule()


class Op(NamedTuple):
    """A client's write."""

    key: int
    kind: str
    version: int


@dataclass(frozen=True)
class Variant:
    """The rule, or the rule with a part left out."""

    ops: tuple[Op, ...]
    removes: bool = True
    """Whether S3 has a conditional DELETE."""
    before: Held = ()
    """What both homes hold at first; empty for nothing."""
    wiped: str = ""
    """Which homes may be wiped, once in all."""
    restores: bool = False
    both_sides_only: bool = False
    """A dead record goes as soon as both homes have it."""
    equality: bool = True
    crawl_begins_after_window: bool = True
    one_way_sweep: bool = True
    floor_refuses_updates: bool = False
    floor_first: bool = True
    names_incarnation: bool = True
    grace_outlives_requests: bool = True
    mirror: bool = True
    renewal_drops_rows: bool = True
    mirror_outlives_lives: bool = True
    expired_count_as_tombstones: bool = True

    @cached_property
    def keys(self) -> int:
        return 1 + max(op.key for op in self.ops)


class Crawl(NamedTuple):
    began: int
    """Up to which version the ack window had closed."""
    incarnation: int
    visited: int
    unequal: int
    """The lowest version that was found unequal."""
    dead: tuple[tuple[int, Rec], ...]


class Removing(NamedTuple):
    step: int
    floor: int
    dead: tuple[tuple[int, Rec], ...]
    incarnation: int


class Message(NamedTuple):
    to: str
    """A or B, or S for a sweep of B."""
    key: int
    rec: Rec
    op: int
    """Which write it is a leg of; -1 for a copy or a sweep."""
    floor: int = 0


class State(NamedTuple):
    a: Held
    b: Held
    stages: tuple[int, ...]
    messages: frozenset[Message]
    acked: frozenset[int]
    window: int
    """The ack window of every version up to this one has closed."""
    heal: tuple[int, Rec | None, int] | None
    """A heal that has read A: key, record, floor."""
    crawl: Crawl | None
    removing: Removing | None
    floor: int
    mirror: int
    incarnation: int
    expired: bool
    wipes: int
    backup: tuple[Held, int, int] | None
    """Records, floor and incarnation."""
    restored: bool
    ended: int
    """The mirror's floor of lives that ended before the current one began."""


Label = str | tuple[object, ...]
"""What a step is called; one of parts is put together where it is shown, as few are."""
Step = tuple[Label, State]


@cache
def version(number: int) -> Version:
    return Version.at(APART_US * number) if number else NO_VERSION


@cache
def record(rec: Rec) -> Record:
    number, kind = rec
    if kind == "d":
        return seal_tombstone(version(number))
    return seal(version(number), kind.encode(), expires_at_s=LONG_AGO_S if kind == "e" else 0)


def newer(one: Rec | None, other: Rec | None) -> bool:
    return one is not None and (other is None or one[0] > other[0])


def with_at(held: Held, key: int, rec: Rec | None) -> Held:
    return (*held[:key], rec, *held[key + 1 :])


@cache
def remains_of(a: Rec | None, b: Rec, floor: int) -> Remains | None:
    kvsp = Missing(0, version(floor)) if a is None else Found(record(a), 0)
    return remains(kvsp, Found(record(b), 0))


def trace(came_by: Mapping[S, tuple[Label, S] | None], state: S) -> list[str]:
    labels = []
    while (by := came_by[state]) is not None:
        label, state = by
        labels.append(label if isinstance(label, str) else " ".join(map(str, label)))
    return labels[::-1]
