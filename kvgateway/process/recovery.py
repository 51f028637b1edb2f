"""What dead workers have left on this machine: made safe before others go on."""

import asyncio
from collections.abc import Sequence

from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.trust_file import DiskTrustFile
from kvgateway.process.places import Places
from kvgateway.process.preparation import note_damage, recover_intents
from kvgateway.state import journal_slots
from kvgateway.state.ports import Intent
from kvgateway.state.queue import SqliteQueue
from kvgateway.state.quota_memory import QuotaMemory
from kvgateway.state.shared import SharedMachine
from kvgateway.state.shared_place import Place
from tandem.runtime import logs

_LOG = logs.get("gateway")


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
        self._queue = queue
        self._machine = machine
        self._time = time
        self._turn = asyncio.Lock()

    async def all(self) -> None:
        """What any worker has left in the journal becomes repairs and wanted versions."""
        async with self._turn:
            await self._recover()

    async def of(self, seat: int) -> None:
        """The same after the worker of a seat has died, and the seat is free."""
        async with self._turn:
            await asyncio.to_thread(QuotaMemory.vacate, self._place.quotas, seat)
            await self._recover()

    async def _recover(self) -> None:
        await asyncio.to_thread(self._machine.forget_dead_readers)
        leftovers = await asyncio.to_thread(journal_slots.recover, self._places.journal)
        enter = DiskTrustFile(self._places.trust).enter
        await note_damage(leftovers, enter, self._time.reckoned_us())
        now_us = self._time.now_or_zero_us()
        count = await recover_intents(leftovers, self._queue, self._pin, now_us)
        if count:
            _LOG.info("intents_recovered", count=count)

    async def _pin(self, intents: Sequence[Intent]) -> None:
        await asyncio.to_thread(self._machine.pin, intents)
