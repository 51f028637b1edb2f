"""One race for one key, from its first request to its last reply, and everyone who waits for it."""

import asyncio
from typing import Protocol

from tandem.backends.port import Needed
from tandem.core.key import Key
from tandem.core.mode import Mode
from tandem.core.read_race import Answer, ReadRace
from tandem.core.reply import GiveUp, ReadReply, Side
from tandem.core.request import ReadResult
from tandem.core.version import Version


class Owner(Protocol):
    """Who starts flights, and hears what becomes of them."""

    def hedged(self, flight: "ReadFlight", side: Side) -> None:
        """The first home has no answer, or none yet: the second is to be asked too."""
        ...

    def decided(self, flight: "ReadFlight", outcome: Answer | GiveUp) -> None:
        """The race has an outcome."""
        ...

    def compared(self, flight: "ReadFlight", race: ReadRace) -> None:
        """No reply is missing any more."""
        ...


class ReadFlight:
    """One race for one key, and everyone who waits for it."""

    __slots__ = (
        "began_us",
        "compared",
        "doubted",
        "key",
        "later",
        "lonely",
        "mode",
        "owner",
        "race",
        "timer",
        "waiting",
        "wanted",
    )

    def __init__(
        self, owner: Owner, key: Key, wanted: Version, began_us: int, mode: Mode, *, doubted: bool
    ) -> None:
        self.owner = owner
        self.key = key
        self.mode = mode
        self.wanted = wanted
        self.began_us = began_us
        self.doubted = doubted
        """Whether memory knew nothing of writes that may have been under way."""
        self.race: ReadRace
        self.later: Side | None = None
        """The home that has not been asked yet."""
        self.compared = False
        """Whether it will be asked in any case."""
        self.lonely = False
        """Whether one home had the answer before the other one's turn came."""
        self.timer: asyncio.TimerHandle | None = None
        self.waiting: list[asyncio.Future[ReadResult]] = []

    def ended(self, result: ReadResult | Exception) -> None:
        """Tells everyone who waits."""
        for answer in self.waiting:
            if answer.done():
                continue
            if isinstance(result, ReadResult):
                answer.set_result(result)
            else:
                answer.set_exception(result)
                answer.exception()

    def needed(self, race: ReadRace) -> Needed:
        """Says whether somebody still waits for a large value; see `tandem.backends.port`."""
        return self._body_needed if race.over_both() else None

    def _body_needed(self) -> bool:
        return not self.race.answered

    def replied(self, race: ReadRace, side: Side, reply: ReadReply) -> None:
        """Takes a home's reply."""
        outcome = race.on_reply(side, reply)
        if self.later is not None and not (self.compared and race.answered):
            self.hedge(race)
        try:
            if outcome is not None:
                self.owner.decided(self, outcome)
        finally:
            if race.complete() or self.lonely:
                self.owner.compared(self, race)

    def alone(self) -> Side | None:
        """The only home that may answer by itself, where there is one."""
        return self.mode.home if len(self.mode.answers(self.key)) == 1 else None

    def hedge(self, race: ReadRace) -> None:
        """The second home's turn: asked, unless the first one has an answer already."""
        side, self.later = self.later, None
        assert side is not None
        if self.timer is not None:
            self.timer.cancel()
        self.lonely = race.answered
        if not self.lonely:
            self.owner.hedged(self, side)
