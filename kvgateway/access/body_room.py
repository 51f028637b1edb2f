"""A bound on the memory of all values that are arriving in one process, whatever door they take."""

from typing import Final

from tandem.core.limits import MIB
from tandem.errors import Overloaded

UNCOUNTED_BYTES: Final = 64 << 10
"""The beginning of each body takes no room: small values always find their way."""

BODIES_BYTES_MAX: Final = 256 * MIB


class BodyRoom:
    """How much the bodies under way in one process may hold together.

    It fills as bytes arrive, not by what a client announces: whoever sends nothing takes nothing.
    Only who has sent a mebibyte of a large value takes the room for the rest of it at once, and who
    takes long over a message of which nobody sees how much has come (`kvgateway.rpc.arrival`).
    """

    def __init__(self, bytes_max: int = BODIES_BYTES_MAX) -> None:
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
