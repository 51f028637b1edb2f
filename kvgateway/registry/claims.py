"""One change of a namespace at a time, everywhere.

Its record is written whole, and the later write wins. So who is about to change one says so in its
registration, at every home in use, and then looks whether somebody else says the same. Of two, at
least one sees the other; a step is not taken then, and of other changes the one with the smaller id
waits for the other to give way. What is found in the homes once a claim stands alone holds until it
ends.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from kvgateway.homes.guard import GuardedHome
from kvgateway.homes.home_time import HomeTime
from kvgateway.registry import attendance
from kvgateway.registry.attendance import Attendance
from kvgateway.registry.changes import both_needed
from kvgateway.registry.form import NAMESPACES
from kvgateway.registry.presence import Presence
from tandem.core.backoff import delay_s
from tandem.core.mode_step import Objection
from tandem.core.reply import Side
from tandem.errors import Overloaded, Unchanged
from tandem.runtime.randomness import Entropy

TRIES_MAX: Final = 6
"""So often a change looks whether it is alone before it is refused."""
PAUSE_FIRST_S: Final = 0.05
PAUSE_MOST_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Claim:
    """What was seen after everyone could see that a namespace is to be changed here."""

    seen: Attendance
    others: tuple[Objection, ...]
    """Those who change it too."""
    goes_first: bool
    """Whether they give way to this one."""
    unclaimed: tuple[Objection, ...]
    """Homes that would not show others that it is claimed here."""


class Claims:
    """The claims of this process."""

    def __init__(
        self,
        presence: Presence,
        homes: Mapping[Side, GuardedHome],
        time: HomeTime,
        entropy: Entropy,
    ) -> None:
        self._presence = presence
        self._homes = homes
        self._time = time
        self._entropy = entropy
        self.here = asyncio.Lock()
        """Held by whoever claims within this process, whose claims all look alike from outside."""

    @asynccontextmanager
    async def alone(self, namespace_id: str) -> AsyncIterator[None]:
        """Nobody else changes the namespace while the `with` block runs.

        Raises Overloaded when others change it all the time, Unchanged when a home cannot show
        them that it is to be changed here; nothing was changed then.
        """
        async with self.here:
            self.check_settled(namespace_id)
            try:
                await self._claim(namespace_id)
                yield
            finally:
                await self.end(namespace_id)

    async def _claim(self, namespace_id: str) -> None:
        for attempt in range(TRIES_MAX):
            if attempt:
                unit = self._entropy.uniform(0, 1)
                await asyncio.sleep(
                    delay_s(attempt, first_s=PAUSE_FIRST_S, most_s=PAUSE_MOST_S, unit_random=unit)
                )
            claim = await self.begin(namespace_id)
            # A claim is at every home in use, so one home would show it; but then both must be
            # written to, and one that shows nothing will hardly take it.
            obstacles = (*claim.unclaimed, *(one for one in claim.seen.objections if one.passes))
            if not claim.others and not obstacles:
                return
            if obstacles:
                raise Unchanged(f"{obstacles[0].text}. {both_needed(NAMESPACES.noun)}")
            if not claim.goes_first:
                await self.end(namespace_id)
        raise Overloaded(f"{claim.others[0].text}; try again")

    def check_settled(self, namespace_id: str) -> None:
        """Raises Overloaded while a step that was begun here may still be taken: what is claimed
        for it keeps away all others, and must not end with another change. To be asked by whoever
        holds `here`."""
        if self._presence.is_stepping(namespace_id):
            raise Overloaded("a step was begun here whose outcome is not known yet; try again")

    async def begin(self, namespace_id: str) -> Claim:
        """Lets everyone know, and looks at who else does; to be ended however that turns out."""
        confirmed = await self._presence.begin_step(namespace_id)
        seen, now_us = await self.look(), self._time.now_us()
        await attendance.bury(self._homes, seen.forgotten, now_us)
        others = [
            one.id
            for one in seen.registrations
            if one.id != self._presence.id and one.steps_now(namespace_id, now_us)
        ]
        return Claim(
            seen,
            tuple(_changing(one) for one in others),
            goes_first=all(one > self._presence.id for one in others),
            unclaimed=tuple(self._unclaimed(confirmed)),
        )

    async def end(self, namespace_id: str) -> None:
        """It is changed, or will not be."""
        await self._presence.end_step(namespace_id)

    async def look(self) -> Attendance:
        """Who is there."""
        return await attendance.look(self._homes, self._time.now_us())

    def _unclaimed(self, confirmed: Sequence[Side]) -> Sequence[Objection]:
        return [
            Objection(f"{side.value} does not take the registration of this gateway", passes=True)
            for side, home in self._homes.items()
            if home.switch.writes and side not in confirmed
        ]


def _changing(gateway: str) -> Objection:
    return Objection(f"gateway {gateway} is changing the namespace just now", passes=True)
