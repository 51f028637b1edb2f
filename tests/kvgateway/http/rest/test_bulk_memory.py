"""A bulk put of 100 MB holds its values once, and never its text, and so does a form: the peak is
counted."""

import asyncio
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import pytest

from kvgateway.http.rest.pairs import BULK_BYTES_MAX, PAIRS_MAX
from tandem.core.limits import KIB, MIB
from tandem.core.request import Listing, ListPage, Put, Read, ReadResult, Write, Written
from tandem.core.version import Version
from tandem.errors import TandemError
from tests.kvgateway.http.rest.api import ONE, Api

_BULK = (ONE + "/bulk HTTP/1.1").encode()
_FORM = (ONE + "/values/k HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=cut").encode()


@dataclass
class ForgetfulStore:
    """Counts what it is given, and keeps nothing of it."""

    writes: int = 0
    bytes: int = 0
    traced: list[int] = field(default_factory=list)
    """Bytes in use at each group."""

    def read(
        self, _reads: Sequence[Read]
    ) -> Sequence[ReadResult | TandemError | asyncio.Future[ReadResult]]:
        raise NotImplementedError

    def write(self, writes: Sequence[Write]) -> Sequence[TandemError | asyncio.Future[Written]]:
        self.traced.append(tracemalloc.get_traced_memory()[0])
        answers: list[asyncio.Future[Written]] = []
        for write in writes:
            assert isinstance(write, Put)
            self.writes += 1
            self.bytes += len(write.value)
            answers.append(asyncio.get_running_loop().create_future())
            answers[-1].set_result(Written(Version.at(1)))
        return answers

    async def list(self, _listing: Listing) -> ListPage:
        raise NotImplementedError

    def admit_body(self, _namespace: str, _size: int | None) -> AbstractContextManager[None]:
        return nullcontext()


def _pieces(pairs: int, value: bytes) -> Iterator[bytes]:
    """The body, made while it is sent, so that the test itself holds none of it."""
    for number in range(pairs):
        yield b'%b{"key":"k%05d","value":"' % (b"," if number else b"[", number)
        yield from (value[start : start + 64 * KIB] for start in range(0, len(value), 64 * KIB))
        yield b'"}'
    yield b"]"


def _form(value: bytes) -> Iterator[bytes]:
    yield b'--cut\r\nContent-Disposition: form-data; name="value"\r\n\r\n'
    yield from (value[start : start + 64 * KIB] for start in range(0, len(value), 64 * KIB))
    yield b"\r\n--cut--\r\n"


def _chunks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, 64 KiB and more at once: each chunk costs both ends a millisecond."""
    chunk = bytearray()
    for piece in pieces:
        chunk += piece
        if len(chunk) >= 64 * KIB:
            yield bytes(chunk)
            chunk.clear()
    if chunk:  # an empty one would be the end
        yield bytes(chunk)


async def _peak_bytes(api: Api, head: bytes, pieces: Iterator[bytes]) -> int:
    wire = await api.served.connect()
    await wire.send(b"PUT %b\r\nTransfer-Encoding: chunked\r\n\r\n" % head)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for chunk in _chunks(pieces):
            await wire.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        await wire.send(b"0\r\n\r\n")
        answer = await wire.answer()
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert answer.status == 200, answer.body
    return peak


@pytest.mark.parametrize(
    ("pairs", "value", "stored", "peak_mib"),
    [
        # 98 MB: the values, some 2 MiB for 10,000 writes, and what is under way in sockets
        (PAIRS_MAX, b"v" * 9_800, 9_800, 100),
        # the last value is there four times: as it came, cut out, as text, as bytes
        (4, b"v" * (24 * MIB), 24 * MIB, 4 * 24 + 3 * 24 + 8),
    ],
    ids=["10,000 values", "4 values of 24 MiB"],
)
async def test_the_peak_of_a_bulk_put(
    api: Api, pairs: int, value: bytes, stored: int, peak_mib: int
) -> None:
    assert 0.9 * BULK_BYTES_MAX < pairs * len(value) < BULK_BYTES_MAX
    store = ForgetfulStore()
    api.entrance.caller.keyvalues = store
    peak = await _peak_bytes(api, _BULK, _pieces(pairs, value))
    assert (store.writes, store.bytes) == (pairs, pairs * stored)
    assert peak < peak_mib * MIB
    assert store.traced[-1] < store.traced[0] / 3, "what was written is still held"


async def test_the_peak_of_a_form(api: Api) -> None:
    """The buffer, which is never more than a quarter larger than the value, and a few pieces."""
    store = ForgetfulStore()
    api.entrance.caller.keyvalues = store
    value = b"v" * (24 * MIB)
    peak = await _peak_bytes(api, _FORM, _form(value))
    assert (store.writes, store.bytes) == (1, len(value))
    assert peak < 1.25 * len(value) + 8 * MIB
