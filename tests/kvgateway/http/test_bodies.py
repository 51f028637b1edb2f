"""The memory of bodies that are arriving: bounded together, and given back whatever happens."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from kvgateway.access.body_room import UNCOUNTED_BYTES, BodyRoom
from kvgateway.http.bodies import value_of
from tandem.core.envelope import seal
from tandem.core.limits import MIB, VALUE_BYTES_MAX
from tandem.core.version import Version
from tandem.errors import InvalidArgument, Overloaded
from tandem.runtime.httpd import Body, BodyMalformed, Request
from tests.kvgateway.http.doors import HEADER, opened, request

CHUNK = 64 << 10
VERSION = Version.at(1_800_000_000_000_000)


def _request(*chunks: bytes, length: int | None = None, ends: bool = True) -> Request:
    body = Body(None)
    for chunk in chunks:
        body.push(chunk)
    if ends:
        body.finish()
    return Request(b"PUT", b"/k", {}, body, length)


@pytest.mark.parametrize("chunks", [(), (b"",), (b"a",), (b"a", b"b"), (b"x" * CHUNK,) * 5])
async def test_a_value_is_what_came(chunks: tuple[bytes, ...]) -> None:
    room = BodyRoom()
    assert await value_of(_request(*chunks), room) == b"".join(chunks)
    assert room.taken == 0


async def test_a_value_of_one_piece_is_not_copied() -> None:
    chunk = b"x" * CHUNK
    assert await value_of(_request(chunk), BodyRoom()) is chunk


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("pieces", [4, 5, 40, 100])
async def test_a_large_value_is_sealed_as_its_bytes_would_be(pieces: int, announced: bool) -> None:
    chunk = bytes(range(256)) * 1024
    size = pieces * len(chunk)
    sent = _request(*[chunk] * pieces, length=size if announced else None)
    value = await value_of(sent, BodyRoom(), metadata=b"{}")
    assert len(value) == size
    assert seal(VERSION, value, metadata=b"{}") == seal(VERSION, chunk * pieces, metadata=b"{}")


async def test_who_has_sent_a_mebibyte_takes_the_room_for_the_rest() -> None:
    room = BodyRoom(24 * MIB)
    reading = []
    for mebibytes in (0, 1, 2):
        sent = _request(*[b"x" * CHUNK] * (16 * mebibytes), length=20 * MIB, ends=False)
        reading.append(asyncio.ensure_future(value_of(sent, room)))
        while sent.body.buffered:
            await asyncio.sleep(0)
        assert room.taken == (0, MIB - CHUNK, 21 * MIB - 2 * CHUNK)[mebibytes]
    refused = _request(*[b"x" * CHUNK] * 17, length=20 * MIB, ends=False)
    with pytest.raises(Overloaded):
        await value_of(refused, room)
    for each in reading:
        each.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    assert room.taken == 0


async def test_an_announced_length_that_is_too_much_is_refused_before_a_byte() -> None:
    sent = _request(b"x", length=VALUE_BYTES_MAX + 1, ends=False)
    with pytest.raises(InvalidArgument, match=str(VALUE_BYTES_MAX + 1)):
        await value_of(sent, BodyRoom())
    assert sent.body.buffered == 1


async def test_a_body_without_a_length_that_is_too_much_is_told_to_the_byte() -> None:
    with pytest.raises(InvalidArgument, match=f"length of {4 * VALUE_BYTES_MAX} bytes"):
        await value_of(_request(*[b"x" * MIB] * 100), BodyRoom())


async def test_a_large_body_without_a_length_takes_room_as_it_comes() -> None:
    room = BodyRoom(3 * MIB // 2)
    with pytest.raises(Overloaded):
        await value_of(_request(*[b"x" * CHUNK] * 32), room)
    assert room.taken == 0
    assert len(await value_of(_request(*[b"x" * CHUNK] * 25), room)) == 25 * CHUNK


async def test_an_endless_body_is_given_up_and_its_memory_with_it() -> None:
    room = BodyRoom()
    sent = _request(*[b"x" * MIB] * 200, ends=False)
    with pytest.raises(InvalidArgument, match="exceeds"):
        await value_of(sent, room)
    assert sent.body.buffered > 90 * MIB
    assert room.taken == 0


@pytest.mark.parametrize("chunks", [4, 40])
async def test_a_body_that_breaks_off_gives_its_room_back(chunks: int) -> None:
    room = BodyRoom()
    sent = _request(*[b"x" * CHUNK] * chunks, length=20 * MIB, ends=False)
    sent.body.fail(BodyMalformed(400, b"broken"))
    with pytest.raises(BodyMalformed):
        await value_of(sent, room)
    assert room.taken == 0


async def test_bodies_share_one_room_and_small_ones_need_none() -> None:
    room = BodyRoom(4 * CHUNK)
    first = _request(*[b"x" * CHUNK] * 5, ends=False)
    reading = asyncio.ensure_future(value_of(first, room))
    while first.body.buffered:
        await asyncio.sleep(0)
    assert room.taken == 4 * CHUNK
    with pytest.raises(Overloaded):
        await value_of(_request(b"x" * CHUNK, b"x"), room)
    assert len(await value_of(_request(b"x" * UNCOUNTED_BYTES), room)) == UNCOUNTED_BYTES
    first.body.finish()
    assert len(await reading) == 5 * CHUNK
    assert len(await value_of(_request(b"x" * CHUNK, b"x"), room)) == CHUNK + 1
    assert room.taken == 0


async def test_what_finds_no_room_is_told_to_come_again_and_stores_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, room=BodyRoom(MIB)) as door:
        refused = await door.ask("PUT", "/large?urlencoded=true", body=b"x" * 3 * MIB)
        assert (refused.status, refused.headers[b"retry-after"]) == (503, b"1")
        assert refused.reason == b"Overloaded: too many large values are arriving at once"
        await door.put("small", b"v")
        assert door.stored().keys() == {"small"}


async def test_slow_uploads_that_hold_all_the_room_leave_small_writes_alone(tmp_path: Path) -> None:
    async with opened(tmp_path, room=BodyRoom(MIB)) as door:
        head = request("PUT", "/slow?urlencoded=true", HEADER, body=b"x" * 20 * MIB)
        slow = [await door.served.connect() for _ in range(4)]
        for wire in slow:
            await wire.send(head[: 300 << 10])
        for number in range(50):
            await door.put(f"k{number}", b"v")
            assert (await door.get(f"k{number}")).body == b"v"


@dataclass
class Taken:
    """What went ahead."""

    value: bytes = b""
    digest: bytes = b""

    def add(self, piece: bytes | memoryview) -> None:
        self.value += piece

    def let_go(self) -> None:
        """It holds bytes of its own."""

    def end(self, digest: bytes) -> None:
        self.digest = digest


@pytest.mark.parametrize(("pieces", "large"), [(4, False), (5, True), (40, True)])
@pytest.mark.parametrize("announced", [True, False])
async def test_only_a_large_value_goes_ahead_and_all_of_it(
    pieces: int, large: bool, announced: bool
) -> None:
    chunk = bytes(range(256)) * 1024
    taken = Taken()
    sent = _request(*[chunk] * pieces, length=pieces * len(chunk) if announced else None)
    value = await value_of(sent, BodyRoom(), taken)
    assert taken.value == (chunk * pieces if large else b"")
    assert taken.digest == b""
    sealed = seal(VERSION, value)
    assert taken.digest == (sealed.digest if large else b"")
