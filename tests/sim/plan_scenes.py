"""Scenes of a universe: what is played beside what its clients do; see `scenes`."""

from dataclasses import dataclass
from typing import TypeAlias

from tandem.core.reply import Side


@dataclass(frozen=True, slots=True)
class LoneWrite:
    """A write that S3 alone takes, late, beside a delete of other keys; and a crawler that stands
    still for about as long as the grace, having seen some of the range."""

    at_s: float
    host: int
    leg_s: float
    """How long it is on its way to S3."""
    deletes_after_s: float
    crawler_after_s: float
    """When the crawler is to stand still, once it has seen where the key is."""
    for_s: float
    disk_after_s: float | None
    """When the machine that took the write loses its disk; None for never."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A key that is deleted, and written again about when the collector comes for it."""

    at_s: float
    host: int
    again_after_s: float


@dataclass(frozen=True, slots=True)
class Restart:
    """A write that one home alone takes; its machine dies and begins anew, and reads the key."""

    at_s: float
    host: int
    lacks: Side
    """The home that takes neither the write nor its repair; the other one is slow to be read."""
    slow_s: float
    dies_after_s: float
    """Once the write was acknowledged."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A write that one home alone takes; another machine reads it there, and again when only the
    other home answers."""

    at_s: float
    host: int
    """The machine that reads; the next one writes."""
    lacks: Side
    hangs: bool
    """Whether the home that has it does not answer, or answers errors."""


@dataclass(frozen=True, slots=True)
class FirstWrite:
    """A key that nobody has written is read, and written through the same machine before the homes
    have answered that they miss it; then a cache may answer."""

    at_s: float
    host: int
    read_s: float
    """How long the read is on its way to either home; the write takes longer."""
    writes_after_s: float


@dataclass(frozen=True, slots=True)
class Entrance:
    """A worker dies, and a session that has just written elsewhere comes to the next one as soon
    as it serves."""

    at_s: float
    host: int
    writes: int


@dataclass(frozen=True, slots=True)
class Revisit:
    """A key that is written and deleted, and read again and again much later."""

    at_s: float
    host: int
    deletes_after_s: float
    reads_at_s: float
    each_s: float


Scene: TypeAlias = LoneWrite | Rewrite | Restart | Doubt | FirstWrite | Entrance | Revisit
