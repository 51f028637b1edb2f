"""A worker's journal in the simulator: what is durable survives `crash`, the rest is lost.

A sync takes time on the event loop's clock, and one sync is for all that came before it.
"""

import asyncio
from collections.abc import Sequence

from kvgateway.state.ports import Intent
from tandem.core.version import Version


class MemoryJournal:
    """See `ports.Journal`; it is its own disk. `writable` is the simulator's to change."""

    def __init__(self, sync_s: float = 0.0003) -> None:
        self._sync_s = sync_s
        self._durable: dict[Version, Intent] = {}
        self._done: list[Version] = []
        self._live: dict[Version, Intent] = {}
        self._waiting: list[tuple[Sequence[Intent], asyncio.Future[bool]]] = []
        self._syncing: list[tuple[Sequence[Intent], asyncio.Future[bool]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self.writable = True

    def append(self, intents: Sequence[Intent]) -> asyncio.Future[bool]:
        """See `ports.Journal`."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if not self.writable:
            future.set_result(False)
            return future
        self._live.update((intent.version, intent) for intent in intents)
        self._waiting.append((intents, future))
        if self._timer is None:
            self._sync()
        return future

    def done(self, intent: Intent) -> None:
        """See `ports.Journal`."""
        if self._live.pop(intent.version, None) is not None:
            self._done.append(intent.version)

    def live(self) -> int:
        """How many intents are not done."""
        return len(self._live)

    def live_intents(self) -> list[Intent]:
        """See `journal.DiskJournal`."""
        return [intent for version, intent in self._durable.items() if version in self._live]

    def crash(self) -> list[Intent]:
        """The worker dies; returns the intents that its disk still has, and empties it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        left = list(self._durable.values())
        for _, future in (*self._syncing, *self._waiting):
            future.cancel()
        self._durable, self._live, self._done = {}, {}, []
        self._syncing, self._waiting = [], []
        return left

    def _sync(self) -> None:
        self._syncing, self._waiting = self._waiting, []
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._sync_s, self._synced, self._done)
        self._done = []

    def _synced(self, done: Sequence[Version]) -> None:
        self._timer = None
        synced, self._syncing = self._syncing, []
        if self.writable:
            for intents, _ in synced:
                self._durable.update((intent.version, intent) for intent in intents)
            for version in done:
                self._durable.pop(version, None)
        else:
            for intents, _ in synced:
                for intent in intents:
                    self._live.pop(intent.version, None)
        for _, future in synced:
            if not future.done():
                future.set_result(self.writable)
        if self._waiting:
            self._sync()
