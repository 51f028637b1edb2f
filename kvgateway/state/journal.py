"""Intents of one worker on stable storage, by group commit.

Whatever comes while a sync is under way goes into the next write, and one sync is for all of it.
A segment is removed when none of its intents is live; a few that keep an old one are written again.
When the disk refuses, every append answers False until a trial write succeeds.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from kvgateway.state.journal_frames import SYNCED, Mark, frame
from kvgateway.state.journal_segments import Segments, Written
from kvgateway.state.journal_slots import Slot
from kvgateway.state.ports import Intent
from tandem.core.version import Version
from tandem.runtime.own_thread import OwnThread

_RETRY_S: Final = 1.0
_NOT_YET: Final = 0


@dataclass(frozen=True, slots=True)
class JournalBounds:
    """How much a journal holds."""

    segment_bytes_max: int = 8 * 1024 * 1024
    carried_above_bytes: int = 32 * 1024 * 1024
    """Above this the live intents of the oldest segment are written again, so that it can go."""
    carried_max: int = 4096
    """How many with one write."""
    bytes_max: int = 256 * 1024 * 1024
    live_max: int = 500_000
    """Above either of these, appends answer False."""


@dataclass(frozen=True, slots=True)
class _Group:
    """What goes into one write."""

    appends: list[tuple[Sequence[Intent], asyncio.Future[bool]]]
    carried: list[Intent]
    doomed: list[int]


class DiskJournal:
    """See `ports.Journal`.

    Args:
        claim: makes the slot, with the first write; OSError while the disk refuses.
        refused: is called once for each failed write, with its reason.
    """

    def __init__(
        self,
        claim: Callable[[], Slot],
        bounds: JournalBounds = JournalBounds(),
        refused: Callable[[str], None] = lambda _: None,
        retry_s: float = _RETRY_S,
    ) -> None:
        self._bounds = bounds
        self._refused = refused
        self._retry_s = retry_s
        self._loop = asyncio.get_running_loop()
        self._files = Segments(claim, bounds.segment_bytes_max)
        self._disk = OwnThread("journal")
        self._waiting: list[tuple[Sequence[Intent], asyncio.Future[bool]]] = []
        self._done_frames: list[bytes] = []
        self._doomed: list[int] = []
        self._live: dict[Version, int] = {}
        """Which segment has the intent; _NOT_YET while it is being written."""
        self._segments: dict[int, dict[Version, Intent]] = {}
        self._segment_bytes: dict[int, int] = {}
        self._writing: asyncio.Future[Written] | None = None
        self._scheduled: asyncio.Handle | None = None
        self._closing = False
        self.writable = True
        self.failures = 0
        """How many writes the disk refused."""
        self.full = 0
        """How many appends found the journal at its bound."""

    def append(self, intents: Sequence[Intent]) -> asyncio.Future[bool]:
        """See `ports.Journal`."""
        future: asyncio.Future[bool] = self._loop.create_future()
        if not self.writable or self._closing:
            future.set_result(False)
        elif self._is_full():
            self.full += 1
            self._write_soon()
            future.set_result(False)
        else:
            self._live.update((intent.version, _NOT_YET) for intent in intents)
            self._waiting.append((intents, future))
            self._write_soon()
        return future

    def done(self, intent: Intent) -> None:
        """See `ports.Journal`."""
        segment = self._live.pop(intent.version, None)
        if segment is None:
            return
        self._done_frames.append(frame(Mark.DONE, intent))
        if segment != _NOT_YET:
            self._leave(segment, intent.version)

    def live(self) -> int:
        """How many intents are not done."""
        return len(self._live)

    def live_intents(self) -> list[Intent]:
        """The durable ones of them: to be pinned again when the machine's memory has spilled."""
        return [intent for segment in self._segments.values() for intent in segment.values()]

    async def aclose(self) -> None:
        """Writes what waits, done marks included, and leaves the slot to whoever recovers it."""
        self._closing = True
        while self._writing is not None or self._waiting or (self._done_frames and self.writable):
            if self._writing is None:
                self._write()
            else:
                await asyncio.gather(self._writing, return_exceptions=True)
        if self._scheduled is not None:
            self._scheduled.cancel()
        await self._disk.do(self._files.close)
        self._disk.end()

    def _is_full(self) -> bool:
        size = sum(self._segment_bytes.values())
        return len(self._live) >= self._bounds.live_max or size >= self._bounds.bytes_max

    def _write_soon(self) -> None:
        """Writes at the end of this turn of the loop, with all that it still brings."""
        if self._writing is None and self._scheduled is None:
            self._scheduled = self._loop.call_soon(self._write)

    def _write(self) -> None:
        self._scheduled = None
        group = _Group(self._waiting, self._to_carry(), self._doomed)
        self._waiting, self._doomed = [], []
        wanted = Mark.WANTED
        data = [SYNCED]
        for intents, _ in group.appends:
            data += [frame(wanted, intent) for intent in intents]
        data += [frame(wanted, intent) for intent in group.carried]
        data += self._done_frames
        self._done_frames = []
        write = partial(self._files.write, b"".join(data), group.doomed)
        self._writing = self._disk.do(write)
        self._writing.add_done_callback(partial(self._written, group))

    def _written(self, group: _Group, writing: asyncio.Future[Written]) -> None:
        self._writing = None
        error = writing.exception()
        if error is None:
            self._succeeded(group, writing.result())
        else:
            self._failed(group, error)
            if not isinstance(error, OSError):
                raise error

    def _succeeded(self, group: _Group, written: Written) -> None:
        self.writable = True
        self._segment_bytes[written.segment] = written.segment_bytes
        here = self._segments.setdefault(written.segment, {})
        for intents, _ in group.appends:
            for intent in intents:
                if intent.version in self._live:
                    self._live[intent.version] = written.segment
                    here[intent.version] = intent
        for intent in group.carried:
            before = self._live.get(intent.version)
            if before is not None:
                self._live[intent.version] = written.segment
                here[intent.version] = intent
                self._leave(before, intent.version)
        for segment in [s for s in self._segments if s != written.segment]:
            self._remove_if_empty(segment)
        _resolve(group, durable=True)
        if self._waiting:
            self._write_soon()

    def _failed(self, group: _Group, error: BaseException) -> None:
        self.writable = False
        self.failures += 1
        for appends in (group.appends, self._waiting):
            for intents, _ in appends:
                for intent in intents:
                    self._live.pop(intent.version, None)
        group.appends.extend(self._waiting)
        self._waiting = []
        self._doomed.extend(group.doomed)
        _resolve(group, durable=False)
        self._refused(str(error))
        if not self._closing:
            self._scheduled = self._loop.call_later(self._retry_s, self._write)

    def _to_carry(self) -> list[Intent]:
        """Live intents of the oldest segment, once all segments together are too large, if they
        are so few that writing them again is worth while."""
        if sum(self._segment_bytes.values()) <= self._bounds.carried_above_bytes:
            return []
        oldest = min(self._segments)
        live = list(self._segments[oldest].values())[: self._bounds.carried_max]
        size = sum(len(frame(Mark.WANTED, intent)) for intent in live)
        if oldest == max(self._segments) or size * 2 > self._segment_bytes[oldest]:
            return []
        return live

    def _leave(self, segment: int, version: Version) -> None:
        del self._segments[segment][version]
        if segment != max(self._segments):
            self._remove_if_empty(segment)

    def _remove_if_empty(self, segment: int) -> None:
        if segment in self._segments and not self._segments[segment]:
            del self._segments[segment]
            del self._segment_bytes[segment]
            self._doomed.append(segment)


def _resolve(group: _Group, *, durable: bool) -> None:
    for _, future in group.appends:
        if not future.done():
            future.set_result(durable)
