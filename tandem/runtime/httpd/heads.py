"""Heads that were the whole of a request, and came lately: the same bytes ask for the same again.

A client that asks for one thing often sends one head each time, and to parse it costs more than all
else that the server does for a small answer. What a head says depends on nothing but its bytes, so
a request that is kept never grows old.
"""

from collections.abc import Callable
from typing import Final

from tandem.runtime.httpd.message import NO_BODY, App, Request
from tandem.runtime.latest import Latest

_HEADS_MAX: Final = 8192
_BYTES_MAX: Final = 8 << 20
"""Of heads; what is made of them takes as much again, and a kilobyte for each."""
_HEAD_BYTES_MAX: Final = 4096


class Heads:
    """Those of all connections of a server, by application, since what one notes on a request is
    its own."""

    __slots__ = ("_latest", "get")

    get: Callable[[tuple[App, bytes]], Request | None]
    """The request that this head was lately; None when it is not known."""

    def __init__(self) -> None:
        self._latest = Latest[tuple[App, bytes], Request](_HEADS_MAX, _BYTES_MAX)
        self.get = self._latest.get

    def keep(self, app: App, head: bytes, request: Request) -> None:
        """Keeps a request whose like may come again, if it is no more than its head."""
        bare = request.body is NO_BODY and request.method == b"GET"
        if bare and len(head) <= _HEAD_BYTES_MAX:
            self._latest.keep((app, head), request, len(head))
