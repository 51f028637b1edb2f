"""Asking homes in groups: what each is asked, when its turn comes, and how long it takes."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, Protocol

from kvgateway.data_path.read_flight import ReadFlight
from tandem.backends.port import Gets, Got
from tandem.core.latency import RecentLatency
from tandem.core.read_race import ReadRace
from tandem.core.reply import Failed, ReadReply, Side

_Asks = list[tuple[ReadFlight, ReadRace]]


class ReadHome(Protocol):
    """A home as a reader sees it."""

    def get_all(self, gets: Gets, deadline_s: float, got: Got) -> None:
        """Asks a group; see `tandem.backends.port.AnswersGroups`."""
        ...


class ReadAsks:
    """Owns what the homes have still to be asked; `send` asks each of them, as one group.

    Args:
        deadline_s: of every call.
        latency_known_from: so many answers say how long a home takes.
        broke: is told of a fault of ours with one flight's reply; others are not held up by it.
        taken: is called when flights have taken all replies that came together.
    """

    def __init__(
        self,
        homes: Mapping[Side, ReadHome],
        *,
        deadline_s: float,
        latency_known_from: int,
        broke: Callable[[ReadFlight, Exception], None],
        taken: Callable[[], None],
    ) -> None:
        self._homes = homes
        self._deadline_s = deadline_s
        self._broke = broke
        self._taken = taken
        self._loop = asyncio.get_running_loop()
        self._latency = {side: RecentLatency(latency_known_from) for side in homes}
        self._asks: Final[dict[Side, _Asks]] = {side: [] for side in homes}
        self._company: list[ReadFlight] = []
        self.p95_s: dict[Side, float | None] = dict.fromkeys(homes)
        """What 95 of 100 answers of a home took at most; None while too few are known."""

    def add(self, side: Side, flight: ReadFlight) -> None:
        """A home has a race to answer."""
        self._asks[side].append((flight, flight.race))

    def add_later(self, flight: ReadFlight, after_s: float) -> None:
        """The second home's turn comes after that time, for all that have come meanwhile."""
        if not self._company:
            self._loop.call_later(after_s, self._add_company)
        self._company.append(flight)

    def _add_company(self) -> None:
        company, self._company = self._company, []
        for flight in company:
            if flight.later is not None:
                side, flight.later = flight.later, None
                self.add(side, flight)
        self.send()

    def send(self) -> None:
        """Asks each home what there is to ask."""
        for side, asks in self._asks.items():
            if asks:
                self._asks[side] = []
                gets = [(flight.key, flight.needed(race)) for flight, race in asks]
                got = partial(self._got, side, asks, self._loop.time())
                self._homes[side].get_all(gets, self._deadline_s, got)

    def _got(
        self, side: Side, asks: _Asks, asked_s: float, replies: Sequence[tuple[int, ReadReply]]
    ) -> None:
        """Replies of a home to some of what it was asked at `asked_s`."""
        latency, took_s = self._latency[side], self._loop.time() - asked_s
        for position, reply in replies:
            if not isinstance(reply, Failed):
                latency.observe(took_s)
            flight, race = asks[position]
            try:
                flight.replied(race, side, reply)
            except Exception as error:
                self._broke(flight, error)
        self._taken()
        self.p95_s[side] = latency.p95_s
        self.send()
