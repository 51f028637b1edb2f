"""A client that speaks HTTP/2 by hand, to begin messages and not to end them."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_ACK, _END_STREAM, _END_HEADERS = 1, 1, 4
_INITIAL_WINDOW: Final = 4
_FRAME_BYTES: Final = 16_384
_FILLING: Final = bytes(_FRAME_BYTES)


class HalfSent:
    """One connection; `ended` holds the streams that the server has ended."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._initial = 65_535
        self._windows: dict[int, int] = {0: 65_535}
        self._moved = asyncio.Condition()
        self.ended: set[int] = set()
        self.closed = False
        writer.write(_PREFACE)
        self._frame(_SETTINGS, 0, 0, b"")

    def begin(self, method: str, announced_bytes: int) -> int:
        """A call whose message says to be so long; the number of its stream."""
        stream = 2 * len(self._windows) - 1
        self._windows[stream] = self._initial
        headers = {
            b":method": b"POST", b":scheme": b"http", b":path": f"/tandem.v1.KV/{method}".encode(),
            b":authority": b"kv", b"te": b"trailers", b"content-type": b"application/grpc",
        }  # fmt: skip
        literal = b"".join(b"\0" + _text(name) + _text(text) for name, text in headers.items())
        self._frame(_HEADERS, _END_HEADERS, stream, literal)
        self._data(stream, struct.pack(">BI", 0, announced_bytes))
        return stream

    async def send(self, stream: int, size: int) -> None:
        """Sends so much of its message, as the server allows it; less where it ends the call."""
        while size and stream not in self.ended and not self.closed:
            now = min(size, self._windows[0], self._windows[stream], _FRAME_BYTES)
            if now > 0:
                self._data(stream, _FILLING[:now])
                size -= now
                await self._writer.drain()
            else:
                async with self._moved:
                    await self._moved.wait_for(lambda: self._may_send(stream))

    async def until_ended(self, count: int) -> None:
        """Waits until the server has ended so many calls."""
        async with self._moved:
            await self._moved.wait_for(lambda: len(self.ended) >= count or self.closed)

    def _may_send(self, stream: int) -> bool:
        both = min(self._windows[0], self._windows[stream])
        return both > 0 or stream in self.ended or self.closed

    def _data(self, stream: int, content: bytes) -> None:
        self._windows[0] -= len(content)
        self._windows[stream] -= len(content)
        self._frame(_DATA, 0, stream, content)

    def _frame(self, kind: int, flags: int, stream: int, content: bytes) -> None:
        head = struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream)
        self._writer.write(head + content)

    async def follow(self) -> None:
        """Takes what the server sends, until it closes."""
        try:
            while True:
                head = await self._reader.readexactly(9)
                kind, flags, stream = struct.unpack(">BBI", head[3:])
                content = await self._reader.readexactly(int.from_bytes(head[:3]))
                async with self._moved:
                    self._take(kind, flags, stream, content)
                    self._moved.notify_all()
        except (asyncio.IncompleteReadError, ConnectionError):
            async with self._moved:
                self.closed = True
                self._moved.notify_all()

    def _take(self, kind: int, flags: int, stream: int, content: bytes) -> None:
        if kind == _WINDOW:
            self._windows[stream] += int.from_bytes(content)
        elif kind == _PING and not flags & _ACK:
            self._frame(_PING, _ACK, 0, content)
        elif kind == _SETTINGS and not flags & _ACK:
            self._set(content)
        elif kind == _RST or (kind == _HEADERS and flags & _END_STREAM):
            self.ended.add(stream)
        elif kind == _GOAWAY:
            self.closed = True

    def _set(self, content: bytes) -> None:
        for name, number in struct.iter_unpack(">HI", content):
            if name == _INITIAL_WINDOW:
                for stream in self._windows.keys() - {0}:
                    self._windows[stream] += number - self._initial
                self._initial = number
        self._frame(_SETTINGS, _ACK, 0, b"")


@asynccontextmanager
async def half_sent(port: int) -> AsyncIterator[HalfSent]:
    """A connection to a gateway of this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connection = HalfSent(reader, writer)
    following = asyncio.create_task(connection.follow())
    try:
        yield connection
    finally:
        writer.close()
        await following


def _text(text: bytes) -> bytes:
    return bytes((len(text),)) + text
