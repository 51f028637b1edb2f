"""What dead workers have left on this machine: made safe before others go on."""

import asyncio
from collections.abc import Sequence
from typing import Final

from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.trust_file import DiskTrustFile
from kvgateway.process.left_intents import LeftIntents
from kvgateway.process.places import Places
from kvgateway.process.preparation import note_damage
from kvgateway.state import journal_slots
from kvgateway.state.ports import Intent
from kvgateway.state.queue import SqliteQueue
from kvgateway.state.quota_memory import QuotaMemory
from kvgateway.state.shared import SharedMachine
from kvgateway.state.shared_place import Place
from tandem.runtime import logs

_LOG = logs.get("gateway")
RETRY_S: Final = 1.0


class Recovery:
    """In threads: what it waits for may be a worker that was stopped inside a transaction, and this
    process must kill it. One at a time, since all share one view of the memory."""

    def __init__(
        self,
        places: Places,
        place: Place,
        queue: SqliteQueue,
        machine: SharedMachine,
        time: HomeTime,
    ) -> None:
        self._places = places
        self._place = place
        self._machine = machine
        self._time = time
        self._left = LeftIntents(queue, machine, self._pin)
        self._turn = asyncio.Lock()

    async def all(self) -> None:
        """What any worker has left in the journal becomes wanted versions, and repairs as soon as
        the disk takes them. Raises OSError when nobody may begin to serve yet."""
        async with self._turn:
            await self._recover()

    async def of(self, seat: int) -> None:
        """The same after the worker of a seat has died, and the seat is free."""
        async with self._turn:
            await asyncio.to_thread(QuotaMemory.vacate, self._place.quotas, seat)
            await self._recover()

    async def keep_trying(self) -> None:
        """Sees to what the disk refused, until cancelled; workers serve, whatever goes wrong."""
        while True:
            await asyncio.sleep(RETRY_S)
            if not self._left.settled:
                try:
                    await self.all()
                except OSError as error:
                    _LOG.error("worker_not_recovered", error=repr(error))
                except Exception as error:
                    _LOG.error("worker_not_recovered", error=repr(error), exc_info=True)

    async def _recover(self) -> None:
        await asyncio.to_thread(self._machine.forget_dead_readers)
        leftovers = await asyncio.to_thread(journal_slots.recover, self._places.journal)
        enter = DiskTrustFile(self._places.trust).enter
        await note_damage(leftovers, enter, self._time.reckoned_us())
        await self._left.recover(leftovers, self._time.now_or_zero_us())

    async def _pin(self, intents: Sequence[Intent]) -> None:
        await asyncio.to_thread(self._machine.pin, intents)
