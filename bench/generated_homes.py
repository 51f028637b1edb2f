"""Both homes as a crawler sees them, with as many equal keys as are asked for, out of nothing.

    python -m bench.generated_homes 1000000

A LIST is answered over HTTP and a scan over gRPC, each from a page made beforehand in which only
the beginnings of the names change, so this process costs little beside the one that is measured.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Final, cast
from urllib.parse import parse_qs, urlsplit

import grpc.aio
import uvloop

from tandem.core.envelope import digest_of
from tandem.core.key import encode_name
from tandem.core.record import Kind
from tandem.core.version import NO_VERSION, Version
from tandem.runtime.clock import SystemClock
from tandem.wire import scan_codec as scanning
from tandem.wire import storage_codec as codec
from tandem.wire.v1 import storage_pb2 as pb
from tandem.wire.v1 import storage_pb2_grpc as rpc

NAMESPACE: Final = "ab" * 16
PAGE: Final = 1000
_WIDTH: Final = 15
"""Characters that differ between pages: a multiple of five, so that in base32hex they stand alone.
The rest of a name is five more."""
_SIZE: Final = 330
_VERSION: Final = Version.at(1_700_000_000_000_000)
_ENDINGS: Final = [f"/{number:04}" for number in range(PAGE)]
_DIGESTS: Final = [digest_of(ending.encode()) for ending in _ENDINGS]
_BEGINNING: Final = b"@"
"""Where the beginning of a name goes in a page that was made beforehand."""


def beginning(page: int) -> str:
    """What the names of a page begin with."""
    return f"user-{page:0{_WIDTH - 5}}"


def _page_after(name: str) -> int:
    """Which page comes after this name; crawls here stop at ends of pages only."""
    return int(name[5:_WIDTH]) + 1 if name else 0


def listing(after: str, pages: int) -> bytes:
    """The answer to a LIST of S3 from above a name."""
    page = _page_after(after)
    more = b"true" if page < pages - 1 else b"false"
    objects = _OBJECTS.replace(_BEGINNING, encode_name(beginning(page)).encode())
    return _LIST % (more, objects if page < pages else b"")


_OBJECTS: Final = b"".join(
    b"<Contents><Key>%b/@%b</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    b"<ETag>&quot;%b&quot;</ETag><Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents>"
    % (NAMESPACE.encode(), encode_name(ending).encode(), digest.hex().encode(), _SIZE)
    for ending, digest in zip(_ENDINGS, _DIGESTS, strict=True)
)
_LIST: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bench</Name>'
    b"<MaxKeys>1000</MaxKeys><IsTruncated>%b</IsTruncated>%b</ListBucketResult>"
)


def scanned(after: str, pages: int) -> pb.ScanReply:
    """The answer to a scan of KVSP from above a name."""
    page = _page_after(after)
    reply = pb.ScanReply(
        ended=page >= pages - 1, complete=True, home_time_us=SystemClock().now_us()
    )
    if page < pages:
        start = beginning(page).encode()
        scanning.add_rows(
            reply,
            [
                (start + ending.encode(), _VERSION, digest, _SIZE, Kind.VALUE, 0, b"", None)
                for ending, digest in zip(_ENDINGS, _DIGESTS, strict=True)
            ],
        )
    return reply


class GeneratedRows(rpc.StorageServicer):
    """KVSP, as far as a crawl of equal keys goes."""

    def __init__(self, pages: int) -> None:
        self._pages = pages

    async def Exchange(
        self, requests: AsyncIterator[pb.StorageRequest], context: object
    ) -> AsyncIterator[pb.StorageReply]:
        """Every key is missing."""
        async for request in requests:
            reply = codec.new_reply(SystemClock().now_us())
            for get in request.gets:
                codec.add_missing(reply, get.id, NO_VERSION)
            yield reply

    async def Scan(self, request: pb.ScanRequest, context: object) -> pb.ScanReply:
        """The next page."""
        return scanned(request.after.decode(), self._pages)


class GeneratedObjects(asyncio.Protocol):
    """S3, as far as a crawl of equal keys goes: LISTs are answered, every object is missing."""

    def __init__(self, pages: int) -> None:
        self._pages = pages
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            self._transport.writelines(self._answer(head.split(b" ", 2)[1].decode()))

    def _answer(self, target: str) -> list[bytes]:
        asked = parse_qs(urlsplit(target).query)
        if "list-type" in asked:
            status, body = b"200 OK", listing(_last_name(asked), self._pages)
        else:
            status, body = b"404 Not Found", b"<Error><Code>NoSuchKey</Code></Error>"
        head = b"HTTP/1.1 %b\r\nDate: %b\r\nContent-Length: %d\r\n\r\n"
        return [head % (status, formatdate(usegmt=True).encode(), len(body)), body]


def _last_name(asked: dict[str, list[str]]) -> str:
    encoded = asked.get("start-after", ["/"])[0].partition("/")[2]
    return _name_of(encoded) if encoded else ""


def _name_of(encoded: str) -> str:
    """Only its beginning matters."""
    return int(encoded[: _WIDTH * 8 // 5], 32).to_bytes(_WIDTH, "big").decode()


async def _serve(keys: int) -> None:
    pages = keys // PAGE
    server = grpc.aio.server()
    rpc.add_StorageServicer_to_server(GeneratedRows(pages), server)
    rows_port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    loop = asyncio.get_running_loop()
    objects = await loop.create_server(lambda: GeneratedObjects(pages), "127.0.0.1", 0)
    print(rows_port, objects.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
