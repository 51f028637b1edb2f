"""Writes of one process to one object take turns, and of those that wait only the newest is sent.

At once they would make each other's conditions fail, and a hot key would cost many requests for
each write. The others need none: a confirmation of the newest, asked for after they came, says that
they are superseded.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from tandem.core.record import Record
from tandem.core.reply import Failed, Reason, Stored, Superseded, WriteReply

WAITING_MAX: Final = 4096
"""How many writes may wait for one object; more are refused at once."""


@dataclass(slots=True, eq=False)
class _Ticket:
    """A write that waits: `turn` gets its reply, or None when it is to go itself."""

    record: Record
    turn: asyncio.Future[WriteReply | None]

    def answer(self, reply: WriteReply | None) -> None:
        if not self.turn.done():
            self.turn.set_result(reply)


@dataclass(slots=True)
class _Line:
    """The writes to one object: one under way, those that it may answer for, those that wait."""

    covered: list[_Ticket] = field(default_factory=list)
    waiting: list[_Ticket] = field(default_factory=list)


class Turns:
    """Every write goes through `take`."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._loop = asyncio.get_running_loop()

    async def take(
        self, name: str, record: Record, until_s: float, write: Callable[[], Awaitable[WriteReply]]
    ) -> WriteReply:
        """What `write` answers when its turn has come, or what another write has settled for it."""
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = _Line()
        else:
            settled = await self._wait(name, line, record, until_s)
            if settled is not None:
                return settled
        reply: WriteReply | None = None
        try:
            reply = await write()
            return reply
        finally:
            self._end_turn(name, line, record, reply)

    async def _wait(
        self, name: str, line: _Line, record: Record, until_s: float
    ) -> WriteReply | None:
        if len(line.waiting) + len(line.covered) >= WAITING_MAX:
            return Failed(Reason.OVERLOADED, f"{WAITING_MAX} writes to one key wait already")
        ticket = _Ticket(record, self._loop.create_future())
        line.waiting.append(ticket)
        too_late = Failed(Reason.TIMEOUT, "earlier writes to the same key took all the time")
        timer = self._loop.call_at(until_s, ticket.answer, too_late)
        try:
            return await ticket.turn
        except asyncio.CancelledError:
            if not ticket.turn.cancelled() and ticket.turn.result() is None:
                self._end_turn(name, line, record, None)
            raise
        finally:
            timer.cancel()

    def _end_turn(self, name: str, line: _Line, record: Record, reply: WriteReply | None) -> None:
        """Answers those whom `reply` settles, and gives the turn to the newest of the others."""
        if isinstance(reply, Stored | Superseded):
            for ticket in line.covered:
                ticket.answer(_settled(ticket.record, record, reply))
        left = [t for t in (*line.covered, *line.waiting) if not t.turn.done()]
        if not left:
            del self._lines[name]
            return
        newest = max(left, key=lambda ticket: (ticket.record.version, ticket.record.digest))
        left.remove(newest)
        line.covered, line.waiting = left, []
        newest.answer(None)


def _settled(record: Record, sent: Record, reply: Stored | Superseded) -> Stored | Superseded:
    """What the reply to `sent`, which is no older, means for `record`."""
    if record == sent or isinstance(reply, Superseded):
        return reply
    return Superseded(sent.version, reply.home_time_us)
