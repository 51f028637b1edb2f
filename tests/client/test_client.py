"""What a user of the client library sees while everything works."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uvloop

from tandem import Client
from tandem.client import Entry, Item, JsonText, ListedKey, Seen, lane
from tandem.client.crawler import CrawlerClient
from tandem.core.access import Permission
from tandem.core.limits import MIB, VALUE_BYTES_MAX
from tandem.core.request import Read, ReadResult
from tandem.core.version import NO_VERSION, Version
from tandem.errors import InvalidArgument, NamespaceNotFound, TandemError, Unavailable
from tandem.wire.codec import JsonValue
from tandem.wire.v1 import kv_pb2
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running, running

LARGEST = bytes(range(256)) * (VALUE_BYTES_MAX // 256)
LATER_S = 2**33
READ = Permission.READ
NAIVE = datetime.fromtimestamp(LATER_S)  # noqa: DTZ006 - a moment nobody can tell


async def test_what_was_put_is_what_is_read(kv: Client) -> None:
    version = await kv.put("k", "héllo", metadata={"lang": "fr"}, expires_at=LATER_S)
    assert await kv.get("k") == "héllo".encode()
    metadata = b'{"lang":"fr"}'
    entry = Entry("héllo".encode(), {"lang": "fr"}, LATER_S, version, True, False, metadata)
    assert await kv.get_with_metadata("k") == entry


async def test_a_key_that_is_not_there(kv: Client) -> None:
    assert await kv.get("k") is None
    assert await kv.get_with_metadata("k") is None
    assert await kv.get_stream("k") is None
    await kv.put("k", b"")
    assert await kv.get("k") == b""
    await kv.delete("k")
    assert await kv.get("k") is None


@pytest.mark.parametrize("metadata", [None, True, 0, 1.5, "é", [], {"a": [{"b": None}]}])
async def test_metadata_is_any_json(metadata: JsonValue, kv: Client) -> None:
    await kv.put("k", b"v", metadata=metadata)
    entry = await kv.get_with_metadata("k")
    assert entry is not None
    assert entry.metadata == metadata
    assert [key.metadata async for key in kv.list()] == [metadata]


@pytest.mark.parametrize("text", [b"", b"null", b"1e2", b'{"a": 1, "a": 1E999}\n'])
async def test_metadata_as_text_is_stored_letter_for_letter(text: bytes, kv: Client) -> None:
    given = JsonText(text)
    await kv.put("put", b"v", metadata=given)
    await kv.put_many({"many": Item(b"v", given)})
    await kv.put_stream("stream", [b"v"], metadata=given)
    for entry in (await kv.get_many(["put", "many", "stream"])).values():
        assert isinstance(entry, Entry)
        assert entry.metadata_json == text
    with pytest.raises(InvalidArgument, match="metadata: is not valid JSON"):
        await kv.put("bad", b"v", metadata=JsonText(b"{"))


@pytest.mark.parametrize(
    ("expires_at", "ttl"),
    [
        (LATER_S, None),
        (datetime.fromtimestamp(LATER_S, UTC), None),
        (None, LATER_S),
        (None, timedelta(seconds=LATER_S)),
    ],
)
async def test_expirations(
    expires_at: int | datetime | None, ttl: int | timedelta | None, kv: Client
) -> None:
    await kv.put("k", b"v", expires_at=expires_at, ttl=ttl)
    entry = await kv.get_with_metadata("k")
    assert entry is not None
    assert entry.expires_at_s is not None
    assert (entry.expires_at_s == LATER_S) == (ttl is None)
    assert entry.expires_at_s >= LATER_S


Call = Callable[[Client], Awaitable[object]]


@pytest.mark.parametrize(
    ("call", "field", "says"),
    [
        (lambda kv: kv.get(""), "key", "must not be empty"),
        (lambda kv: kv.get("\ud800"), "key", "not valid Unicode"),
        (lambda kv: kv.put("k" * 513, b""), "key", "513 bytes exceeds the limit of 512"),
        (lambda kv: kv.delete(".."), "key", '".." is not allowed'),
        (lambda kv: kv.put("k", bytes(VALUE_BYTES_MAX + 1)), "value", "limit of 26214400"),
        (lambda kv: kv.put("k", b"", metadata="m" * 1023), "metadata", "limit of 1024"),
        (lambda kv: kv.put("k", b"", metadata=float("nan")), "metadata", "not valid JSON"),
        (lambda kv: kv.put("k", b"", metadata={1, 2}), "metadata", "not valid JSON"),
        (lambda kv: kv.put("k", b"", ttl=0), "expiration_ttl_s", "0 is below the minimum of 60"),
        (lambda kv: kv.put("k", b"", expires_at=0), "expires_at_s", "0 is not a time"),
        (lambda kv: kv.put("k", b"", expires_at=1), "expires_at_s", "1 is in the past"),
        (lambda kv: kv.get("k", cache_ttl_s=29), "cache_ttl_s", "29 is below the minimum of 30"),
        (lambda kv: kv.get_stream("k", cache_ttl_s=29), "cache_ttl_s", "29 is below"),
        (lambda kv: kv.get("k", cache_ttl_s=-5), "cache_ttl_s", "-5 is below the minimum of 30"),
        (lambda kv: kv.put("k", b"", ttl=2**64), "expiration_ttl_s", "is not a time in seconds"),
        (lambda kv: kv.put("k", b"", expires_at=2**64), "expires_at_s", "is not a time in seconds"),
        (lambda kv: kv.put("k", "\ud800"), "value", "is not valid Unicode at character 0"),
        (lambda kv: kv.put_stream("k", [LARGEST, b"1"]), "value", "limit of 26214400"),
        (lambda kv: kv.put_stream("", [b"1"]), "key", "must not be empty"),
        (lambda kv: kv.put_stream("k", [1]), "value", "must be bytes or text, not int"),
        (lambda kv: kv.put_stream("k", 5), "source", "or pieces of these, not int"),
        (lambda kv: anext(kv.list(page_size=1001)), "page_size", "1001 is not between 1 and 1000"),
        (lambda kv: anext(kv.list(page_size=0)), "page_size", "0 is not between 1 and 1000"),
        (lambda kv: anext(kv.list(limit=0)), "limit", "0 is below the minimum of 1"),
        (lambda kv: anext(kv.list(limit=-1)), "limit", "-1 is below the minimum of 1"),
        (lambda kv: kv.put("k", b"", expires_at=NAIVE), "expires_at_s", "has no time zone"),
        (lambda kv: anext(kv.list("p" * 513)), "prefix", "limit of 512"),
        (lambda kv: kv.namespaces.create(""), "title", "must not be empty"),
        (lambda kv: kv.tokens.create("t", READ, ttl=0), "ttl", "0 is below the minimum of 1"),
        (lambda kv: kv.tokens.create("t", READ, ttl=1.5), "ttl", "whole number of seconds"),
        (lambda kv: kv.tokens.create("t", READ, ttl=2**64), "ttl", "is not a time in seconds"),
    ],
)
async def test_bad_input(call: Call, field: str, says: str, gateway: Running, kv: Client) -> None:
    with pytest.raises(InvalidArgument, match=says) as failure:
        await call(kv)
    assert failure.value.field == field
    assert not gateway.store.records
    assert gateway.failures.count == 0


@pytest.mark.parametrize(
    ("wrong", "field", "says"),
    [
        (lambda kv: kv.get(5), "key", "must be text, not int"),
        (lambda kv: kv.get(None), "key", "must be text, not NoneType"),
        (lambda kv: kv.delete(b"k"), "key", "must be text, not bytes"),
        (lambda kv: anext(kv.list(5)), "prefix", "must be text, not int"),
        (lambda kv: kv.put("k", None), "value", "must be bytes or text, not NoneType"),
        (lambda kv: kv.put("k", b"", ttl=65.5), "expiration_ttl_s", "whole number of seconds"),
        (lambda kv: kv.put("k", b"", ttl="65"), "expiration_ttl_s", "seconds, not str"),
        (lambda kv: kv.put("k", b"", expires_at=2e9), "expires_at_s", "seconds, not float"),
        (lambda kv: kv.get("k", cache_ttl_s=60.0), "cache_ttl_s", "seconds, not float"),
        (lambda kv: kv.get("k", cache_ttl_s=-5), "cache_ttl_s", "below the minimum"),
        (lambda kv: kv.get("k", min_version="f" * 32), "min_version", "is not a version: 16 bytes"),
        (lambda kv: kv.look("k", min_version=b"short"), "min_version", "is not a version"),
        (lambda kv: kv.put("k", b"", above=b"f" * 32), "above", "is not a version"),
        (lambda kv: kv.delete("k", above=b""), "above", "is not a version"),
        (lambda kv: kv.namespaces.create("n", ack_policy="both"), "ack_policy", "of AckPolicy"),
        (lambda kv: kv.namespaces.configure(NAMESPACE, read_mode=1), "read_mode", "of ReadMode"),
        (lambda kv: kv.namespaces.create("n", bytes_per_s="9"), "bytes_per_s", "of int, and '9'"),
        (lambda kv: kv.namespaces.create("n", mode="active"), "mode", "of Mode, and 'active' is"),
        (lambda kv: kv.namespaces.create("n", account=5), "account", "must be text, not int"),
        (lambda kv: kv.namespaces.create(5), "title", "must be text, not int"),
        (lambda kv: kv.namespaces.get(5), "namespace", "must be text, not int"),
        (lambda kv: kv.namespaces.delete(None), "namespace", "must be text, not NoneType"),
        (lambda kv: kv.namespaces.mode(NAMESPACE, "x"), "wanted", "of Mode, and 'x' is"),
        (lambda kv: kv.namespaces.step(NAMESPACE, "x", mode_epoch=1), "wanted", "of Mode"),
        (lambda kv: kv.tokens.create("t", "read"), "permission", "of Permission, and 'read' is"),
        (lambda kv: kv.tokens.create(5, READ), "name", "must be text, not int"),
        (lambda kv: kv.tokens.create("t", READ, quota=5), "quota", "of Quota, and 5 is"),
        (lambda kv: kv.tokens.revoke(5), "id", "must be text, not int"),
        (lambda kv: kv.ops.inspect("k"), "key", "of Key, and 'k' is"),
        (lambda kv: kv.ops.heal("k"), "key", "of Key, and 'k' is"),
        (lambda kv: kv.ops.mark_behind("s3"), "home", "of Side, and 's3' is"),
        (
            lambda kv: kv.ops.switch("s3", reads_enabled=True, writes_enabled=True),
            "home",
            "of Side, and 's3' is",
        ),
        (lambda kv: kv.get_many("abc"), "keys", "must be names, one by one, not str"),
        (lambda kv: kv.delete_many("abc"), "keys", "must be names, one by one, not str"),
        (lambda kv: kv.delete_many(None), "keys", "must be names, one by one, not NoneType"),
        (lambda kv: kv.put_many([("k", b"")]), "items", "must map names to values, not be list"),
    ],
)
async def test_what_no_message_can_hold_disturbs_nobody_else(
    wrong: Call, field: str, says: str, gateway: Running, kv: Client
) -> None:
    gateway.store.held = []
    others = [asyncio.ensure_future(kv.put(f"other {n}", b"v")) for n in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(InvalidArgument, match=says) as failure:
        await wrong(kv)
    assert failure.value.field == field
    gateway.store.release()
    await asyncio.gather(*others)
    assert len(gateway.store.records) == 3


@pytest.mark.parametrize("timeout_s", [math.inf, 1e12])
async def test_a_timeout_may_be_longer_than_grpc_can_count(
    timeout_s: float, gateway: Running
) -> None:
    async with Client(gateway.address, NAMESPACE, timeout_s=timeout_s) as kv:
        await kv.put_stream("k", b"v", timeout_s=timeout_s)
        assert await kv.get("k") == b"v"
        assert [key.name async for key in kv.list(timeout_s=timeout_s)] == ["k"]


async def test_what_is_no_time_is_no_timeout(gateway: Running, kv: Client) -> None:
    for wrong in (math.nan, "5"):
        with pytest.raises(InvalidArgument, match="is not a number of seconds"):
            Client(gateway.address, timeout_s=wrong)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgument, match="is not a number of seconds"):
            await kv.get("k", timeout_s=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"token": None}, "token: must be text, not NoneType"),
        ({"namespace": 5}, "namespace: must be text, not int"),
        ({"account": None}, "account: must be text, not NoneType"),
        ({"tls": "ca.crt"}, "tls: must be of TlsFiles, and 'ca.crt' is not"),
        ({"session_keys_max": "9"}, "session_keys_max: must be of int, and '9' is not"),
    ],
)
def test_what_a_client_cannot_be_made_with_is_refused_at_once(
    given: dict[str, object], says: str
) -> None:
    with pytest.raises(InvalidArgument, match=says):
        Client("127.0.0.1:1", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["", "host", "host:", ":8781", "http://host:8781", "h:99999"])
def test_what_is_no_address_is_refused_at_once(address: str) -> None:
    with pytest.raises(InvalidArgument, match=r"is not host:port, such as 127\.0\.0\.1:8781"):
        Client(address)
    with pytest.raises(InvalidArgument) as failure:
        CrawlerClient(address)
    assert failure.value.field == "address"


@pytest.mark.parametrize("address", ["[::1]:1", "name:1", "dns:///name:1", "unix:/run/gateway"])
async def test_what_grpc_resolves_is_an_address(address: str) -> None:
    async with Client(address):
        pass


async def test_whatever_has_bytes_is_a_value_and_a_long_cache_ttl_is_one(kv: Client) -> None:
    for value in (b"v", bytearray(b"v"), memoryview(b"v")):
        await kv.put("k", value)  # type: ignore[arg-type]
        assert await kv.get("k", cache_ttl_s=2**40) == b"v"


async def test_pieces_are_whatever_a_value_may_be(kv: Client) -> None:
    async def pieces() -> AsyncIterator[object]:
        yield bytearray(b"a")
        yield memoryview(b"b")

    for source in (bytearray(b"ab"), memoryview(b"ab"), "ab", ["a", b"b"], pieces()):
        await kv.put_stream("k", source)  # type: ignore[arg-type]
        streamed = await kv.get_stream("k", cache_ttl_s=2**40)
        assert streamed is not None
        assert b"".join([piece async for piece in streamed]) == b"ab"
    for expires_at in (LATER_S, None):
        await kv.put_stream("k", b"ab", expires_at=expires_at, metadata=["m"])
        streamed = await kv.get_stream("k")
        assert streamed is not None
        assert (streamed.expires_at_s, streamed.metadata) == (expires_at, ["m"])


async def test_an_unknown_namespace(gateway: Running) -> None:
    unknown = "cd" * 16
    async with Client(gateway.address, unknown) as kv:
        calls: list[Awaitable[object]] = [
            kv.get("k"), kv.put("k", b""), kv.delete("k"), kv.get_stream("k"),
            kv.put_stream("k", [b"1"]), anext(kv.list()), kv.namespaces.get(unknown),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(NamespaceNotFound, match=unknown):
                await call
    with pytest.raises(NamespaceNotFound, match="no such title"):
        await Client(gateway.address, "no such title").__aenter__()


async def test_a_namespace_by_title(gateway: Running) -> None:
    async with Client(gateway.address, "articles") as kv:
        await kv.put("k", b"v")
    assert [key.namespace for key in gateway.store.records] == [NAMESPACE]


async def test_a_client_without_a_namespace(gateway: Running) -> None:
    async with Client(gateway.address) as client:
        assert (await client.namespaces.get("articles")).id == NAMESPACE
        with pytest.raises(InvalidArgument, match="namespace"):
            await client.get("k")


async def test_calls_that_wait_together_travel_together(gateway: Running, kv: Client) -> None:
    await kv.put("k", b"v")
    calls_before = gateway.store.calls
    assert await asyncio.gather(*(kv.get("k") for _ in range(100))) == [b"v"] * 100
    assert gateway.store.calls == calls_before + 1


async def test_many_keys_have_each_their_own_result(gateway: Running, kv: Client) -> None:
    names = [str(number) for number in range(2500)]
    put = await kv.put_many({name: name for name in names} | {"": b"", "m": Item(b"v", [1])})
    assert isinstance(put.pop(""), InvalidArgument)
    assert all(isinstance(version, Version) for version in put.values())
    got = await kv.get_many([*names, "m", "none", "."])
    assert isinstance(got.pop("."), InvalidArgument)
    assert got.pop("none") is None
    assert {name: _entry(result).value for name, result in got.items()} == {
        name: name.encode() for name in names
    } | {"m": b"v"}
    assert _entry(got["m"]).metadata == [1]
    deleted = await kv.delete_many(names)
    assert all(isinstance(version, Version) for version in deleted.values())
    assert [key async for key in kv.list()] == [ListedKey("m", [1], None)]


def _entry(result: Entry | TandemError | None) -> Entry:
    assert isinstance(result, Entry)
    return result


@pytest.mark.parametrize(("limit", "page_size"), [(None, 7), (None, 1000), (13, 7), (7, 7), (1, 7)])
async def test_a_listing(limit: int | None, page_size: int, kv: Client) -> None:
    names = sorted(f"p{number}" for number in range(30))
    await kv.put_many(dict.fromkeys([*names, "q"], b""))
    listed = [key.name async for key in kv.list("p", limit=limit, page_size=page_size)]
    assert listed == names[:limit]


async def test_a_listing_tells_whether_it_may_lack_names(gateway: Running, kv: Client) -> None:
    await kv.put_many(dict.fromkeys("abc", b""))
    for stale in (False, True):
        gateway.store.stale_lists = stale
        listing = kv.list(page_size=2)
        assert not listing.stale
        assert [key.name async for key in listing] == ["a", "b", "c"]
        assert listing.stale == stale


@pytest.mark.parametrize("stale", [False, True])
async def test_an_entry_tells_whether_it_may_be_an_old_one(
    stale: bool, gateway: Running, kv: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kv.put("k", b"v")
    read = gateway.store.read

    def answered(reads: Sequence[Read]) -> Sequence[object]:
        return [one._replace(stale=stale) for one in read(reads) if isinstance(one, ReadResult)]

    monkeypatch.setattr(gateway.store, "read", answered)
    entries = [await kv.get_with_metadata("k"), (await kv.look("k")).entry]
    entries.append(_entry((await kv.get_many(["k"]))["k"]))
    assert [entry and (entry.value, entry.stale) for entry in entries] == [(b"v", stale)] * 3


async def test_the_largest_value_by_every_way(kv: Client) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(LARGEST), MIB):
            yield LARGEST[start : start + MIB]

    await kv.put("single", LARGEST)
    await kv.put_many({"many": LARGEST})
    await kv.put_stream("bytes", LARGEST)
    await kv.put_stream("pieces", pieces(), metadata="m")
    for name in ("single", "many", "bytes", "pieces"):
        assert await kv.get(name) == LARGEST
        assert _entry((await kv.get_many([name]))[name]).value == LARGEST
        streamed = await kv.get_stream(name)
        assert streamed is not None
        assert b"".join([piece async for piece in streamed]) == LARGEST
        assert streamed.metadata == ("m" if name == "pieces" else None)


async def test_small_values_overtake_large_ones(
    gateway: Running, kv: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the stream of the large ones sends nothing, the small one arrives."""
    sending = lane.Lane._next_batch
    large_ones_may_go = asyncio.Event()

    def held(sender: lane.Lane) -> kv_pb2.BatchRequest | None:
        large = any(operation.size == len(LARGEST) for operation in sender._waiting)
        return None if large and not large_ones_may_go.is_set() else sending(sender)

    monkeypatch.setattr(lane.Lane, "_next_batch", held)
    async with asyncio.TaskGroup() as tasks:
        large = [tasks.create_task(kv.put(f"large{n}", LARGEST, timeout_s=60)) for n in range(3)]
        while not kv._calls._bulk._waiting:
            await asyncio.sleep(0)
        await kv.put("small", b"v", timeout_s=60)
        assert gateway.store.writes == 1
        large_ones_may_go.set()
        kv._calls._bulk._work.set()
    assert all(task.done() for task in large)


async def test_an_upload_whose_source_fails_writes_nothing(gateway: Running, kv: Client) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await kv.put_stream("k", pieces())
    assert await kv.get("k") is None
    assert gateway.store.writes == 0


async def test_a_source_that_stalls_ends_with_the_timeout(kv: Client) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        await asyncio.Event().wait()

    async with asyncio.timeout(60):
        with pytest.raises(Unavailable):
            await kv.put_stream("stalled", pieces(), timeout_s=0.5)
    assert await kv.get("stalled") is None


async def test_a_timeout_of_the_source_is_the_callers(kv: Client) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        raise TimeoutError("the source's own")

    with pytest.raises(TimeoutError, match="the source's own"):
        await kv.put_stream("late", pieces())
    assert await kv.get("late") is None


async def test_a_download_may_be_given_up(kv: Client) -> None:
    await kv.put("k", LARGEST)
    streamed = await kv.get_stream("k")
    assert streamed is not None
    assert await anext(streamed.pieces)
    await streamed.pieces.aclose()
    assert await kv.get("k") == LARGEST


async def test_a_download_that_is_given_up_before_it_begins_leaves_no_call(
    kv: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC lets a call go on whose reader is cancelled just when the answer has begun."""
    await kv.put("k", LARGEST)
    stub, calls = kv._large._stub, list[Any]()
    begin = stub.GetStream

    def given_up(request: kv_pb2.GetRequest, **named: float) -> Any:  # noqa: ANN401
        call: Any = begin(request, **named)
        call._preparation.add_done_callback(lambda _: reading.cancel())
        calls.append(call)
        return call

    monkeypatch.setattr(stub, "GetStream", given_up)
    reading = asyncio.create_task(kv.get_stream("k"))
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert [call.cancelled() for call in calls] == [True]


def test_it_works_under_uvloop() -> None:
    async def scenario() -> None:
        async with running() as gateway, Client(gateway.address, NAMESPACE) as kv:
            await kv.put("k", b"v")
            assert await asyncio.gather(*(kv.get("k") for _ in range(100))) == [b"v"] * 100

    uvloop.run(scenario())


async def test_a_look_shows_the_version_of_a_miss_too(gateway: Running, kv: Client) -> None:
    assert await kv.look("k") == Seen(None, NO_VERSION, unconfirmed=False)
    written = await kv.put("k", "v")
    seen = await kv.look("k")
    assert (seen.version, seen.entry and seen.entry.value) == (written, b"v")
    gone = await kv.delete("k")
    assert await kv.look("k") == Seen(None, gone, unconfirmed=False)
    async with Client(gateway.address, NAMESPACE) as other:
        assert (await other.look("k", min_version=gone)).version == gone
        with pytest.raises(Unavailable):
            await other.look("k", min_version=Version.at(gone.time_us + 1), timeout_s=1.0)
