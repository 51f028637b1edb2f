"""The client while the gateway fails, goes away, and comes back."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import grpc
import pytest

from tandem import Client
from tandem.client import lane
from tandem.core.limits import VALUE_BYTES_MAX
from tandem.core.request import Listing, ListPage
from tandem.core.version import Version
from tandem.errors import (
    NamespaceNotFound,
    Overloaded,
    QuotaExceeded,
    TandemError,
    Unavailable,
    Unconfirmed,
)
from tandem.wire.status import call_status
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running, until
from tests.servers.ports import free_port


def _wrote_more_than(gateway: Running, count: int) -> bool:
    return gateway.store.writes > count


def _called_at_least(gateway: Running, count: int) -> bool:
    return gateway.store.calls >= count


async def test_what_was_never_sent_waits_for_the_gateway() -> None:
    gateway = Running()
    async with Client(gateway.address, NAMESPACE, timeout_s=60) as kv:
        async with asyncio.TaskGroup() as tasks:
            put = tasks.create_task(kv.put("k", b"v"))
            get = tasks.create_task(kv.get("k"))
            await asyncio.sleep(0.3)
            assert not put.done()
            await gateway.start()
        assert put.result() == gateway.store.records[next(iter(gateway.store.records))].version
        assert get.result() in {None, b"v"}
    await gateway.stop()


async def test_a_gateway_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    serve, tries = lane.Lane._serve, 0

    def counted(counting: lane.Lane) -> Awaitable[bool]:
        nonlocal tries
        tries += 1
        return serve(counting)

    monkeypatch.setattr(lane.Lane, "_serve", counted)
    address = f"127.0.0.1:{free_port()}"
    async with Client(address, NAMESPACE, timeout_s=3) as kv:
        listing = asyncio.create_task(kv.namespaces.list())
        with pytest.raises(Unavailable, match=rf"could not be sent.*{address}"):
            await kv.put("k", b"v")
        with pytest.raises(Unavailable):
            await listing
    assert 1 < tries < 40


async def test_a_restarted_gateway_is_found_again(gateway: Running, kv: Client) -> None:
    for number in range(3):
        await kv.put("k", str(number))
        await gateway.stop()
        await gateway.start()
        assert await kv.get("k") == str(number).encode()


async def test_a_read_that_was_cut_off_is_repeated(gateway: Running, kv: Client) -> None:
    await kv.put("k", b"v")
    gateway.store.held = []
    async with asyncio.TaskGroup() as tasks:
        reads = [tasks.create_task(kv.get("k")) for _ in range(100)]
        await until(lambda: gateway.store.reads == 100)
        await gateway.stop()
        gateway.store.release()
        await gateway.start()
    assert [read.result() for read in reads] == [b"v"] * 100
    assert gateway.store.reads == 200


async def test_a_write_that_was_cut_off_is_not_repeated(gateway: Running, kv: Client) -> None:
    gateway.store.held = []
    write = asyncio.create_task(kv.put("k", b"v"))
    await until(lambda: gateway.store.writes)
    await gateway.stop()
    with pytest.raises(Unavailable, match="the write may have happened or not"):
        await write
    await gateway.start()
    assert gateway.store.writes == 1


async def test_a_graceful_stop_loses_nothing(gateway: Running, kv: Client) -> None:
    """Writers and readers go on while the gateway is stopped and started again."""
    stopped = False

    async def work(number: int) -> int:
        count = 0
        while not stopped or count < 10:
            await kv.put(f"k{number}", str(count))
            assert await kv.get(f"k{number}") == str(count).encode()
            count += 1
        return count

    async with asyncio.TaskGroup() as tasks:
        workers = [tasks.create_task(work(number)) for number in range(50)]
        for _ in range(3):
            before = gateway.store.writes
            await until(partial(_wrote_more_than, gateway, before + 200))
            await gateway.stop(grace_s=30)
            await gateway.start()
        stopped = True
    assert all(worker.result() >= 10 for worker in workers)


async def test_a_client_that_has_nothing_to_say_does_not_hold_up_a_gateway(
    gateway: Running, kv: Client
) -> None:
    await kv.get("k")
    async with asyncio.timeout(60):
        await gateway.stop(grace_s=3600)


@pytest.mark.parametrize(
    ("failure", "retried"),
    [
        (Unavailable("both homes failed"), (True, False)),
        (Unconfirmed("it is not known here"), (False, False)),
        (Overloaded("full"), (True, True)),
        (QuotaExceeded("over", 0.01), (True, True)),
    ],
)
async def test_what_is_safe_to_repeat_is_repeated(
    failure: Exception, retried: tuple[bool, bool], gateway: Running, kv: Client
) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [lambda: kv.get("k"), lambda: kv.put("k", b"v")]
    for call, again in zip(calls, retried, strict=True):
        gateway.store.failure, before = failure, gateway.store.calls
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(_outcome(call()))
            await until(partial(_called_at_least, gateway, before + (3 if again else 1)))
            gateway.store.failure = None
        assert isinstance(task.result(), type(failure)) != again
        assert again or gateway.store.calls == before + 1


async def test_a_read_in_pieces_is_repeated_too(gateway: Running, kv: Client) -> None:
    await kv.put("k", b"v")
    gateway.store.failure, before = Unavailable("both homes failed"), gateway.store.calls
    task = asyncio.create_task(kv.get_stream("k"))
    await until(partial(_called_at_least, gateway, before + 3))
    gateway.store.failure = None
    entry = await task
    assert entry is not None
    assert [piece async for piece in entry] == [b"v"]


async def test_a_listing_goes_on_where_it_was_when_no_home_answered(
    gateway: Running, kv: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kv.put_many(dict.fromkeys("abcd", b""))
    pages, refusals = gateway.store.list, [Unavailable("both homes failed")] * 2

    async def refused_now_and_then(listing: Listing) -> ListPage:
        if listing.after == "b" and refusals:
            raise refusals.pop()
        return await pages(listing)

    monkeypatch.setattr(gateway.store, "list", refused_now_and_then)
    assert [key.name async for key in kv.list(page_size=2)] == list("abcd")
    assert not refusals


async def test_a_gateway_that_goes_away_under_a_value_in_pieces(
    gateway: Running, kv: Client
) -> None:
    await kv.put("k", bytes(VALUE_BYTES_MAX))
    entry = await kv.get_stream("k")
    assert entry is not None
    assert await anext(entry.pieces)
    await gateway.stop()
    with pytest.raises(Unavailable):
        [piece async for piece in entry]


async def _outcome(call: Awaitable[object]) -> object:
    try:
        return await call
    except (Unavailable, Overloaded) as error:
        return error


async def test_a_quota_is_waited_for_as_long_as_it_says(gateway: Running, kv: Client) -> None:
    gateway.store.failure = QuotaExceeded("over", 0.2)
    loop = asyncio.get_running_loop()
    asked_s = loop.time()
    task = asyncio.create_task(kv.put("k", b"v"))
    await until(partial(_called_at_least, gateway, 3))
    assert loop.time() - asked_s >= 0.3  # twice 0.2, and timers that may end early
    gateway.store.failure = None
    await task


async def test_what_waits_for_a_quota_comes_back_together(gateway: Running, kv: Client) -> None:
    gateway.store.failure = QuotaExceeded("over", 0.01)
    tasks = [asyncio.create_task(kv.get(f"k{n}")) for n in range(50)]
    await until(partial(_called_at_least, gateway, 1))
    gateway.store.failure = None
    await asyncio.gather(*tasks)
    assert gateway.store.reads >= 100
    assert gateway.store.calls <= 20


async def test_many_that_wait_for_a_quota_come_back_together(gateway: Running, kv: Client) -> None:
    gateway.store.failure = QuotaExceeded("over", 0.01)
    keys = [f"k{n}" for n in range(50)]
    task = asyncio.create_task(kv.put_many(dict.fromkeys(keys, b"v")))
    await until(partial(_called_at_least, gateway, 1))
    gateway.store.failure = None
    results = await task
    assert list(results) == keys
    assert all(isinstance(result, Version) for result in results.values())
    assert gateway.store.writes >= 100
    assert gateway.store.calls <= 20


async def test_a_quota_beyond_the_timeout_is_told_at_once(gateway: Running, kv: Client) -> None:
    gateway.store.failure = QuotaExceeded("over 5 operations a second", 3600.0)
    for call in (kv.get("k"), kv.put("k", b"v"), kv.put_stream("k", b"v")):
        with pytest.raises(QuotaExceeded, match="over 5 operations a second") as caught:
            await call
        assert caught.value.retry_after_s == 3600.0
    assert gateway.store.calls == 3


async def test_a_call_by_itself_waits_too(gateway: Running, kv: Client) -> None:
    """Where there is no time to wait, the budget loses nothing."""
    budget = kv._retries.budget
    tokens = budget.tokens
    answers = [QuotaExceeded("over", 0.2), QuotaExceeded("over", 3600.0)]
    asked: list[float] = []

    async def call(_: object, *, timeout: float) -> None:
        asked.append(timeout)
        if answers:
            code, text, metadata = call_status(answers.pop(0))
            empty, trailing = grpc.aio.Metadata(), grpc.aio.Metadata(*metadata)
            raise grpc.aio.AioRpcError(code, empty, trailing, text)

    with pytest.raises(QuotaExceeded) as caught:
        await kv._retries.call(call, None, "n", timeout_s=30, repeatable=False)
    assert caught.value.retry_after_s == 3600.0
    assert len(asked) == 2
    assert asked[0] - asked[1] >= 0.2
    assert budget.tokens == tokens - 1


async def test_retries_end_with_the_budget(gateway: Running, kv: Client) -> None:
    gateway.store.failure = Overloaded("full")
    budget = kv._retries.budget
    while budget.tokens >= 3:
        budget.spend()
    for attempts in (3, 1):
        before = gateway.store.reads
        with pytest.raises(Overloaded, match="full"):
            await kv.get("k", timeout_s=30)
        assert gateway.store.reads == before + attempts


@pytest.mark.parametrize(
    "call", [lambda kv: kv.get("k"), lambda kv: kv.put("k", b"v")], ids=["get", "put"]
)
async def test_answers_earn_retries(
    call: Callable[[Client], Awaitable[object]], gateway: Running, at_once: Client
) -> None:
    for _ in range(11):
        await call(at_once)
    gateway.store.failure, before = Overloaded("full"), gateway.store.calls
    with pytest.raises(Overloaded):
        await call(at_once)
    assert gateway.store.calls == before + 2


async def test_a_call_ends_at_its_own_timeout(gateway: Running, kv: Client) -> None:
    gateway.store.held = []
    slow = asyncio.create_task(kv.get("k", timeout_s=60))
    await until(lambda: gateway.store.reads)
    write = asyncio.create_task(kv.put("k", b"v", timeout_s=2))
    pieces = asyncio.create_task(kv.get_stream("k", timeout_s=2))
    with pytest.raises(Unavailable, match=r"no answer before the deadline$"):
        await kv.get("k", timeout_s=2)
    with pytest.raises(Unavailable, match="the write may have happened or not"):
        await write
    with pytest.raises(Unavailable, match="no answer came"):
        await asyncio.wait_for(pieces, 60)
    assert not slow.done()
    gateway.store.release()
    assert await slow is None


async def test_a_caller_that_gives_up_leaves_nothing(gateway: Running, kv: Client) -> None:
    gateway.store.held = []
    call = asyncio.create_task(kv.get("k"))
    await until(lambda: gateway.store.reads)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    gateway.store.release()
    assert await kv.get("k") is None
    small = kv._calls._small
    await until(lambda: not small._sent and small._sweeper is None)


async def test_of_many_that_are_given_up_none_is_sent_later() -> None:
    gateway = Running()
    async with Client(gateway.address, NAMESPACE, timeout_s=60) as kv:
        writes = asyncio.create_task(kv.put_many(dict.fromkeys("abc", b"v")))
        await until(lambda: len(kv._calls._small._waiting) == 3)
        writes.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writes
        await gateway.start()
        assert await kv.get("a") is None
        assert gateway.store.writes == 0
    await gateway.stop()


@pytest.mark.parametrize("place", ["_next_batch", "_receive"])
async def test_a_fault_of_the_client_ends_one_stream_and_is_told(
    place: str, gateway: Running, kv: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = getattr(lane.Lane, place)
    faults = [LookupError("no such field")]
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    def once_broken(broken: lane.Lane, *values: object) -> object:
        outcome = whole(broken, *values) if place == "_next_batch" else None
        if faults and (outcome is not None or values):
            raise faults.pop()
        return outcome or whole(broken, *values)

    monkeypatch.setattr(lane.Lane, place, once_broken)
    with pytest.raises(Unavailable, match=r"no such field.*may have happened"):
        await kv.put("k", b"v", timeout_s=60)
    assert [str(context["message"]) for context in told] == ["a stream of Tandem's client broke"]
    await kv.put("k", b"w")
    assert await kv.get("k") == b"w"


async def test_a_server_without_the_service_is_not_asked_again() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with asyncio.timeout(60), Client(f"127.0.0.1:{port}", NAMESPACE) as kv:
        with pytest.raises(TandemError, match="UNIMPLEMENTED: Method not found"):
            await kv.get("k", timeout_s=3600.0)
    await server.stop(0)


async def test_namespace_calls_are_repeated_when_that_is_safe(gateway: Running, kv: Client) -> None:
    gateway.registry.failures = [Unavailable("no home"), Unavailable("no home")]
    assert [namespace.title for namespace in await kv.namespaces.list()] == ["articles"]
    gateway.registry.failures = [Unavailable("no home")]
    with pytest.raises(Unavailable, match="no home"):
        await kv.namespaces.create("books")
    gateway.registry.failures = [Unavailable("no home")]
    await kv.namespaces.delete(NAMESPACE)  # done twice is done
    with pytest.raises(NamespaceNotFound):
        await kv.namespaces.get(NAMESPACE)
