"""The services beside the stream: bad scans, status, health, reflection; gateways that die."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tandem.core.key import IDENTITY_NAMESPACE, SYSTEM_NAMESPACE, Key
from tandem.core.reply import Missing
from tandem.core.version import Version
from tandem.wire import storage_codec as codec
from tandem.wire.v1 import storage_pb2 as pb
from tandem.wire.v1 import storage_pb2_grpc as rpc
from tests.kvsp.records import NAMESPACE, value
from tests.kvsp.serving import Kvsp, connected, running_kvsp

_Message = TypeVar("_Message", pb.RaiseFloorRequest, pb.PurgedRow)


def _with(message: _Message, **fields: object) -> _Message:
    """A copy of the message with other fields."""
    return type(message)(**{f.name: v for f, v in message.ListFields()} | fields)


def _rows(*rows: pb.PurgedRow) -> pb.PurgeRowsRequest:
    return pb.PurgeRowsRequest(namespace=NAMESPACE, rows=rows)


@pytest.fixture
async def kvsp(tmp_path: Path) -> AsyncIterator[Kvsp]:
    async with running_kvsp(tmp_path) as running:
        yield running


@pytest.fixture
async def channel(kvsp: Kvsp) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(kvsp.address) as opened:
        yield opened


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ScanRequest(namespace="x", limit=1), "namespace"),
        (pb.ScanRequest(namespace=NAMESPACE, limit=0), "limit"),
        (pb.ScanRequest(namespace=NAMESPACE, limit=10_001), "limit"),
        (pb.ScanRequest(namespace=NAMESPACE, limit=1, prefix=b"x" * 513), "prefix"),
    ],
)
async def test_a_bad_scan_names_the_field(
    channel: grpc.aio.Channel, request_: pb.ScanRequest, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await rpc.StorageStub(channel).Scan(request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(refused.value.details()).startswith(field)


VERSION = Version.at(1)
GOOD_RAISE = pb.RaiseFloorRequest(namespace=NAMESPACE, start=b"a", end=b"b", floor=VERSION)
GOOD_ROW = pb.PurgedRow(name=b"a", version=VERSION, digest=b"d" * 16)


@pytest.mark.parametrize(
    ("call", "request_", "field"),
    [
        ("RaiseFloor", pb.RaiseFloorRequest(namespace="x", floor=VERSION), "namespace"),
        ("RaiseFloor", pb.RaiseFloorRequest(namespace=NAMESPACE, floor=b"short"), "floor"),
        ("RaiseFloor", _with(GOOD_RAISE, start=b"b"), "range"),
        ("RaiseFloor", _with(GOOD_RAISE, end=b"x" * 513), "range"),
        ("RaiseFloor", _with(GOOD_RAISE, start=b"\xff", end=b""), "start"),
        ("RaiseFloor", _with(GOOD_RAISE, namespace=SYSTEM_NAMESPACE), "a reserved namespace"),
        ("RaiseFloor", _with(GOOD_RAISE, namespace=IDENTITY_NAMESPACE), "a reserved namespace"),
        ("PurgeRows", pb.PurgeRowsRequest(namespace="x"), "namespace"),
        ("PurgeRows", pb.PurgeRowsRequest(namespace=NAMESPACE, rows=[GOOD_ROW] * 1001), "rows"),
        ("PurgeRows", _rows(_with(GOOD_ROW, name=b"")), "row"),
        ("PurgeRows", _rows(_with(GOOD_ROW, digest=b"d")), "digest"),
        ("PurgeRows", _rows(_with(GOOD_ROW, version=b"v")), "version"),
        (
            "RenewCluster",
            pb.RenewClusterRequest(floors=[pb.RangeFloor(namespace=NAMESPACE, floor=b"v")]),
            "floor",
        ),
        ("PurgeNamespace", pb.PurgeNamespaceRequest(namespace="x", limit=1), "namespace"),
        ("PurgeNamespace", pb.PurgeNamespaceRequest(namespace=NAMESPACE), "limit"),
        ("PurgeNamespace", pb.PurgeNamespaceRequest(namespace=NAMESPACE, limit=10_001), "limit"),
    ],
)
async def test_what_can_never_be_collected_names_the_field(
    channel: grpc.aio.Channel, call: str, request_: object, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await getattr(rpc.StorageStub(channel), call)(request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(refused.value.details()).startswith(field)


async def test_floors_are_sent_only_when_they_are_asked_for(channel: grpc.aio.Channel) -> None:
    stub = rpc.StorageStub(channel)
    lives = (await stub.Clusters(pb.ClustersRequest())).clusters
    named = [
        pb.NamedIncarnation(cluster=one.name, incarnation=f"{one.incarnation}/{one.opening}")
        for one in lives
    ]
    raising = _with(GOOD_RAISE, incarnations=named)
    reply = await stub.RaiseFloor(raising)
    assert {one.outcome for one in reply.clusters} == {pb.COLLECT_OUTCOME_DONE}
    assert len(reply.clusters) == len(lives) == 4
    short = (await stub.Clusters(pb.ClustersRequest())).clusters
    whole = (await stub.Clusters(pb.ClustersRequest(floors=True))).clusters
    assert not any(one.floors for one in short)
    assert all([f.start for f in one.floors] == [b"a", b"b"] for one in whole)


async def test_health_and_reflection_are_served(channel: grpc.aio.Channel) -> None:
    check = health_pb2.HealthCheckRequest(service="tandem.v1.Storage")
    answer = await channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )(check)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    stream = channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )()
    await stream.write(asked)
    reply = await stream.read()
    assert isinstance(reply, reflection_pb2.ServerReflectionResponse)
    services = {service.name for service in reply.list_services_response.service}
    assert "tandem.v1.Storage" in services
    await stream.done_writing()


async def test_a_stop_answers_what_has_come(kvsp: Kvsp, channel: grpc.aio.Channel) -> None:
    request = pb.StorageRequest()
    for number in range(100):
        codec.add_put(request, number, Key(NAMESPACE, f"{number}"), value().envelope)
    stream = rpc.StorageStub(channel).Exchange()
    await stream.write(request)
    assert kvsp.server is not None
    while not kvsp.server.counters.messages:
        await asyncio.sleep(0)
    stopping = asyncio.create_task(kvsp.stop())
    answered: list[int] = []
    while isinstance(reply := await stream.read(), pb.StorageReply):
        answered += [written.id for written in reply.writes]
    await stopping
    assert sorted(answered) == list(range(100))


_ASKING_GATEWAY = """
import asyncio, sys
from tandem.backends.kvsp import KvspBackend
from tandem.core.key import IDENTITY_NAMESPACE, SYSTEM_NAMESPACE, Key
from tandem.runtime.randomness import SystemEntropy

async def ask(backend):
    while True:
        await backend.get(Key("ab" * 16, "key"), 5)
        print("answered", flush=True)

async def main():
    backend = KvspBackend(sys.argv[1], SystemEntropy())
    backend.start()
    await asyncio.gather(*(ask(backend) for _ in range(64)))

asyncio.run(main())
"""


async def test_a_gateway_that_is_killed_leaves_no_error_behind(
    kvsp: Kvsp, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        gateway = subprocess.Popen(
            [sys.executable, "-c", _ASKING_GATEWAY, kvsp.address], stdout=subprocess.PIPE
        )
        try:
            assert gateway.stdout is not None
            line = await asyncio.to_thread(gateway.stdout.readline)
            assert line == b"answered\n"
        finally:
            gateway.kill()
            gateway.communicate()
    async with connected(kvsp) as backend:
        assert isinstance(await backend.get(Key(NAMESPACE, "key"), 10), Missing)
    await kvsp.stop()
    captured = capfd.readouterr()
    assert "Traceback" not in captured.err + captured.out
