"""The bodies of requests: values as they arrive, within the room that all bodies share."""

from typing import Final

from kvgateway.access.body_room import UNCOUNTED_BYTES, BodyRoom, Share
from tandem.backends.port import Ahead
from tandem.core.envelope import TRAILER_BYTES_MAX, Value, trailer_bytes
from tandem.core.limits import MIB, VALUE_BYTES_MAX
from tandem.core.request import check_value_size
from tandem.runtime.httpd import Body, Request
from tandem.runtime.intake import Intake

COUNTED_BYTES_MAX: Final = 4 * VALUE_BYTES_MAX
"""So much of a value that is too large is read and dropped, to say in the end how long it was."""
_SMALL_BYTES_MAX: Final = 1 * MIB


def small_value_of(request: Request) -> bytes | None:
    """The body of a put when it has come already and takes no room; None for any other."""
    if request.content_length is None or request.content_length > UNCOUNTED_BYTES:
        return None
    return request.body.whole()


async def value_of(
    request: Request, room: BodyRoom, ahead: Ahead | None = None, metadata: bytes = b""
) -> Value:
    """The body of a put; a large one goes `ahead` too, and must be sealed with this `metadata`.

    Raises InvalidArgument when it is too long, which is then told to the byte if the body has an
    end within bounds; Overloaded; HttpError when the client breaks it off.
    """
    length = request.content_length
    if length is not None:
        check_value_size(length)
    with Share(room) as share:
        arriving = ArrivingValue(share, length or 0, ahead, trailer_bytes(metadata))
        size = 0
        async for chunk in request.body:
            size += len(chunk)
            if size <= VALUE_BYTES_MAX:
                await arriving.add(chunk)
                if length is not None and arriving.is_large:
                    await arriving.add_rest(request.body)
                continue
            arriving.drop()
            if size > COUNTED_BYTES_MAX:
                break
        check_value_size(size)
        return await arriving.value()


class ArrivingValue:
    """A value on its way: small ones as they came, or joined; a large one in an `Intake`.

    Args:
        announced: how long it may become, by what the client says; 0 when it says nothing.
        trailer: how many bytes will stand behind it, or the most that may.
    """

    def __init__(
        self,
        share: Share,
        announced: int,
        ahead: Ahead | None,
        trailer: int = TRAILER_BYTES_MAX,
    ) -> None:
        self._share = share
        self._announced = announced
        self._ahead = ahead
        self._trailer = trailer
        self._size = 0
        self._small: bytes | bytearray = b""
        self._large: Intake | None = None

    def __len__(self) -> int:
        """How many bytes have come."""
        return self._size

    async def add(self, chunk: bytes) -> None:
        """The next bytes. Raises Overloaded when there is no room for them."""
        self._size += len(chunk)
        if self._large is not None:
            if self._size > self._announced:
                self._share.count(len(chunk))
            await self._large.add(chunk)
            return
        self._share.count(len(chunk))
        if self._size <= _SMALL_BYTES_MAX:
            self._small = _extended(self._small, chunk)
        else:
            await self._become_large(chunk)

    @property
    def is_large(self) -> bool:
        """Whether it has come to have a place of its own."""
        return self._large is not None

    async def add_rest(self, body: Body) -> None:
        """All that is still to come of a large value that is exactly as long as announced: it goes
        straight to where it will stay."""
        assert self._large is not None, "it has no place yet"
        with body.landing(self._large.place(self._announced - self._size)):
            while size := await body.landed():
                self._size += size
                await self._large.landed(size)

    async def _become_large(self, chunk: bytes) -> None:
        """A client that has sent so much means it: the room for all that it announced is taken."""
        if self._announced > self._size:
            self._share.count(self._announced - self._size)
        small, self._small = self._small, b""
        room = max(self._announced, self._size) + self._trailer
        self._large = Intake(room, self._ahead)
        await self._large.add(bytes(small))
        await self._large.add(chunk)

    def drop(self) -> None:
        """It is too large: what came is forgotten, what still comes is only counted."""
        self._small = b""
        self._large = None

    async def value(self) -> Value:
        """All of it."""
        if self._large is None:
            return self._small
        await self._large.whole()
        return self._large


def _extended(value: bytes | bytearray, chunk: bytes) -> bytes | bytearray:
    """One buffer that grows in place, instead of pieces that are joined at the end; a value of one
    piece is that piece."""
    if isinstance(value, bytearray):
        value += chunk
        return value
    return bytearray(value + chunk) if value else chunk
