"""Every method of gateway, KVSP and crawler, as processes, with messages that nobody meant.

Each is answered with a proper status, no process dies or grows, and afterwards all is as before.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tandem.core.reply import Side
from tests.e2e.deployment import Deployment
from tests.fuzz.messages import Method, errors_within, methods, requests

IMPROPER = {
    grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}  # fmt: skip
IMPROPER_NUMBERS = {code.value[0] for code in IMPROPER}
ANSWERED_WITHIN_S = 60.0
ALL = tuple(methods())
GROWTH_BYTES_MAX = 24 * 1024 * 1024


@dataclass
class Target:
    """A deployment under fire."""

    deployment: Deployment
    namespace: str

    @property
    def texts(self) -> tuple[str, ...]:
        """What strings are made of, besides noise."""
        return (self.namespace, "n", "", "0" * 32, "0" * 31 + "1", "f" * 32, "x" * 600, "default")

    def address_of(self, service: str) -> str:
        """Where a service is offered."""
        match service:
            case "Storage":
                return self.deployment.kvsp_address
            case "Crawler":
                return self.deployment.crawler_address
            case _:
                return self.deployment.grpc

    def resident_bytes(self) -> int:
        """The memory of all its processes."""
        return sum(_resident_bytes(pid) for pid in self.deployment.pids())


def _resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """All three programs; whatever they logged as their own fault fails the test."""
    deployment = Deployment(tmp_path_factory.mktemp("fuzz") / "tandem")

    async def start() -> str:
        await deployment.start()
        deployment.crawler.start()
        await deployment.serving(deployment.crawler, deployment.crawler_address)
        async with deployment.client() as client:
            return (await client.namespaces.create("n")).id

    try:
        yield Target(deployment, asyncio.run(start()))
    finally:
        deployment.end()


@pytest.fixture(scope="module")
def channels(target: Target) -> Iterator[dict[str, grpc.Channel]]:
    opened = {m.service: grpc.insecure_channel(target.address_of(m.service)) for m in ALL}
    yield opened
    for channel in opened.values():
        channel.close()


def _ask(
    channel: grpc.Channel, method: Method, messages: Sequence[bytes]
) -> list[bytes] | grpc.RpcError:
    """The replies, or how the call failed."""
    try:
        return _replies(channel, method, messages)
    except grpc.RpcError as error:
        return error


def _replies(
    channel: Any,  # noqa: ANN401 - no types for raw bytes
    method: Method,
    messages: Sequence[bytes],
) -> list[bytes]:
    timeout = ANSWERED_WITHIN_S
    match method.streams_requests, method.streams_replies:
        case False, False:
            return [channel.unary_unary(method.path)(messages[0], timeout=timeout)]
        case True, False:
            return [channel.stream_unary(method.path)(iter(messages), timeout=timeout)]
        case False, True:
            call = channel.unary_stream(method.path)(messages[0], timeout=timeout)
        case _:
            call = channel.stream_stream(method.path)(iter(messages), timeout=timeout)
    if method.streams_requests:
        return [*call]
    first = next(call, b"")  # a stream of replies may have no end
    call.cancel()
    return [first]


def _check(target: Target, channel: grpc.Channel, method: Method, messages: list[bytes]) -> None:
    outcome = _ask(channel, method, messages)
    if isinstance(outcome, grpc.RpcError):
        said = f"{outcome.code()}: {outcome.details()}"
        assert outcome.code() not in IMPROPER, f"{method.path} {messages}: {said}"
        return
    for reply in outcome:
        wrong = IMPROPER_NUMBERS.intersection(errors_within(method.reply.FromString(reply)))
        assert not wrong, f"{method.path} {messages}: {wrong}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("method", ALL, ids=lambda method: method.path)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=max(25, settings().max_examples // 4),
)
@given(data=st.data())
def test_a_method_answers_whatever_it_is_sent(
    target: Target, channels: dict[str, grpc.Channel], method: Method, data: st.DataObject
) -> None:
    message = requests(method, target.texts)
    most = 4 if method.streams_requests else 1
    messages = data.draw(st.lists(message, min_size=1, max_size=most))
    _check(target, channels[method.service], method, messages)


def test_afterwards_all_is_as_before(target: Target) -> None:
    """No process has died, none has found a fault of its own, and the store works."""
    deployment = target.deployment

    async def works() -> None:
        async with deployment.client() as client:
            for side in Side:
                await client.ops.switch(side, reads_enabled=True, writes_enabled=True)
            namespace = await client.namespaces.create("after")
        async with deployment.client(namespace.id) as client:
            version = await client.put("k", b"v")
            seen = await client.look("k")
            assert (seen.version, seen.entry and seen.entry.value) == (version, b"v")

    for program in (deployment.gateway, deployment.kvsp, deployment.crawler):
        assert program.status is None, program.words()
        for fault in ("request failed unexpectedly", "Traceback", "worker_died"):
            assert fault not in program.words()
    asyncio.run(works())


def test_memory_does_not_grow_with_what_is_refused(
    target: Target, channels: dict[str, grpc.Channel]
) -> None:
    noise = [bytes([7 * number % 256]) * 50 for number in range(20)]

    def fire(rounds: int) -> None:
        for _ in range(rounds):
            for method in ALL:
                if method.path.endswith("WatchCrawler"):
                    continue
                for message in noise:
                    _check(target, channels[method.service], method, [message])

    fire(2)
    before = target.resident_bytes()
    fire(4)
    assert target.resident_bytes() < before + GROWTH_BYTES_MAX


def test_every_service_of_the_contract_is_asked() -> None:
    assert {method.service for method in ALL} == {
        "KV", "Namespaces", "Tokens", "Ops", "Storage", "Crawler",
    }  # fmt: skip
