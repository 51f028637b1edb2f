"""Reading: from this machine's memory when it may answer, else a race of both homes.

One flight per key serves every reader who wants no more than was wanted when it began. What a
flight finds is entered into the cache before anyone hears of it; what its slower reply shows later
is compared, and drift becomes a repair task.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat

from kvgateway.data_path.comparing import Comparisons, difference
from kvgateway.data_path.inbox import RepairInbox
from kvgateway.data_path.read_asks import ReadAsks, ReadHome
from kvgateway.data_path.read_bounds import READ_BOUNDS, ReadBounds, ReadCounters
from kvgateway.data_path.read_flight import ReadFlight
from kvgateway.data_path.remembered import Answered, Remembered, hit_of
from kvgateway.data_path.view import View
from kvgateway.homes.home_time import HomeTime
from kvgateway.state.ports import Known, Machine, RepairQueue, RepairTask, Seen
from tandem.core.key import Key
from tandem.core.read_race import Answer, ReadRace
from tandem.core.reading import RACE, ReadMode, ReadPlan, race_plan, read_plan
from tandem.core.reply import BOTH_SIDES, GiveUp, Missing, Side
from tandem.core.request import Read, ReadResult
from tandem.core.version import NO_VERSION, Version
from tandem.errors import Overloaded, TandemError, Unavailable
from tandem.runtime.randomness import Entropy
from tandem.runtime.telemetry import Latency

ReadAnswer = ReadResult | TandemError | asyncio.Future[ReadResult]


class Reader:
    """Owns all reads of this process that are under way."""

    def __init__(
        self,
        *,
        homes: Mapping[Side, ReadHome],
        machine: Machine,
        queue: RepairQueue,
        inbox: RepairInbox,
        time: HomeTime,
        view: View,
        entropy: Entropy,
        bounds: ReadBounds = READ_BOUNDS,
    ) -> None:
        self._machine = machine
        self._queue = queue
        self._inbox = inbox
        self._time = time
        self._view = view
        self._entropy = entropy
        self._bounds = bounds
        self._asks = ReadAsks(
            homes,
            deadline_s=bounds.deadline_s,
            latency_known_from=bounds.latency_known_from,
            broke=self._broke,
            taken=self._taken,
        )
        self._remembered = Remembered(
            machine,
            cache_ttl_s=bounds.cache_ttl_s,
            miss_ttl_us=bounds.miss_ttl_us,
            remembered_s=bounds.remembered_s,
        )
        self._loop = asyncio.get_running_loop()
        self._flights: dict[Key, ReadFlight] = {}
        self._decided: list[tuple[ReadFlight, Answer | GiveUp]] = []
        self._complete: list[tuple[ReadFlight, ReadRace]] = []
        """What the replies that are being taken have decided, and what they have completed."""
        self._racing = 0
        self.counters = ReadCounters()
        self.waited = Latency()
        """How long those waited whose answer was not in memory, failures included."""
        self.comparisons = Comparisons(time)
        """Of namespaces of which not both homes answer for every key."""

    @property
    def under_way(self) -> int:
        """How many races have not seen both replies."""
        return self._racing

    def read(self, reads: Sequence[Read]) -> Sequence[ReadAnswer]:
        """Answers a group of reads; see `kvgateway.service.KeyValues`."""
        now_us = self._time.reckoned_us()
        if len(reads) == 1:
            read = reads[0]
            answer = self._one(read, self._machine.recall(read.key, now_us), now_us)
            if not isinstance(answer, ReadResult):
                self._asks.send()
            return (answer,)
        knowns = self._machine.lookup([read.key for read in reads], now_us)
        answers = list(map(self._one, reads, knowns, repeat(now_us)))
        self._asks.send()
        return answers

    def _one(self, read: Read, known: Known | None, now_us: int) -> ReadAnswer:
        if known is not None and self._remembered.serves(read, known, now_us):
            self.counters.hits += 1
            return hit_of(known, now_us)
        self.counters.misses += 1
        if self._racing >= self._bounds.flights_max:
            self.counters.overloaded += 1
            return Overloaded(f"{self._racing} reads are under way")
        wanted = read.min_version
        if known is not None and known.pinned and known.version > wanted:
            wanted = known.version
        if known is None and self._machine.spilled():
            return asyncio.ensure_future(self._after_spill(read))
        return self._joined(self._flight(read.key, wanted, now_us))

    async def _after_spill(self, read: Read) -> ReadResult:
        """Recent writes were dropped for space: the durable queue knows which versions count."""
        queued = await self._queue.wanted(read.key)
        wanted = max(read.min_version, queued)
        answer = self._joined(self._flight(read.key, wanted, self._time.reckoned_us()))
        self._asks.send()
        return await answer

    def _joined(self, flight: ReadFlight) -> "asyncio.Future[ReadResult]":
        """The answer for one more reader; it is the reader's own, who may cancel it."""
        answer: asyncio.Future[ReadResult] = self._loop.create_future()
        flight.waiting.append(answer)
        return answer

    def _flight(self, key: Key, wanted: Version, now_us: int) -> ReadFlight:
        flight, doubted = self._flights.get(key), self._machine.misses_news()
        if flight is not None and flight.wanted >= wanted:
            joins = flight.began_us == now_us or not doubted
            if joins:  # else a write may have been acknowledged since that memory did not keep
                return flight
        mode = self._view.mode_of(key.namespace)
        flight = ReadFlight(self, key, wanted, now_us, mode, doubted=doubted)
        self._flights[key] = flight
        read_mode = ReadMode.RACE if doubted else self._view.read_mode_of(key.namespace)
        whole = mode.whole and read_mode is ReadMode.RACE
        self._start(flight, self._race(flight) if whole else self._plan(flight, read_mode))
        return flight

    def _race(self, flight: ReadFlight) -> ReadPlan:
        """A home that may lack what counts gives no answer by itself: both are asked at once."""
        if flight.wanted != NO_VERSION or self._behind_in(flight):
            return RACE
        return race_plan(self._asks.p95_s, self._racing, self._bounds.company_from)

    def _plan(self, flight: ReadFlight, mode: ReadMode) -> ReadPlan:
        drawn = self._entropy.uniform(0.0, 1.0) < self._bounds.sample_share
        self.counters.sampled += drawn
        return read_plan(
            mode, answers=flight.mode.answers(flight.key), legs=flight.mode.legs,
            behind=self._behind_in(flight), p95_s=self._asks.p95_s, drawn=drawn,
        )  # fmt: skip

    def _behind_in(self, flight: ReadFlight) -> tuple[Side, ...]:
        """The homes that miss writes of its namespace. Where memory does not know of those under
        way, any home may be the one that has not heard of one yet: both are waited for."""
        if flight.doubted and flight.alone() is None:
            return BOTH_SIDES
        return self._view.behind(flight.key.namespace)

    def _behind(self, flight: ReadFlight) -> tuple[Side, ...]:
        """The homes that must give no first answer: those that miss writes, and any beside the one
        that answers alone."""
        if not flight.mode.two:
            return ()
        behind = self._behind_in(flight)
        alone = None if flight.mode.whole else flight.alone()
        return behind if alone is None or alone.other in behind else (*behind, alone.other)

    def _start(self, flight: ReadFlight, plan: ReadPlan) -> None:
        behind = () if plan.compared else self._behind(flight)
        flight.race = ReadRace(flight.wanted, plan.sides, behind, flight.mode.filled)
        self._racing += 1
        for side in plan.at_once:
            self._asks.add(side, flight)
        flight.later, flight.compared = plan.later, plan.compared
        if plan.compared:
            self._asks.add_later(flight, plan.after_s)
        elif plan.later is not None:
            flight.timer = self._loop.call_later(plan.after_s, self._hedge, flight)

    def _hedge(self, flight: ReadFlight) -> None:
        flight.hedge(flight.race)
        self._asks.send()

    def _broke(self, flight: ReadFlight, error: Exception) -> None:
        """A fault of ours costs the readers of one key their answer, and nobody else."""
        self._landed(flight)
        flight.ended(error)
        self._loop.call_exception_handler(
            {"message": "a reply to a read was not taken", "exception": error}
        )

    def hedged(self, flight: ReadFlight, side: Side) -> None:
        """The first home has no answer, or none yet: the second is asked too."""
        self.counters.hedged += 1
        self._asks.add(side, flight)

    def decided(self, flight: ReadFlight, outcome: Answer | GiveUp) -> None:
        """The race is decided. A single home that cannot answer is no reason to give up where there
        is another: both are raced then."""
        alone = flight.race.over_both() or flight.mode.may_answer != BOTH_SIDES
        if isinstance(outcome, GiveUp) and not alone:
            self._start(flight, RACE)
            return
        self._decided.append((flight, outcome))

    def compared(self, flight: ReadFlight, race: ReadRace) -> None:
        """Both homes have replied."""
        self._complete.append((flight, race))

    def _taken(self) -> None:
        decided, self._decided = self._decided, []
        complete, self._complete = self._complete, []
        if decided:
            self._tell(decided)
        for flight, race in complete:
            try:
                self._compare(flight, race)
            except Exception as error:
                self._broke(flight, error)

    def _tell(self, decided: Sequence[tuple[ReadFlight, Answer | GiveUp]]) -> None:
        """Readers hear. What came together is entered into the machine's memory together first, or
        if that fails, one by one."""
        now_us = self._time.reckoned_us()
        try:
            told = iter(self._remembered.told(list(_answers(decided)), now_us))
        except Exception as error:
            if len(decided) == 1:
                self._broke(decided[0][0], error)
            else:
                for one in decided:
                    self._tell([one])
            return
        for flight, outcome in decided:
            self._landed(flight)
            waited_us = max(0, now_us - flight.began_us)
            self.waited.observe(waited_us / 1_000_000, len(flight.waiting))
            if isinstance(outcome, GiveUp):
                flight.ended(self._instead(flight, outcome, now_us))
            else:
                flight.ended(next(told))

    def _landed(self, flight: ReadFlight) -> None:
        """Nobody joins it any more."""
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    def _instead(
        self, flight: ReadFlight, outcome: GiveUp, now_us: int
    ) -> ReadResult | Unavailable:
        result = self._remembered.instead(flight.key, flight.wanted, now_us)
        if result is None:
            self.counters.unavailable += 1
            return Unavailable("; ".join(outcome.reasons))
        self.counters.stale += result.stale
        return result

    def _compare(self, flight: ReadFlight, race: ReadRace) -> None:
        """A newer loser moves the cache on, a difference is queued."""
        self._racing -= 1
        if not flight.mode.whole:
            self.comparisons.note(flight.key.namespace, flight.wanted, race)
        if not race.needs_repair():
            return
        self.counters.drift += 1
        self.counters.corrupt += race.corrupt()
        alone = None if flight.mode.whole else flight.alone()
        record = race.newest_told(BOTH_SIDES if alone is None else (alone,))
        if record is not None:
            now_us = self._time.reckoned_us()
            self._machine.fill([Seen(flight.key, record, flight.began_us)], now_us)
        self._inbox.add(RepairTask(flight.key, *difference(flight.wanted, race)))


def _answers(decided: Iterable[tuple[ReadFlight, Answer | GiveUp]]) -> Iterator[Answered]:
    for flight, outcome in decided:
        if isinstance(outcome, Answer):
            if outcome.unconfirmed and _misses_all(flight):
                outcome = replace(outcome, unconfirmed=False)
            yield Answered(flight.key, outcome, flight.began_us)


def _misses_all(flight: ReadFlight) -> bool:
    """Whether the home that answers alone has said that there is nothing."""
    alone = None if flight.mode.whole else flight.alone()
    return alone is not None and isinstance(flight.race.reply_of(alone), Missing)
