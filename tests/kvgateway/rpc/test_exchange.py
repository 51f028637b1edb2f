"""The Exchange stream: batching, order, bounds, failures, and its end."""

import asyncio
from itertools import pairwise

import grpc
import pytest

from kvgateway.rpc import exchange
from kvgateway.rpc.dispatch import READS_AT_ONCE, WRITES_AT_ONCE, Dispatch
from kvgateway.rpc.outbox import ALONE_BYTES, Outbox
from tandem.core.envelope import seal
from tandem.core.limits import BATCH_OPERATIONS_MAX, KIB, MIB
from tandem.core.request import ReadResult
from tandem.core.version import Version
from tandem.errors import Overloaded, QuotaExceeded, Unavailable
from tandem.wire.v1 import kv_pb2, kv_pb2_grpc
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running, running, until


def _gets(*names: str, first_id: int = 1) -> kv_pb2.BatchRequest:
    batch = kv_pb2.BatchRequest()
    for number, name in enumerate(names, first_id):
        batch.gets.add(id=number, namespace=NAMESPACE, key=name.encode())
    return batch


def _puts(*items: tuple[str, bytes], first_id: int = 1) -> kv_pb2.BatchRequest:
    batch = kv_pb2.BatchRequest()
    for number, (name, value) in enumerate(items, first_id):
        batch.puts.add(id=number, namespace=NAMESPACE, key=name.encode(), value=value)
    return batch


async def _calls_in_between(kv: kv_pb2_grpc.KVStub) -> None:
    """Many calls of others over the same connection: time enough for whatever would move."""
    for _ in range(50):
        await kv.Batch(kv_pb2.BatchRequest())


@pytest.mark.parametrize("deferred", [False, True], ids=["hits", "from a home"])
async def test_what_is_ready_together_travels_together(
    deferred: bool, gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    gateway.store.deferred = deferred
    call = kv.Exchange()
    await call.write(_gets(*map(str, range(100))))
    reply = await call.read()
    assert [answer.id for answer in reply.gets] == list(range(1, 101))
    assert gateway.store.calls == 1


class _Counting:
    """A sink that counts its answers."""

    def __init__(self) -> None:
        self.answers = 0

    def answer_read(self, operation_id: int, outcome: object) -> None:
        self.answers += 1

    answer_write = answer_read


@pytest.mark.parametrize(("what", "at_once"), [("gets", READS_AT_ONCE), ("puts", WRITES_AT_ONCE)])
async def test_others_get_their_turn_within_a_full_batch(what: str, at_once: int) -> None:
    """Between two turns of somebody else at most one group is begun."""
    async with running() as gateway:
        store, names = gateway.store, list(map(str, range(BATCH_OPERATIONS_MAX)))
        batch = _gets(*names) if what == "gets" else _puts(*((name, b"v") for name in names))
        sink = _Counting()
        work = asyncio.create_task(Dispatch(store, gateway.failures).start(batch, 0, sink))
        begun = [0]
        while not work.done():
            await asyncio.sleep(0)
            begun.append(store.reads + store.writes)
        assert begun[-1] == BATCH_OPERATIONS_MAX
        steps = [after - before for before, after in pairwise(begun)]
        assert max(steps) == at_once


async def test_a_small_batch_is_begun_at_once(gateway: Running) -> None:
    start = Dispatch(gateway.store, gateway.failures).start(_gets("a", "b"), 0, _Counting())
    with pytest.raises(StopIteration):
        start.send(None)
    assert gateway.store.reads == 2


async def test_a_stream_over_its_quota_is_read_more_slowly(
    gateway: Running, kv: kv_pb2_grpc.KVStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "REFUSED_OPERATION_PAUSE_S", 3600.0)
    monkeypatch.setattr(exchange, "REFUSED_PAUSE_S_MAX", 3600.0)
    greedy, modest = kv.Exchange(), kv.Exchange()
    gateway.store.failure = QuotaExceeded("over", 0.5)
    await greedy.write(_puts(("a", b"1"), ("b", b"2")))
    answers = (await greedy.read()).writes
    assert [answer.error.retry_after_s for answer in answers] == [0.5, 0.5]
    gateway.store.failure = None
    before = gateway.store.writes
    await greedy.write(_puts(("a", b"1")))
    for _ in range(20):
        await modest.write(_puts(("c", b"3")))
        assert not (await modest.read()).writes[0].HasField("error")
    await _calls_in_between(kv)
    assert gateway.store.writes == before + 20


async def test_a_slow_answer_does_not_hold_back_the_others(
    gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    call = kv.Exchange()
    gateway.store.held = []
    await call.write(_gets("slow"))
    await until(lambda: gateway.store.held)
    held, gateway.store.held = gateway.store.held, None
    await call.write(_gets("quick", first_id=2))
    assert [answer.id for answer in (await call.read()).gets] == [2]
    gateway.store.held = held
    gateway.store.release()
    assert [answer.id for answer in (await call.read()).gets] == [1]


async def test_whoever_has_asked_for_all_hears_what_is_still_to_come(
    gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    call = kv.Exchange()
    gateway.store.held = []
    await call.write(_gets("slow"))
    await until(lambda: gateway.store.held)
    await call.done_writing()
    await _calls_in_between(kv)
    gateway.store.release()
    assert [answer.id for answer in (await call.read()).gets] == [1]
    assert await call.read() is grpc.aio.EOF


def test_a_message_is_full_with_as_many_answers_as_a_batch_has_and_at_a_mebibyte() -> None:
    outbox = Outbox(lambda: 0.0, lambda: None)
    found = ReadResult(seal(Version.at(1), bytes(100 * KIB)))
    for number in range(BATCH_OPERATIONS_MAX + 1):
        outbox.answer_read(number, Unavailable("both homes are down"))
    assert [outbox.take().operations for _ in range(2)] == [BATCH_OPERATIONS_MAX, 1]
    for number in range(12):
        outbox.answer_read(number, found)
    assert [outbox.take().operations for _ in range(2)] == [11, 1]
    assert not outbox


def test_small_answers_and_large_ones_take_turns() -> None:
    outbox = Outbox(lambda: 0.0, lambda: None)
    large, full = (ReadResult(seal(Version.at(1), bytes(size))) for size in (MIB, ALONE_BYTES))
    for number in range(3):
        outbox.answer_read(number, large)
    for number in range(3 * MIB // ALONE_BYTES):
        outbox.answer_read(number, full)
    taken = []
    while outbox:
        taken.append(outbox.take().record is not None)
    assert taken == [False, True] * 3


@pytest.mark.parametrize(("expires_at_s", "found"), [(0, True), (100, False), (101, True)])
def test_what_has_expired_by_the_time_of_its_answer_is_not_shown(
    expires_at_s: int, found: bool
) -> None:
    outbox = Outbox(lambda: 100.0, lambda: None)
    record = seal(Version.at(1), b"v", expires_at_s=expires_at_s)
    outbox.answer_read(1, ReadResult(record))
    (answer,) = outbox.take().reply.gets
    assert (answer.found, answer.value) == (found, b"v" if found else b"")


async def test_large_values_travel_alone_and_small_ones_pass_them(
    gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    call = kv.Exchange()
    for number in range(3):
        await call.write(_puts((f"large{number}", bytes(5 * MIB)), first_id=number))
        await call.read()
    await call.write(_gets("large0", "large1", "large2", "a", "b"))
    replies = [await call.read() for _ in range(4)]
    shape = [[(len(answer.value), answer.found) for answer in reply.gets] for reply in replies]
    assert shape[0] == [(0, False), (0, False)]
    assert shape[1:] == [[(5 * MIB, True)]] * 3


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Unavailable("both homes failed"), grpc.StatusCode.UNAVAILABLE),
        (Overloaded("legs_max"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (ValueError("a bug"), grpc.StatusCode.INTERNAL),
    ],
)
async def test_a_failure_is_an_answer(
    failure: Exception, code: grpc.StatusCode, gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    gateway.store.failure = failure
    call = kv.Exchange()
    await call.write(_gets("a"))
    (answer,) = (await call.read()).gets
    assert answer.error.code == code.value[0]
    assert (str(failure) in answer.error.message) == (code is not grpc.StatusCode.INTERNAL)
    gateway.store.failure = None
    await call.write(_gets("a"))
    assert not (await call.read()).gets[0].HasField("error")
    bugs = 1 if code is grpc.StatusCode.INTERNAL else 0
    assert (gateway.failures.count, len(gateway.log.events)) == (bugs, bugs)


async def test_a_failure_that_comes_later_is_an_answer_and_no_fault(
    gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    gateway.store.held = []
    call = kv.Exchange()
    await call.write(_puts(("a", b"1")))
    await until(lambda: gateway.store.held)
    gateway.store.failure = Unavailable("both homes failed")
    gateway.store.release()
    (answer,) = (await call.read()).writes
    assert answer.error.message == "both homes failed"
    assert gateway.failures.count == 0


async def test_where_a_batch_cannot_be_begun_each_of_its_operations_is_told(
    gateway: Running, kv: kv_pb2_grpc.KVStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise LookupError("no such home")

    monkeypatch.setattr(gateway.store, "read", broken)
    call = kv.Exchange()
    await call.write(_gets("a", "b", "c"))
    answers = [(answer.id, answer.error.code) for answer in (await call.read()).gets]
    assert answers == [(number, grpc.StatusCode.INTERNAL.value[0]) for number in (1, 2, 3)]
    assert gateway.failures.count == 1


async def test_a_cancelled_future_is_unavailable(gateway: Running, kv: kv_pb2_grpc.KVStub) -> None:
    gateway.store.failure = asyncio.CancelledError()
    call = kv.Exchange()
    await call.write(_puts(("a", b"1")))
    (answer,) = (await call.read()).writes
    assert answer.error.code == grpc.StatusCode.UNAVAILABLE.value[0]


async def test_a_fault_while_a_batch_is_begun_ends_its_stream_and_no_other(
    gateway: Running, kv: kv_pb2_grpc.KVStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise LookupError("no such field")

    first, second = kv.Exchange(), kv.Exchange()
    await second.write(_gets("before"))
    assert len((await second.read()).gets) == 1
    with monkeypatch.context() as broken_for_now:
        broken_for_now.setattr(Dispatch, "_start", broken)
        await first.write(_gets("a"))
        assert await first.code() is grpc.StatusCode.INTERNAL
    assert gateway.failures.count == 1
    await second.write(_gets("after"))
    assert len((await second.read()).gets) == 1


async def test_operations_in_flight_are_bounded(gateway: Running, kv: kv_pb2_grpc.KVStub) -> None:
    gateway.store.held = []
    call = kv.Exchange()
    names = tuple(map(str, range(BATCH_OPERATIONS_MAX)))
    messages = 2 * exchange.OPERATIONS_MAX // BATCH_OPERATIONS_MAX
    for number in range(messages):
        await call.write(_gets(*names, first_id=number * BATCH_OPERATIONS_MAX))
    await until(lambda: gateway.store.reads >= exchange.OPERATIONS_MAX)
    await _calls_in_between(kv)
    assert gateway.store.reads == exchange.OPERATIONS_MAX
    gateway.store.release()
    answered = 0
    while answered < messages * BATCH_OPERATIONS_MAX:
        answered += len((await call.read()).gets)
    assert gateway.store.reads == answered


async def test_bytes_in_flight_are_bounded(gateway: Running, kv: kv_pb2_grpc.KVStub) -> None:
    gateway.store.held = []
    call = kv.Exchange()
    size = 8 * MIB
    within = exchange.BYTES_MAX // size
    puts = 3 * within

    async def write() -> None:
        for number in range(puts):
            await call.write(_puts((str(number), bytes(size)), first_id=number))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        await until(lambda: gateway.store.writes >= within)
        await _calls_in_between(kv)
        assert gateway.store.writes == within
        gateway.store.release()
        answered = 0
        while answered < puts:
            answered += len((await call.read()).writes)


async def test_reads_beside_a_large_value_give_its_room_back(
    gateway: Running, kv: kv_pb2_grpc.KVStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "BYTES_MAX", MIB)
    size = 128 * KIB
    call = kv.Exchange()
    for number in range(2 * exchange.BYTES_MAX // size):
        batch = _puts(("k", bytes(size)), first_id=number)
        batch.MergeFrom(_gets("k", first_id=number))
        await call.write(batch)
        await call.read()
    await call.done_writing()
    while await call.read() is not grpc.aio.EOF:
        pass
    assert gateway.store.writes == 2 * exchange.BYTES_MAX // size


async def test_a_client_that_does_not_read_grows_nothing(
    gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    """16 MiB asked for again and again: the gateway stops asking its homes."""
    size, asked = 4 * MIB, 200
    for number in range(4):
        put = kv_pb2.PutRequest(namespace=NAMESPACE, key=b"%d" % number, value=bytes(size))
        await kv.Put(put)
    call = kv.Exchange()
    for number in range(asked):
        await call.write(_gets("0", "1", "2", "3", first_id=4 * number))
    before = -1
    while before != gateway.store.reads:  # until nothing moves over many calls in between
        before = gateway.store.reads
        await _calls_in_between(kv)
    waiting_max = exchange.BYTES_MAX // size + 8  # what gRPC itself has taken comes on top
    assert 0 < gateway.store.reads <= 2 * waiting_max
    answered = 0
    while answered < 4 * asked:
        answered += len((await call.read()).gets)


async def test_a_drain_answers_all_that_is_sent_before_the_client_ends(
    gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    gateway.store.held = []
    call = kv.Exchange()
    await call.write(_puts(("before", b"1")))
    await until(lambda: gateway.store.writes)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(gateway.stop(grace_s=30))
        assert (await call.read()).draining
        await call.write(_puts(("after", b"1"), first_id=2))
        await call.done_writing()
        await until(lambda: gateway.store.writes == 2)
        gateway.store.release()
        assert [answer.id for answer in (await call.read()).writes] == [1, 2]
        assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_a_client_that_goes_away_cancels_nothing(
    gateway: Running, kv: kv_pb2_grpc.KVStub
) -> None:
    gateway.store.held = []
    stream = kv.Exchange()
    await stream.write(_puts(("streamed", b"1")))
    unary = kv.Put(kv_pb2.PutRequest(namespace=NAMESPACE, key=b"unary", value=b"1"))
    batch = kv.Batch(_puts(("batched", b"1")))
    await asyncio.gather(asyncio.sleep(0), until(lambda: gateway.store.writes == 3))
    for call in (stream, unary, batch):
        call.cancel()
    await kv.Batch(kv_pb2.BatchRequest())
    gateway.store.release()
    assert gateway.store.abandoned == 0
    assert gateway.failures.count == 0
