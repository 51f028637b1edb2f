"""Writing: stamp, start both legs and the intent at once, acknowledge by policy, see legs home.

A group of writes that arrive together shares one transaction of the clock, one sync of the journal
and one message to each home. A flight is owned here, not by its caller: when the caller goes away,
or has its answer, the slower leg runs on to its own deadline. What it leaves unequal becomes a
repair task, and only then is its intent dropped.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Final

from kvgateway.data_path.inbox import RepairInbox
from kvgateway.data_path.view import View
from kvgateway.data_path.write_flight import Terms, WriteFlight
from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.legs import LegHome
from kvgateway.outcome import fail
from kvgateway.state.ports import Intent, Journal, Machine, RepairTask
from tandem.backends.port import Ahead, TakesAhead
from tandem.core.limits import LEG_DEADLINE_S
from tandem.core.reply import BOTH_SIDES, GiveUp, Side, WriteReply
from tandem.core.request import Put, Write, Written
from tandem.core.version import Version
from tandem.core.write_race import Ack
from tandem.errors import Overloaded, TandemError, Unavailable
from tandem.runtime.telemetry import Latency

_LEGS: Final[tuple[tuple[Side, ...], ...]] = (BOTH_SIDES, (Side.KVSP,), (Side.S3,))


@dataclass(frozen=True, slots=True)
class WriteBounds:
    """What may be under way at once, and how long a recent write outlives its confirmation."""

    flights_max: int = 20_000
    bytes_max: int = 512 * 1024 * 1024
    pin_us: int = 10_000_000
    """The longest read deadline: a read that began before both homes had the write may still be
    under way."""


@dataclass(slots=True)
class WriteCounters:
    """What became of writes."""

    acked_first: dict[Side, int]
    superseded: int = 0
    unavailable: int = 0
    overloaded: int = 0
    single_copy: int = 0
    """Acknowledged or ambiguous writes whose other home has to be repaired."""


class Writer:
    """Owns all writes of this process that are under way.

    Args:
        homes: those that are written to, in the order in which legs begin.
    """

    def __init__(
        self,
        *,
        homes: Mapping[Side, LegHome],
        machine: Machine,
        journal: Journal,
        inbox: RepairInbox,
        time: HomeTime,
        view: View,
        bounds: WriteBounds = WriteBounds(),
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._homes = homes
        self._skews = {
            sides: {side: homes[side].clock_skew_max_us for side in sides} for sides in _LEGS
        }
        self._machine = machine
        self._journal = journal
        self._inbox = inbox
        self._time = time
        self.view = view
        """How namespaces are written."""
        self._bounds = bounds
        self._flights: set[WriteFlight] = set()
        self._bytes = 0
        self._acks: list[tuple[WriteFlight, Written]] = []
        self._unpinned: list[Intent] = []
        self._idle = asyncio.Event()
        self._idle.set()
        self.counters = WriteCounters(dict.fromkeys(Side, 0))
        self.waited = Latency()
        """How long acknowledged writes took, from when their group began."""

    @property
    def under_way(self) -> int:
        """How many writes have not seen all their legs home."""
        return len(self._flights)

    def write(self, writes: Sequence[Write]) -> Sequence["asyncio.Future[Written]"]:
        """Starts a group of writes; one answer for each, in order."""
        answers: list[asyncio.Future[Written]] = [self._loop.create_future() for _ in writes]
        self.begin(writes, answers)
        return answers

    def begin(self, writes: Sequence[Write], answers: Sequence["asyncio.Future[Written]"]) -> None:
        """Starts a group of writes, whose outcomes go into `answers`: Written, or a TandemError."""
        try:
            versions = self._admitted(writes)
        except TandemError as error:
            self._count_refused(error, len(answers))
            for answer in answers:
                fail(answer, error)
            return
        began_s = self._loop.time()
        terms = {name: self._terms(name) for name in {write.key.namespace for write in writes}}
        flights = [
            WriteFlight(terms[write.key.namespace], write, version, answer, began_s)
            for write, version, answer in zip(writes, versions, answers, strict=True)
        ]
        self._flights.update(flights)
        self._bytes += sum([len(flight.record.envelope) for flight in flights])
        self._idle.clear()
        # The journal first: its thread is at the disk while the legs are still being started.
        journaled = self._journal.append([flight.intent for flight in flights])
        journaled.add_done_callback(partial(self._journaled, flights))
        for side, home in self._homes.items():
            mine = [flight for flight in flights if side in flight.sides]
            if mine:
                puts = [flight.put for flight in mine]
                home.put_all(puts, LEG_DEADLINE_S, partial(self._replied, side, mine))

    @contextmanager
    def ahead(self, namespace: str) -> Iterator[Ahead | None]:
        """A place for the body of a write that is still to begin, in a home that takes one."""
        for side in self.view.mode_of(namespace).legs:
            home = self._homes[side]
            if isinstance(home, TakesAhead):
                with home.ahead() as ahead:
                    if ahead is not None:
                        yield ahead
                        return
        yield None

    def _admitted(self, writes: Sequence[Write]) -> Sequence[Version]:
        """The version of each write; Overloaded when there is no room for all of them."""
        size = sum([len(write.value) for write in writes if isinstance(write, Put)])
        if (
            len(self._flights) + len(writes) > self._bounds.flights_max
            or self._bytes + size > self._bounds.bytes_max
        ):
            raise Overloaded(f"{len(self._flights)} writes are under way")
        return self._machine.mint([(w.key, w.above) for w in writes], self._time.now_us())

    def _count_refused(self, error: TandemError, writes: int) -> None:
        if isinstance(error, Overloaded):
            self.counters.overloaded += writes
        elif isinstance(error, Unavailable):
            self.counters.unavailable += writes

    def _terms(self, namespace: str) -> Terms:
        mode = self.view.mode_of(namespace)
        legs, partial_mode = mode.legs, None if mode.whole else mode
        return Terms(legs, self.view.policy_of(namespace), self._skews[legs], partial_mode)

    def _replied(
        self, side: Side, flights: list[WriteFlight], replies: Sequence[tuple[int, WriteReply]]
    ) -> None:
        for position, reply in replies:
            flight = flights[position]
            self._heard(flight, flight.race.on_leg(side, reply))

    def _journaled(self, flights: list[WriteFlight], future: "asyncio.Future[bool]") -> None:
        durable = future.result()
        for flight in flights:
            self._heard(flight, flight.race.on_intent(durable))

    def _heard(self, flight: WriteFlight, outcome: Ack | GiveUp | None) -> None:
        if outcome is not None:
            self.decided(flight, outcome)
        flight.pending -= 1
        if not flight.pending:
            self._landed(flight)

    def decided(self, flight: WriteFlight, outcome: Ack | GiveUp) -> None:
        """The race is decided. Acknowledgements of one loop turn enter the recent writes together,
        before any client hears of them."""
        if isinstance(outcome, GiveUp):
            self.counters.unavailable += 1
            fail(flight.answer, Unavailable(f"outcome unknown: {'; '.join(outcome.reasons)}"))
            return
        first, newest = outcome
        flight.acked = True
        self.counters.acked_first[first] += 1
        self.counters.superseded += newest is not None
        if not self._acks:
            self._loop.call_soon(self._acknowledge)
        self._acks.append((flight, Written(flight.record.version, newest)))

    def _acknowledge(self) -> None:
        acks, self._acks = self._acks, []
        try:
            self._machine.install([flight.put for flight, _ in acks], self._time.now_us())
        except Exception as error:  # whoever waits must hear of a fault of ours, too
            if isinstance(error, TandemError):
                self._count_refused(error, len(acks))
            for flight, _ in acks:
                fail(flight.answer, error)
            return
        now_s = self._loop.time()
        for began_s, together in groupby([flight.began_s for flight, _ in acks]):
            self.waited.observe(now_s - began_s, len(list(together)))
        for flight, written in acks:
            if not flight.answer.done():
                flight.answer.set_result(written)
            if not flight.pending and not flight.race.unconfirmed():
                self._confirmed(flight)

    def _landed(self, flight: WriteFlight) -> None:
        """Every leg and the intent have answered."""
        self._flights.discard(flight)
        self._bytes -= len(flight.record.envelope)
        if not self._flights:
            self._idle.set()
        missing = flight.race.unconfirmed()
        if not missing:
            self._journal.done(flight.intent)
            if flight.acked and flight.answer.done():
                self._confirmed(flight)
            return
        self.counters.single_copy += 1
        task = RepairTask(flight.intent.key, flight.record.version, missing)
        self._inbox.add(task, partial(self._journal.done, flight.intent))

    def _confirmed(self, flight: WriteFlight) -> None:
        """An acknowledged write that both homes hold need not be remembered as recent for long;
        those of one loop turn are told to the machine together."""
        if not self._unpinned:
            self._loop.call_soon(self._unpin)
        self._unpinned.append(flight.intent)

    def _unpin(self) -> None:
        writes, self._unpinned = self._unpinned, []
        self._machine.unpin(writes, self._time.reckoned_us() + self._bounds.pin_us)

    def begun(self, namespace: str) -> Callable[[], bool]:
        """Tells later whether all writes of a namespace have ended that are under way now."""
        begun = [one for one in self._flights if one.intent.key.namespace == namespace]
        return lambda: self._flights.isdisjoint(begun)

    async def drained(self) -> None:
        """Returns when no write is under way."""
        await self._idle.wait()
