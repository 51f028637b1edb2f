"""The bodies of requests, with a bound on the memory of all that are under way."""

from typing import Final

from tandem.core.limits import MIB, VALUE_BYTES_MAX
from tandem.core.request import check_value_size
from tandem.errors import Overloaded
from tandem.runtime.httpd import Request

COUNTED_BYTES_MAX: Final = 4 * VALUE_BYTES_MAX
"""So much of a value that is too large is read and dropped, to say in the end how long it was."""
UNCOUNTED_BYTES: Final = 64 << 10
"""The beginning of each body takes no room: small values always find their way."""


class BodyRoom:
    """How much the bodies under way in one process may hold together.

    It fills as bytes arrive, not by what a client announces: whoever sends nothing takes nothing.
    """

    def __init__(self, bytes_max: int = 256 * MIB) -> None:
        self._bytes_max = bytes_max
        self.taken = 0

    def take(self, size: int) -> None:
        """Takes room; Overloaded when there is none."""
        if self.taken + size > self._bytes_max:
            raise Overloaded("too many large values are arriving at once")
        self.taken += size

    def give_back(self, size: int) -> None:
        """The body is over."""
        self.taken -= size


class Share:
    """The room that one request holds, for as long as its `with` block runs."""

    def __init__(self, room: BodyRoom) -> None:
        self._room = room
        self._received = 0
        self._held = 0

    def __enter__(self) -> "Share":
        return self

    def __exit__(self, *_: object) -> None:
        self._room.give_back(self._held)

    def count(self, size: int) -> None:
        """`size` bytes more have arrived; raises Overloaded when there is no room for them."""
        self._received += size
        if self._received > UNCOUNTED_BYTES:
            self._room.take(size)
            self._held += size


async def value_of(request: Request, room: BodyRoom) -> bytes | bytearray:
    """The body of a put.

    Raises InvalidArgument when it is too long, which is then told to the byte if the body has an
    end within bounds; Overloaded; HttpError when the client breaks it off.
    """
    if request.content_length is not None:
        check_value_size(request.content_length)
    taken = 0
    size = 0
    value: bytes | bytearray = b""
    try:
        async for chunk in request.body:
            size += len(chunk)
            if size > VALUE_BYTES_MAX:
                value = b""
                if size > COUNTED_BYTES_MAX:
                    break
                continue
            if size > UNCOUNTED_BYTES:
                room.take(len(chunk))
                taken += len(chunk)
            value = _extended(value, chunk)
    finally:
        room.give_back(taken)
    check_value_size(size)
    return value


def _extended(value: bytes | bytearray, chunk: bytes) -> bytes | bytearray:
    """One buffer that grows in place, instead of pieces that are joined at the end; a value of one
    piece is that piece."""
    if isinstance(value, bytearray):
        value += chunk
        return value
    return bytearray(value + chunk) if value else chunk
