"""A large value that comes over a call of its own: its first message, then its pieces."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeAlias

from kvsp.store import Store
from tandem.core.limits import PIECE_BYTES
from tandem.core.reply import WriteReply
from tandem.errors import InvalidArgument
from tandem.wire import large_codec as codec

Next: TypeAlias = Callable[[], Awaitable[codec.LargePutMessage | None]]
"""The next message of the call; None when the gateway has ended it."""

_FIRST: Final = "head"


async def write_pieces(store: Store, next_message: Next) -> WriteReply:
    """Stores what the call brings. InvalidArgument when that is not what it announced, and then
    nothing is stored."""
    first = await next_message()
    if first is None or isinstance(first, memoryview) or not first.HasField(_FIRST):
        raise InvalidArgument(_FIRST, "must be in the first message")
    put, trailer = codec.parse_large_head(first.head)
    value_size = put.record.size - len(trailer)
    return await store.write_large(put, _envelope(next_message, value_size, trailer))


async def one_piece(envelope: bytes) -> AsyncIterator[bytes | memoryview]:
    """What has come in one message, as the pieces of a large value."""
    yield envelope


async def _envelope(
    next_message: Next, value_size: int, trailer: bytes
) -> AsyncIterator[bytes | memoryview]:
    left = value_size
    while left:
        message = await next_message()
        if message is None:
            raise InvalidArgument("piece", f"the stream ended {left} bytes early")
        piece = codec.piece_of(message)
        if not 1 <= len(piece) <= min(left, PIECE_BYTES):
            raise InvalidArgument("piece", f"{len(piece)} bytes are not from 1 to the {left} left")
        left -= len(piece)
        yield piece
    yield trailer
