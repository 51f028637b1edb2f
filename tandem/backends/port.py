"""The one shape that every home has. Whoever talks to a home talks to this.

A home's methods never raise for an outage: they answer `Failed` by their deadline, so a race needs
no timer of its own. Whatever passes `tests/backends/contract.py` may stand here.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.reply import Failed, ReadReply, Side, WriteReply
from tandem.core.scan_diff import Entry


@dataclass(frozen=True, slots=True)
class Heal:
    """A write that copies what was read, instead of a client's leg."""

    read_at_us: int
    """This home's own time in the reply that the copy rests on; a home refuses it when that is
    more than HEAL_AGE_MAX_S ago, as it refuses a leg whose version is over LEG_DEADLINE_S old."""
    over_corrupt: bool = False
    """Whether a copy of the same version may be replaced, since its bytes were found corrupt."""


@dataclass(frozen=True, slots=True)
class ScanPage:
    """Names in byte order, tombstones and expired records included."""

    entries: tuple[Entry, ...]
    next_after: str | None
    """Continue after this name; None when the listing has ended."""
    home_time_us: int
    complete: bool = True
    """False when part of the home could not be listed, so that absence proves nothing."""
    foreign: int = 0
    """How many objects were passed over because no key can have their names."""


class Backend(Protocol):
    """One home."""

    @property
    def side(self) -> Side:
        """Which of the two homes this is."""
        ...

    @property
    def clock_skew_max_us(self) -> int:
        """How far ahead of this home's clock a version may be, given that clock's precision."""
        ...

    def get(
        self, key: Key, deadline_s: float, needed: Callable[[], bool] | None = None
    ) -> Awaitable[ReadReply]:
        """Reads one record, its bytes checked against their digest (`Reason.CORRUPT` if not).

        When the headers of a large record have come and `needed` says False, the home may drop the
        body and answer `Glimpsed`.
        """
        ...

    def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> Awaitable[WriteReply]:
        """Stores `record` unless the home holds a newer one; atomic, never blind, never repeated.

        Newer means greater (version, digest). Storing the same record again answers `Stored`.
        """
        ...

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        """Lists at most `limit` names above `after` ("" for all) that begin with `prefix`."""
        ...

    async def aclose(self) -> None:
        """Lets go of connections and files; calls under way answer `Failed`."""
        ...


Puts: TypeAlias = Sequence[tuple[Key, Record]]
"""Clients' legs that are started together."""

Replied: TypeAlias = Callable[[Sequence[tuple[int, WriteReply]]], None]
"""Takes the replies that have come together, each with the position of its put in the group."""


@runtime_checkable
class TakesGroups(Protocol):
    """A home to which a group of writes costs much less than as many single ones."""

    def put_all(self, puts: Puts, deadline_s: float, replied: Replied) -> None:
        """Starts each of `puts` as `put_if_newer` would. Every one of them has its reply by the
        deadline, none before this has returned. A home that raises has started none of them."""
        ...
