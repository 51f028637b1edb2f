"""The client of KVSP when KVSP is slow, silent, away, back, or asked for too much."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from tandem.backends.kvsp import KvspBackend
from tandem.backends.kvsp_lane import LaneLimits, Stream
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.limits import MIB
from tandem.core.record import Record
from tandem.core.removal import PurgeRow, RowPurge
from tandem.core.reply import Failed, Found, Missing, ReadReply, Reason, Stored, WriteReply
from tandem.core.version import Version
from tandem.runtime.clock import SystemClock
from tandem.runtime.randomness import SystemEntropy
from tandem.wire import storage_codec
from tandem.wire.v1 import storage_pb2 as pb
from tandem.wire.v1 import storage_pb2_grpc as rpc
from tests.kvsp.serving import connected, running_kvsp

Context = grpc.aio.ServicerContext[pb.StorageRequest, pb.StorageReply]

NAMESPACE = "ab" * 16
KEY = Key(NAMESPACE, "key")


def record(size: int = 100) -> Record:
    return seal(Version.at(SystemClock().now_us()), b"x" * size)


async def next_of(context: Context) -> object:
    return await context.read()


class ScriptedStorage(rpc.StorageServicer):
    """Counts messages; answers none of them until `answers` is set."""

    listing = pb.ScanReply()
    lives = pb.ClustersReply()
    purged = pb.PurgeRowsReply()

    async def Scan(self, _: object, context: object) -> pb.ScanReply:
        return self.listing

    async def Clusters(self, _: object, context: object) -> pb.ClustersReply:
        return self.lives

    async def PurgeRows(self, _: object, context: object) -> pb.PurgeRowsReply:
        return self.purged

    def __init__(self) -> None:
        self.messages: list[pb.StorageRequest] = []
        self.answers = False
        self.floor = b""
        self.mistaken = False
        """Whether it answers reads with writes and writes with reads."""

    async def Exchange(self, _: object, context: Context) -> None:
        await context.send_initial_metadata(())
        while isinstance(request := await next_of(context), pb.StorageRequest):
            self.messages.append(request)
            if self.answers:
                gets, puts = [get.id for get in request.gets], [put.id for put in request.puts]
                if self.mistaken:
                    gets, puts = puts, gets
                reads = [pb.StorageRead(id=number, floor=self.floor) for number in gets]
                stored = pb.WRITE_OUTCOME_STORED
                writes = [pb.StorageWritten(id=number, outcome=stored) for number in puts]
                await context.write(pb.StorageReply(reads=reads, writes=writes, home_time_us=1))


@asynccontextmanager
async def scripted() -> AsyncIterator[tuple[ScriptedStorage, str]]:
    storage = ScriptedStorage()
    server = grpc.aio.server()
    rpc.add_StorageServicer_to_server(storage, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield storage, f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@asynccontextmanager
async def backend_of(address: str, small: LaneLimits | None = None) -> AsyncIterator[KvspBackend]:
    backend = KvspBackend(address, SystemEntropy(), small=small or LaneLimits())
    backend.start()
    try:
        yield backend
    finally:
        await backend.aclose()


def reason(reply: object) -> Reason:
    assert isinstance(reply, Failed), reply
    return reply.reason


@pytest.mark.parametrize(
    "listing",
    [
        pb.ScanReply(names=[b"a", b"b"], digests=bytes(16), versions=bytes(32), kinds=b"\1\1"),
        pb.ScanReply(
            names=[b"\xff"], digests=bytes(16), versions=bytes(16), sizes=[1], kinds=b"\1",
            expires_at_s=[0], metadata=[b""],
        ),
        pb.ScanReply(
            names=[b"a"], digests=bytes(16), versions=bytes(16), sizes=[1], kinds=b"\7",
            expires_at_s=[0], metadata=[b""],
        ),
        pb.ScanReply(ended=False),
    ],
)  # fmt: skip
async def test_a_listing_that_is_none_is_a_failure(listing: pb.ScanReply) -> None:
    async with scripted() as (storage, address), backend_of(address) as backend:
        storage.listing = listing
        reply = await backend.scan(NAMESPACE, after="", prefix="", limit=10, deadline_s=10.0)
    assert reason(reply) is Reason.ERROR
    assert "cannot be read" in str(reply)


LIFE = pb.ClusterLife(name="c0", floors=[pb.RangeFloor(namespace=NAMESPACE, floor=b"short")])


@pytest.mark.parametrize("outcomes", [0, 1, 3])
async def test_what_cannot_be_meant_is_a_failure_and_nothing_raises(outcomes: int) -> None:
    async with scripted() as (storage, address), backend_of(address) as backend:
        storage.lives = pb.ClustersReply(clusters=[LIFE])
        storage.purged = pb.PurgeRowsReply(outcomes=[pb.COLLECT_OUTCOME_DONE] * outcomes)
        assert reason(await backend.clusters(10, floors=True)) is Reason.ERROR
        assert reason(await backend.incarnation(10)) is Reason.ERROR
        row = PurgeRow(b"key", Version(bytes(16)), bytes(16))
        gone = await backend.purge(RowPurge(NAMESPACE, [row, row], {"c0": "one"}), 10)
    assert [reason(one) for one in gone] == [Reason.ERROR] * 2


async def test_all_that_waits_in_a_turn_is_one_message() -> None:
    async with scripted() as (storage, address), backend_of(address) as backend:
        storage.answers = True
        await backend.get(KEY, 10)
        replies = await asyncio.gather(*(backend.get(KEY, 10) for _ in range(500)))
        assert {type(reply) for reply in replies} == {Missing}
        assert [len(message.gets) for message in storage.messages] == [1, 500]


async def test_a_silent_server_is_a_timeout_by_the_deadline() -> None:
    async with scripted() as (storage, address), backend_of(address) as backend:
        quick, slow = backend.get(KEY, 0.2), backend.put_if_newer(KEY, record(), 0.6)
        assert reason(await quick) is Reason.TIMEOUT
        assert not slow.done()
        assert reason(await slow) is Reason.TIMEOUT
        storage.answers = True
        assert isinstance(await backend.get(KEY, 10), Missing)


async def test_a_server_that_never_shakes_hands_is_a_timeout_then_unreachable() -> None:
    release = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with backend_of(address) as backend:
        assert reason(await backend.get(KEY, 0.2)) is Reason.TIMEOUT
        async with asyncio.timeout(60):
            while reason(await backend.get(KEY, 0.2)) is not Reason.UNREACHABLE:
                pass
        refused = backend.get(KEY, 10)
        await asyncio.sleep(0)
        assert refused.done()
    release.set()
    server.close()


async def test_a_stopped_server_fails_at_once_and_is_found_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with running_kvsp(tmp_path) as kvsp, connected(kvsp) as backend:
        for _ in range(3):
            written = record()
            assert isinstance(await backend.put_if_newer(KEY, written, 10), Stored)
            await kvsp.stop()
            async with asyncio.timeout(60):
                while reason(await backend.get(KEY, 5)) is not Reason.UNREACHABLE:
                    pass
            refused = backend.get(KEY, 10), backend.put_if_newer(KEY, record(), 10)
            await asyncio.sleep(0)
            assert [reply.done() for reply in refused] == [True, True]
            assert isinstance(
                await backend.scan(NAMESPACE, after="", prefix="", limit=1, deadline_s=5), Failed
            )
            before = backend.reached
            await kvsp.start()
            async with asyncio.timeout(60):
                while isinstance(
                    page := await backend.scan(
                        NAMESPACE, after="", prefix="", limit=1, deadline_s=5
                    ),
                    Failed,
                ):
                    assert page.reason is Reason.UNREACHABLE
                    await asyncio.sleep(0)
                assert backend.reached > before, "it answers before anybody knows that it is back"
                while isinstance(reply := await backend.get(KEY, 5), Failed):
                    await asyncio.sleep(0.01)
            assert isinstance(reply, Found)
            assert reply.record == written


async def test_what_is_under_way_fails_when_the_server_dies() -> None:
    async with scripted() as (storage, address), backend_of(address) as backend:
        futures = [backend.get(KEY, 60) for _ in range(100)]
        async with asyncio.timeout(60):
            while not storage.messages:
                await asyncio.sleep(0.01)
        await backend.aclose()
        assert {reason(await future) for future in futures} == {Reason.UNREACHABLE}
        assert reason(await backend.get(KEY, 60)) is Reason.UNREACHABLE


async def test_a_reply_that_cannot_be_read_ends_its_stream_alone() -> None:
    async with scripted() as (storage, address), backend_of(address) as backend:
        storage.answers = True
        storage.floor = b"too short"
        assert reason(await backend.get(KEY, 10)) is Reason.UNREACHABLE
        storage.floor = b""
        async with asyncio.timeout(60):
            while isinstance(reply := await backend.get(KEY, 10), Failed):
                await asyncio.sleep(0.01)
        assert isinstance(reply, Missing)


@pytest.mark.parametrize("operation", ["get", "put"])
async def test_an_answer_of_the_other_kind_ends_its_stream_alone(operation: str) -> None:
    async with scripted() as (storage, address), backend_of(address) as backend:

        def asked() -> Awaitable[ReadReply | WriteReply]:
            if operation == "get":
                return backend.get(KEY, 10)
            return backend.put_if_newer(KEY, record(), 10)

        storage.answers = storage.mistaken = True
        reply = await asked()
        assert reason(reply) is Reason.UNREACHABLE
        assert "cannot be read" in str(reply)
        storage.mistaken = False
        async with asyncio.timeout(60):
            while isinstance(await asked(), Failed):
                await asyncio.sleep(0.01)


async def test_a_fault_of_the_sender_ends_its_stream_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unsendable = Key(NAMESPACE, "unsendable")

    def add_get(request: pb.StorageRequest, number: int, key: Key) -> None:
        if key == unsendable:
            raise LookupError("no such field")
        add(request, number, key)

    add = storage_codec.add_get
    monkeypatch.setattr(storage_codec, "add_get", add_get)
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with scripted() as (storage, address), backend_of(address) as backend:
        storage.answers = True
        first, second = backend.get(KEY, 60), backend.get(unsendable, 60)
        for reply in (await first, await second):
            assert isinstance(reply, Failed)
            assert "no such field" in reply.detail
        async with asyncio.timeout(60):
            while not isinstance(await backend.get(KEY, 10), Missing):
                await asyncio.sleep(0.01)
        faults = [context["exception"] for context in told]
        # gRPC's poller may tell this loop, too, that one of an earlier test is closed.
        assert [str(one) for one in faults if isinstance(one, LookupError)] == ["no such field"]


async def test_operations_and_bytes_under_way_are_bounded() -> None:
    limits = LaneLimits(operations_max=3, bytes_max=40_000)
    async with scripted() as (_, address), backend_of(address, limits) as backend:
        first = backend.put_if_newer(KEY, record(30_000), 0.3)
        assert reason(await backend.put_if_newer(KEY, record(30_000), 0.3)) is Reason.OVERLOADED
        second, third = backend.get(KEY, 0.3), backend.get(KEY, 0.3)
        assert reason(await backend.get(KEY, 0.3)) is Reason.OVERLOADED
        replies = [await first, await second, await third]
        assert [reason(reply) for reply in replies] == [Reason.TIMEOUT] * 3
        assert not backend.put_if_newer(KEY, record(30_000), 0.3).done()


async def test_what_timed_out_unsent_is_never_sent(tmp_path: Path) -> None:
    """A stream that takes nothing holds writes back; the late ones must not land."""
    async with scripted() as (storage, address):
        backend = KvspBackend(address, SystemEntropy())
        late = backend.put_if_newer(KEY, record(), 0.05)
        assert reason(await late) is Reason.TIMEOUT
        backend.start()
        storage.answers = True
        assert isinstance(await backend.get(KEY, 10), Missing)
        assert [len(message.puts) for message in storage.messages] == [0]
        await backend.aclose()


async def test_a_cancelled_caller_disturbs_nobody(tmp_path: Path) -> None:
    async with running_kvsp(tmp_path) as kvsp, connected(kvsp) as backend:
        first, second = backend.get(KEY, 10), backend.get(KEY, 10)
        first.cancel()
        assert isinstance(await second, Missing)
        assert isinstance(await backend.get(KEY, 10), Missing)


async def test_small_operations_pass_large_ones(tmp_path: Path) -> None:
    async with running_kvsp(tmp_path) as kvsp, connected(kvsp) as backend:
        assert isinstance(await backend.put_if_newer(KEY, record(), 20), Stored)
        large = [
            backend.put_if_newer(Key(NAMESPACE, f"large-{n}"), record(8 * MIB), 20)
            for n in range(8)
        ]
        small = await backend.get(KEY, 20)
        assert isinstance(small, Found)
        assert not all(future.done() for future in large)
        assert {type(await future) for future in large} == {Stored}


@pytest.mark.parametrize(
    ("get", "put"),
    [
        (pb.StorageGet(id=1, namespace="no id", name=b"a"), None),
        (pb.StorageGet(id=1, namespace=NAMESPACE, name=b""), None),
        (pb.StorageGet(id=1, namespace=NAMESPACE, name=b"\xff"), None),
        (pb.StorageGet(id=1, namespace=NAMESPACE, name=b"x" * 513), None),
        (None, pb.StoragePut(id=1, namespace=NAMESPACE, name=b"a", envelope=b"no envelope")),
        (None, pb.StoragePut(id=1, namespace=NAMESPACE, name=b"a", envelope=b"x" * MIB)),
        (None, pb.StoragePut(id=1, namespace=NAMESPACE, name=b"..", envelope=b"")),
    ],
)
async def test_a_bad_message_is_answered_and_the_stream_goes_on(
    tmp_path: Path, get: pb.StorageGet | None, put: pb.StoragePut | None
) -> None:
    request = pb.StorageRequest(gets=[get] if get else [], puts=[put] if put else [])
    good = pb.StorageGet(id=2, namespace=NAMESPACE, name=b"a")
    async with (
        running_kvsp(tmp_path, 1) as kvsp,
        grpc.aio.insecure_channel(kvsp.address) as channel,
    ):
        stream: Stream = rpc.StorageStub(channel).Exchange()
        await stream.write(request)
        bad = await stream.read()
        assert isinstance(bad, pb.StorageReply)
        answers = [(read.id, read.failure) for read in bad.reads]
        answers += [(written.id, written.failure) for written in bad.writes]
        [(number, failure)] = answers
        assert number == 1
        assert "invalid request" in failure
        await stream.write(pb.StorageRequest(gets=[good]))
        reply = await stream.read()
        assert isinstance(reply, pb.StorageReply)
        assert [(read.id, read.failure) for read in reply.reads] == [(2, "")]
        await stream.done_writing()
