"""The kill switches' copies in both homes, from which gateways learn that were not told.

`kvctl` tells the gateways directly, so a switch needs no store. But one that was down then, or that
is new, would go on using a home that was taken out. So each home holds a copy, as a record of its
own that nobody heals; the newest that a home or this machine's disk shows is in force, and a copy
that is older is renewed.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from kvgateway.homes.guard import GuardedHome
from kvgateway.homes.switchboard import SwitchBoard
from kvgateway.state.switches import Switches
from tandem.backends.port import Heal
from tandem.core.envelope import seal
from tandem.core.key import IDENTITY_NAMESPACE, Key
from tandem.core.reply import Found, Missing, ReadReply, Side
from tandem.core.version import Version
from tandem.errors import ConfigurationError
from tandem.runtime import logs
from tandem.runtime.randomness import Entropy

_LOG = logs.get("switches")
SWITCHES_KEY: Final = Key(IDENTITY_NAMESPACE, "switches")
LOOK_S: Final = 5.0
DEADLINE_S: Final = 2.0


class SwitchCopies:
    """Keeps this gateway's switches and the homes' copies alike; `run` is its one task."""

    def __init__(
        self, homes: Mapping[Side, GuardedHome], board: SwitchBoard, entropy: Entropy
    ) -> None:
        self._homes = homes
        self._board = board
        self._entropy = entropy
        self.errors = 0
        """Looks that met a disk that refuses, or a fault of ours."""

    async def run(self) -> None:
        """Looks every few seconds, and after a change at once, until cancelled."""
        while True:
            self._board.changed.clear()
            await self.look()
            try:
                await asyncio.wait_for(self._board.changed.wait(), LOOK_S)
            except TimeoutError:
                continue

    async def look(self) -> None:
        """Takes over the newest switches, and renews copies that are older; what goes wrong is
        counted, and tried again at the next look."""
        try:
            await self._exchange()
        except (OSError, ConfigurationError) as error:
            self.errors += 1
            _LOG.error("switches_not_saved", why=str(error))
        except Exception as error:
            self.errors += 1
            _LOG.error("switch_copies_failed", error=repr(error), exc_info=True)

    async def _exchange(self) -> None:
        asked = [side for side, guard in self._homes.items() if not guard.barred]
        replies = await asyncio.gather(
            *(self._homes[side].unguarded.get(SWITCHES_KEY, DEADLINE_S) for side in asked)
        )
        shown = [_shown(side, reply) for side, reply in zip(asked, replies, strict=True)]
        try:
            await self._board.adopt(max(shown, key=lambda one: one.rank, default=Switches()))
        finally:  # also when the disk refuses it: it is in force
            current = self._board.current
            for side, reply, copy in zip(asked, replies, shown, strict=True):
                if current.of(side).writes and copy.rank < current.rank:
                    await self._renew(side, reply, current)

    async def _renew(self, side: Side, reply: ReadReply, switches: Switches) -> None:
        """Writes the copy, above the one that is there; a home that did not answer comes later."""
        if isinstance(reply, Found | Missing):
            held_us = reply.record.version.time_us if isinstance(reply, Found) else 0
            version = Version.at(max(reply.home_time_us, held_us + 1), self._entropy.token(8))
            await self._homes[side].unguarded.put_if_newer(
                SWITCHES_KEY,
                seal(version, switches.encoded().encode()),
                DEADLINE_S,
                Heal(reply.home_time_us),
            )


def _shown(side: Side, reply: ReadReply) -> Switches:
    """What a copy says; a copy that is missing or cannot be understood says nothing."""
    if not isinstance(reply, Found):
        return Switches()
    try:
        return Switches.decoded(bytes(reply.record.value))
    except ValueError as error:
        _LOG.error("switch_copy_unreadable", home=side.value, why=str(error))
        return Switches()
