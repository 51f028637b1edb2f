"""Whether another gateway uses the id of this one, as from a copy of its data directory.

An id is made with the directory. Two gateways with one id overwrite each other's registration, so a
step from mode to mode would wait for one of them alone. A registration that is newer than the last
one that this process has made is the other one's: nobody else writes it.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from kvgateway.registry.presence import Presence
from tandem.backends.port import Backend
from tandem.core.record import Kind
from tandem.core.reply import Found, ReadReply, Side
from tandem.core.version import NO_VERSION
from tandem.runtime import logs

_LOG = logs.get("presence")
LOOK_S: Final = 3.0
DEADLINE_S: Final = 3.0


class Doubles:
    """Looks for another process with this one's id; `run` is its one task."""

    def __init__(self, presence: Presence, homes: Mapping[Side, Backend]) -> None:
        self._presence = presence
        self._homes = homes

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Reads the registration of this process as both homes show it."""
        key = self._presence.key
        replies = await asyncio.gather(*(h.get(key, DEADLINE_S) for h in self._homes.values()))
        if any(map(self._is_of_another, replies)):
            self._presence.contest()
            _LOG.error(
                "gateway_doubled",
                id=self._presence.id,
                effect="modes of namespaces count as unknown",
            )

    def _is_of_another(self, reply: ReadReply) -> bool:
        """A tombstone was left by somebody who took this process for gone."""
        if not isinstance(reply, Found) or reply.record.kind is Kind.TOMBSTONE:
            return False
        return self._presence.said != NO_VERSION and reply.record.version > self._presence.said
