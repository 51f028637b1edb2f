"""Receives for a connection while a body goes straight into its place, uncopied."""

import asyncio
from typing import Protocol


class Owner(Protocol):
    """The connection, as its stand-in sees it."""

    def place(self) -> memoryview:
        """Where the next bytes belong; not empty."""
        ...

    def put(self, size: int) -> None:
        """So many bytes have come there."""
        ...

    def eof_received(self) -> bool:
        """As of `asyncio.Protocol`, like all that follow."""
        ...

    def connection_lost(self, exc: Exception | None) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...


class InPlace(asyncio.BufferedProtocol):
    """Two classes instead of one, since a transport asks its protocol's type how it receives."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._owner.place()

    def buffer_updated(self, nbytes: int) -> None:
        self._owner.put(nbytes)

    def eof_received(self) -> bool:
        return self._owner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._owner.pause_writing()

    def resume_writing(self) -> None:
        self._owner.resume_writing()
