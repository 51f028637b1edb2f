"""Bulk get: every shape of answer, and what it refuses."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kvgateway.access.body_room import BodyRoom
from kvgateway.http.bulk_read import answer_to_bulk, bulk_read_of, read_in_bulk
from tandem.core.limits import VALUE_BYTES_MAX
from tandem.core.request import ReadResult
from tandem.errors import Overloaded, Unavailable
from tests.kvgateway.http.doors import Door, opened
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.runtime.wire import Answer


async def _bulk(door: Door, **fields: object) -> Answer:
    return await door.ask("POST", "/bulk/get", body=json.dumps(fields).encode())


@pytest.mark.parametrize("deferred", [False, True])
async def test_values_in_the_order_of_the_request_each_once(door: Door, deferred: bool) -> None:
    await door.put("b", b"two", b'CF-KV-Metadata: {"n": "\xc3\xa9"}')
    await door.put("a", b"\xff1")
    await door.put("__proto__", b"")
    door.store.deferred = deferred
    keys = ["b", "missing", "__proto__", "a", "b"]
    answer = await _bulk(door, keys=keys, type="text", cacheTtl="60")
    assert answer.status == 200
    assert answer.headers[b"content-type"] == b"application/json"
    assert b"content-encoding" not in answer.headers
    found = json.loads(answer.body, object_pairs_hook=list)
    assert found == [("b", "two"), ("missing", None), ("__proto__", ""), ("a", "\ufffd1")]
    answer = await _bulk(door, keys=keys, withMetadata=True)
    assert json.loads(answer.body) == {
        "b": {"value": "two", "metadata": {"n": "é"}},
        "missing": None,
        "__proto__": {"value": "", "metadata": None},
        "a": {"value": "\ufffd1", "metadata": None},
    }


@pytest.mark.parametrize(
    "text",
    ["0", "false", '""', "null", "[]", "{}", '{"a": [1, "\\u00e9"]}', "12345678901234567890"],
)
async def test_json_values_stand_in_the_answer_as_they_were_stored(door: Door, text: str) -> None:
    await door.put("k", text.encode(), b"CF-KV-Metadata: 1")
    answer = await _bulk(door, keys=["k", "none"], type="json")
    assert answer.body.decode() == f'{{"k":{text},"none":null}}'
    answer = await _bulk(door, keys=["k", "none"], type="json", withMetadata=True)
    assert answer.body.decode() == f'{{"k":{{"value":{text},"metadata":1}},"none":null}}'


@pytest.mark.parametrize("value", [b"", b"text", b"{", b"NaN", b"[" * 100_000, b"\xef\xbb\xbf1"])
async def test_one_value_that_is_no_json_refuses_all(door: Door, value: bytes) -> None:
    await door.put("good", b"1")
    await door.put("bad", value)
    answer = await _bulk(door, keys=["good", "bad"], type="json")
    reason = b"At least one of the requested keys corresponds to a non-json value"
    assert (answer.status, answer.reason) == (400, reason)
    assert (await _bulk(door, keys=["good", "bad"])).status == 200


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ('{"keys":[]}', 400, "You must request a minimum of 1 key"),
        (json.dumps({"keys": ["k"] * 101}), 400, "You can request a maximum of 100 keys"),
        (
            '{"keys":["k"],"type":"stream"}',
            400,
            '"stream" is not a valid type. Use "json" or "text"',
        ),
        ('{"keys":["k"],"type":null}', 400, '"null" is not a valid type. Use "json" or "text"'),
        ('{"keys":["k"],"type":"é"}', 400, '"\\xe9" is not a valid type. Use "json" or "text"'),
        ('{"keys":["k",""]}', 400, "Key names must not be empty"),
        ('{"keys":["."]}', 400, 'Illegal key name ".". Please use a different name.'),
        ('{"keys":[".."]}', 400, 'Illegal key name "..". Please use a different name.'),
        (
            json.dumps({"keys": ["k" * 513]}),
            414,
            "UTF-8 encoded length of 513 exceeds key length limit of 512.",
        ),
        ('{"keys":["\\ud800"]}', 400, "Could not URL-decode key name"),
        (
            '{"keys":["k"],"cacheTtl":29}',
            400,
            "Invalid cache_ttl of 29. Cache TTL must be at least 30.",
        ),
        ('{"keys":"k"}', 400, '"keys" must be a list of strings'),
        ('{"keys":[1]}', 400, '"keys" must be a list of strings'),
        ("{}", 400, '"keys" must be a list of strings'),
        ("[]", 400, "The body of a bulk get must be a JSON object"),
        ("", 400, "The body of a bulk get must be a JSON object"),
        ("{", 400, "The body of a bulk get must be a JSON object"),
        ("[" * 100_000, 400, "The body of a bulk get must be a JSON object"),
        ('"' + "x" * (1 << 20) + '"', 413, "Request body is larger than 1048576 bytes"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
async def test_what_is_refused(door: Door, body: str, status: int, reason: str) -> None:
    answer = await door.ask("POST", "/bulk/get", body=body.encode())
    assert (answer.status, answer.reason.decode()) == (status, reason)
    assert door.store.calls == 0


async def test_a_hundred_long_keys_in_their_longest_spelling_fit(door: Door) -> None:
    keys = [chr(1 + number % 31) * 509 + f"{number:03}" for number in range(100)]
    answer = await _bulk(door, keys=keys)
    assert list(json.loads(answer.body)) == keys


async def test_one_key_that_is_unavailable_makes_all_of_it_so(door: Door) -> None:
    await door.put("k", b"v")
    record = door.record("k")

    def read(_: object) -> object:
        later: asyncio.Future[ReadResult] = asyncio.get_running_loop().create_future()
        later.set_exception(Unavailable("no home answers"))
        unheard: asyncio.Future[ReadResult] = asyncio.get_running_loop().create_future()
        unheard.set_exception(Overloaded("too many"))
        return [ReadResult(record), later, unheard]

    door.store.read = read  # type: ignore[method-assign, assignment]
    answer = await _bulk(door, keys=["k", "a", "b"])
    assert (answer.status, answer.reason) == (503, b"Unavailable: no home answers")


async def test_an_answer_that_is_stale_in_part_says_so(door: Door) -> None:
    await door.put("k", b"v")
    results = [ReadResult(door.record("k"), stale=True), ReadResult(None, unconfirmed=True)]
    door.store.read = lambda _: results  # type: ignore[method-assign, assignment]
    answer = await _bulk(door, keys=["k", "a"])
    assert json.loads(answer.body) == {"k": "v", "a": None}
    assert answer.headers.keys() >= {b"tandem-stale", b"tandem-unconfirmed"}


async def test_25_mib_in_all_are_answered_and_a_byte_more_is_refused(door: Door) -> None:
    half = VALUE_BYTES_MAX // 2
    await door.put("a", b"x" * half)
    await door.put("b", b'"' * half)
    answer = await _bulk(door, keys=["a", "b"])
    assert answer.headers[b"transfer-encoding"] == b"chunked"
    assert json.loads(answer.body) == {"a": "x" * half, "b": '"' * half}
    await door.put("c", b"x")
    answer = await _bulk(door, keys=["a", "b", "c"])
    reason = b"Total size of request exceeds the limit of 25MB"
    assert (answer.status, answer.reason) == (413, reason)


_PIECE = 256 << 10
_CUT = [
    b"x" * _PIECE, "é🤓".encode() * (_PIECE // 5), b"\xf0\x9f\xa4" * (_PIECE // 2),
    b"\xc3" * (2 * _PIECE + 1), b"",
]  # fmt: skip


@pytest.mark.parametrize("metadata", [False, True])
async def test_long_values_are_the_same_wherever_they_are_cut(door: Door, metadata: bool) -> None:
    values = {f"{number}": b"a" * (number % 5) + _CUT[number // 5] for number in range(25)}
    for name, value in values.items():
        await door.put(name, value)
    found = json.loads((await _bulk(door, keys=list(values), withMetadata=metadata)).body)
    for name, value in values.items():
        text = value.decode(errors="replace")
        assert found[name] == ({"value": text, "metadata": None} if metadata else text)


async def test_a_large_answer_is_made_in_small_pieces_and_holds_its_values_once(door: Door) -> None:
    await door.put("k", b"\1" * VALUE_BYTES_MAX)
    bulk = bulk_read_of(b'{"keys":["k"]}', NAMESPACE)
    answer = answer_to_bulk(await read_in_bulk(door.store, bulk, BodyRoom()), bulk, ())
    assert answer.held == VALUE_BYTES_MAX
    assert isinstance(answer.body, AsyncIterator)
    with _turns() as turns:
        sizes = [len(piece) async for piece in answer.body]
    assert len(turns) >= len(sizes) - 1
    assert sum(sizes) == 6 * VALUE_BYTES_MAX + len('{"k":""}')
    assert max(sizes) < 7 * _PIECE


@contextmanager
def _turns() -> Iterator[list[None]]:
    """Grows with each turn of the event loop."""
    turns: list[None] = []

    async def count() -> None:
        while True:
            await asyncio.sleep(0)
            turns.append(None)

    counting = asyncio.ensure_future(count())
    yield turns
    counting.cancel()


async def test_values_that_find_no_room_are_not_waited_for(tmp_path: Path) -> None:
    room = BodyRoom(3 * (VALUE_BYTES_MAX // 4))
    async with opened(tmp_path, room=room) as door:
        for name in "ab":
            await door.put(name, b"1" * (VALUE_BYTES_MAX // 2))
        record = door.record("a")
        waits: asyncio.Future[ReadResult] = asyncio.get_running_loop().create_future()
        came: asyncio.Future[ReadResult] = asyncio.get_running_loop().create_future()
        came.set_result(ReadResult(record))
        door.store.read = lambda _: [ReadResult(record), waits, came]  # type: ignore[method-assign, assignment]
        answer = await _bulk(door, keys=["a", "b", "c"])
        assert (answer.status, answer.headers[b"retry-after"]) == (503, b"1")
        assert answer.reason == b"Overloaded: too many large values are arriving at once"
        assert waits.cancelled()
        assert room.taken == 0
        door.store.read = lambda _: [ReadResult(record)]  # type: ignore[method-assign, assignment]
        assert (await _bulk(door, keys=["a"], type="json")).status == 200
        assert room.taken == 0
