"""How much of the bodies under way this process holds at once; at the bound, a request is refused.

A body of 100 MB is allowed, and a thousand of them at once would end the process.
"""

from collections.abc import AsyncIterator

from tandem.errors import Overloaded


class Room:
    """Counts bytes held, over all requests."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.held = 0

    def share(self) -> "Share":
        """One request's part; use it as a context manager, which gives it back."""
        return Share(self)

    def take(self, size: int) -> None:
        """Raises Overloaded when there is no room for `size` bytes more."""
        if self.held + size > self._bytes_max:
            raise Overloaded(f"{self.held} bytes of requests are under way; try again later")
        self.held += size


class Share:
    """The bytes that one request holds."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._held = 0

    def __enter__(self) -> "Share":
        return self

    def __exit__(self, *_: object) -> None:
        self._room.held -= self._held

    def take(self, size: int) -> None:
        """Holds `size` bytes more; Overloaded when there is no room for them."""
        self._room.take(size)
        self._held += size

    async def counted(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Passes chunks on, and holds them."""
        async for chunk in chunks:
            self.take(len(chunk))
            yield chunk
