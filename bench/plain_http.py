"""The least HTTP client: one request at a time on one connection that is kept."""

import asyncio
from typing import Self

from bench.system import VALUE


class Connection:
    """Speaks the binding's protocol about one namespace."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, namespace_id: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._head = f"Host: bench\r\nCF-KV-Namespace-ID: {namespace_id}\r\n"
        self._turn = asyncio.Lock()

    @classmethod
    async def opened(cls, address: str, namespace_id: str) -> Self:
        """A connection to the gateway's HTTP port."""
        host, _, port = address.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port)), namespace_id)

    async def get(self, key: str) -> int:
        """The status of a get."""
        return await self._asked(f"GET /{key}?urlencoded=true HTTP/1.1\r\n{self._head}\r\n", b"")

    async def put(self, key: str) -> int:
        """The status of a put."""
        line = f"PUT /{key}?urlencoded=true HTTP/1.1\r\nContent-Length: {len(VALUE)}\r\n"
        return await self._asked(f"{line}{self._head}\r\n", VALUE)

    async def _asked(self, head: str, body: bytes) -> int:
        async with self._turn:
            self._writer.write(head.encode() + body)
            lines = (await self._reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            length = next(line[15:] for line in lines if line.startswith(b"content-length:"))
            await self._reader.readexactly(int(length))
            return int(lines[0].split()[1])
