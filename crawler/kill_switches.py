"""The gateways' kill switches, obeyed in the middle of a crawl: a home that a gateway has switched
off is neither listed nor healed any more, a second or two later."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from crawler.board import Counters
from tandem.backends.port import Backend, Heal, ScanPage
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.reply import Failed, ReadReply, Reason, Side, WriteReply
from tandem.runtime import logs
from tandem.runtime.done import done

_LOG = logs.get("kill_switches")
LOOK_S: Final = 1.0
ALL_OFF: Final = "no gateway answers the crawler (its log says why), or both homes are off"


class KillSwitches:
    """What the gateways said last; everything is off until one of them was heard."""

    def __init__(
        self, enabled: Callable[[], Awaitable[frozenset[Side]]], counters: Counters
    ) -> None:
        """`enabled` asks the gateways; see `crawler.gateways.Gateways`."""
        self._enabled = enabled
        self._counters = counters
        self.on: frozenset[Side] = frozenset()
        """The homes that may be used."""

    @property
    def refusal(self) -> Failed:
        """What a home that is off answers; nobody need have switched it off."""
        return Failed(Reason.SWITCHED_OFF, "" if self.on else ALL_OFF)

    async def look(self) -> frozenset[Side]:
        """Asks the gateways now, and says what they say."""
        on = await self._enabled()
        if on != self.on:
            off = [side.value for side in Side if side not in on]
            _LOG.info("homes_switched_off" if off else "homes_may_be_used", off=off)
        self.on = on
        return on

    async def run(self) -> None:
        """Looks once a second until cancelled; while the gateways cannot be asked, all is off."""
        while True:
            try:
                await self.look()
            except Exception as error:
                self.on = frozenset()
                self._counters.errors += 1
                _LOG.error("switches_unknown", error=repr(error), exc_info=True)
            await asyncio.sleep(LOOK_S)


class SwitchedHome:
    """A home that refuses every call while it is switched off; itself a `Backend`."""

    def __init__(self, home: Backend, switches: KillSwitches) -> None:
        self._home = home
        self._switches = switches
        self.side, self.clock_skew_max_us = home.side, home.clock_skew_max_us

    def get(
        self, key: Key, deadline_s: float, needed: Callable[[], bool] | None = None
    ) -> Awaitable[ReadReply]:
        """Reads, unless a gateway has the home switched off."""
        if self.side not in self._switches.on:
            return done(self._switches.refusal)
        return self._home.get(key, deadline_s, needed)

    def put_if_newer(
        self, key: Key, record: Record, deadline_s: float, heal: Heal | None = None
    ) -> Awaitable[WriteReply]:
        """Writes, unless a gateway has the home switched off."""
        if self.side not in self._switches.on:
            return done(self._switches.refusal)
        return self._home.put_if_newer(key, record, deadline_s, heal)

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        """Lists, unless a gateway has the home switched off."""
        if self.side not in self._switches.on:
            return self._switches.refusal
        return await self._home.scan(
            namespace, after=after, prefix=prefix, limit=limit, deadline_s=deadline_s
        )

    async def incarnation(self, deadline_s: float) -> str | Failed:
        """As the home's own, unless a gateway has the home switched off."""
        if self.side not in self._switches.on:
            return self._switches.refusal
        return await self._home.incarnation(deadline_s)

    async def aclose(self) -> None:
        """Closes the home."""
        await self._home.aclose()


def switched(homes: Mapping[Side, Backend], switches: KillSwitches) -> Mapping[Side, Backend]:
    """The homes, each behind the switches."""
    return {side: SwitchedHome(home, switches) for side, home in homes.items()}
