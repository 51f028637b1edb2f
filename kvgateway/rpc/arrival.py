"""The one message of a unary call: read once it is known who sends it, within the room of all
large values.

gRPC reads a unary message to its end before it calls a method, so every call at once might hold one
of full size. Therefore the gateway serves unary methods as if they took streams, and reads by
itself. How much of a message has come cannot be seen: one that takes long counts as a whole value.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc

from kvgateway.access.body_room import BodyRoom, Share
from kvgateway.rpc.callers import Callers
from kvgateway.rpc.turns import LargeTurns
from tandem.core.limits import LARGE_BODY_BYTES, VALUE_BYTES_MAX
from tandem.errors import InvalidArgument, Overloaded

PROMPT_S: Final = 2.0
"""A message that is not here by then takes the room of the largest value."""
ARRIVAL_S: Final = 60.0
"""So long it may take after that; then the call is refused."""

_Context = grpc.aio.ServicerContext[Any, Any]


async def piece(context: _Context, within_s: float) -> Any:  # noqa: ANN401
    """The next message of a stream; Overloaded when it is not here in time, as whoever sends no
    more would keep its place, and the room for what it has sent."""
    try:
        async with asyncio.timeout(within_s):
            return await context.read()
    except TimeoutError:
        raise Overloaded(f"the next message has not come within {within_s:.0f} s") from None


class Arrivals:
    """Reads the requests of unary calls."""

    def __init__(self, callers: Callers, room: BodyRoom, turns: LargeTurns) -> None:
        self._callers = callers
        self._room = room
        self._turns = turns

    @asynccontextmanager
    async def message(
        self, context: _Context, decode: Callable[[bytes], object]
    ) -> AsyncIterator[object]:
        """The message of a call, with its room for as long as the `with` block runs.

        Raises what `Callers.of` and `decode` raise; Overloaded when there is no room for it, or
        when it is not here in time; InvalidArgument when there is none.
        """
        await self._callers.of(context)
        raw = await self._arrived(context)
        with Share(self._room) as share:
            share.count(len(raw))
            if len(raw) > LARGE_BODY_BYTES:
                await self._turns.next()
            message = [decode(raw)]
            del raw  # the method may let go of what was decoded, too
            yield message.pop()

    async def _arrived(self, context: _Context) -> bytes:
        arrival = _Arrival(self._room)
        with arrival.share:
            try:
                async with arrival.limit:
                    prompt = asyncio.get_running_loop().call_later(PROMPT_S, arrival.take_room)
                    try:
                        raw: Any = await context.read()
                    finally:
                        prompt.cancel()
            except TimeoutError:
                raise arrival.refusal from None
        if raw is grpc.aio.EOF:
            raise InvalidArgument("request", "the call ended before its message")
        return bytes(raw)


class _Arrival:
    """One message on its way: what it may still do, and why it is given up."""

    def __init__(self, room: BodyRoom) -> None:
        self.share = Share(room)
        self.limit = asyncio.timeout(None)
        self.refusal = Overloaded(f"the message has not come within {PROMPT_S + ARRIVAL_S:.0f} s")

    def take_room(self) -> None:
        """It is not here promptly."""
        now_s = asyncio.get_running_loop().time()
        try:
            self.share.count(VALUE_BYTES_MAX)
        except Overloaded as full:
            self.refusal = full
            self.limit.reschedule(now_s)
        else:
            self.limit.reschedule(now_s + ARRIVAL_S)
