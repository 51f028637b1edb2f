"""Namespaces, operations, health and reflection through a real server and the client library."""

from collections.abc import AsyncIterator
from dataclasses import replace

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tandem import Client
from tandem.core.key import Key
from tandem.core.mode import Mode, Stage
from tandem.core.mode_step import ModeReport, WorkerView, effects
from tandem.core.namespace import Settings
from tandem.core.operations import CrawlReport
from tandem.core.quota import QUOTA_MAX, Quota
from tandem.core.reading import ReadMode
from tandem.core.reply import Side
from tandem.core.write_race import AckPolicy
from tandem.errors import InvalidArgument, NamespaceExists, NamespaceNotFound
from tandem.wire.v1 import namespaces_pb2, namespaces_pb2_grpc, ops_pb2, ops_pb2_grpc
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running

SERVICES = {"tandem.v1.KV", "tandem.v1.Namespaces", "tandem.v1.Ops"}


@pytest.fixture
async def client(gateway: Running) -> AsyncIterator[Client]:
    async with Client(gateway.address) as client:
        yield client


async def test_the_life_of_a_namespace(client: Client) -> None:
    made = await client.namespaces.create("books", ack_policy=AckPolicy.BOTH)
    assert made.settings == Settings(AckPolicy.BOTH, ReadMode.RACE, 1)
    assert await client.namespaces.get("books") == await client.namespaces.get(made.id) == made
    assert [n.title for n in await client.namespaces.list()] == ["articles", "books"]
    renamed = await client.namespaces.rename("books", "Bücher")
    assert (renamed.id, renamed.title) == (made.id, "Bücher")
    set_up = await client.namespaces.configure("Bücher", read_mode=ReadMode.KVSP)
    assert set_up.settings == Settings(AckPolicy.BOTH, ReadMode.KVSP, 2)
    await client.namespaces.delete("Bücher")
    with pytest.raises(NamespaceNotFound, match="Bücher"):
        await client.namespaces.get("Bücher")
    with pytest.raises(NamespaceNotFound, match=made.id):
        await client.namespaces.rename(made.id, "x")


async def test_titles_that_take_much_room_are_refused_in_words(client: Client) -> None:
    title = "\N{PILE OF POO}" * 512
    with pytest.raises(NamespaceNotFound):
        await client.namespaces.get(title)
    await client.namespaces.create(title)
    with pytest.raises(NamespaceExists):
        await client.namespaces.create(title)


async def test_limits_travel_and_stay_when_others_change(client: Client) -> None:
    made = await client.namespaces.create("books", operations_per_s=500, key_write_interval=True)
    assert made.settings.quota == Quota(operations_per_s=500)
    assert made.settings.key_write_interval
    changed = await client.namespaces.configure("books", bytes_per_s=10**9, large_bodies_max=3)
    assert changed.settings.quota == Quota(500, 10**9, 3)
    assert changed.settings.key_write_interval
    assert await client.namespaces.get("books") == changed
    same = await client.namespaces.configure("books", read_mode=ReadMode.S3)
    assert same.settings.quota == changed.settings.quota
    lifted = await client.namespaces.configure(
        "books", operations_per_s=0, bytes_per_s=0, large_bodies_max=0, key_write_interval=False
    )
    assert not lifted.settings.limited
    for limit in (-1, QUOTA_MAX + 1):
        with pytest.raises(InvalidArgument, match="operations_per_s"):
            await client.namespaces.create("more", operations_per_s=limit)


async def test_a_mode_is_given_shown_and_stepped(client: Client, gateway: Running) -> None:
    single, shadow = Mode(Stage.SINGLE, Side.S3), Mode(Stage.SHADOW, Side.S3)
    made = await client.namespaces.create("books", mode=single)
    assert made.settings.mode == single
    ready = WorkerView("g1.0", 7, 0, 5, (Side.KVSP,), (Side.S3, Side.KVSP), 30, 2)
    gateway.operations.views = [ready]
    gateway.operations.crawled_us = 99
    shown = await client.namespaces.mode("books")
    assert shown == ModeReport(made, (shadow,), (ready,), 99)
    asked = await client.namespaces.mode(made.id, shadow)
    assert asked.effects == tuple(effects(single, shadow))
    with pytest.raises(InvalidArgument, match="no step leads"):
        await client.namespaces.mode("books", Mode(Stage.SINGLE, Side.KVSP))
    done = await client.namespaces.step("books", shadow, mode_epoch=0)
    assert (done.stepped, done.objections) == (True, ())
    assert done.namespace == await client.namespaces.get("books")
    assert (done.namespace.settings.mode, done.namespace.settings.mode_epoch) == (shadow, 1)
    refused = await client.namespaces.step(
        "books", Mode(Stage.ACTIVE, Side.S3, 10), mode_epoch=1, force=True
    )
    assert not refused.stepped
    assert [(one.passes, one.lasting) for one in refused.objections] == [
        (False, False), (False, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (namespaces_pb2.NamespaceMode(home="HOME_S3"), "wanted.stage: 0 is not a stage"),
        (namespaces_pb2.NamespaceMode(stage="STAGE_SHADOW"), "wanted.home: 0 is not a home"),
        (
            namespaces_pb2.NamespaceMode(stage="STAGE_ACTIVE", home="HOME_S3", percent=101),
            "wanted.percent: 101 percent of the keys",
        ),
        (
            namespaces_pb2.NamespaceMode(stage="STAGE_SINGLE", home="HOME_S3", percent=5),
            "wanted.percent: single has no share of keys",
        ),
    ],
)
async def test_a_mode_that_cannot_be_is_refused(
    gateway: Running, wanted: namespaces_pb2.NamespaceMode, text: str
) -> None:
    request = namespaces_pb2.StepNamespaceModeRequest(id=NAMESPACE, wanted=wanted)
    async with gateway.channel() as channel:
        stub = namespaces_pb2_grpc.NamespacesStub(channel)
        with pytest.raises(grpc.aio.AioRpcError, match=text):
            await stub.StepNamespaceMode(request)


async def test_a_title_is_taken_once(client: Client) -> None:
    await client.namespaces.create("books")
    with pytest.raises(NamespaceExists, match="'books'"):
        await client.namespaces.create("books")
    with pytest.raises(NamespaceExists, match="'books'"):
        await client.namespaces.rename("articles", "books")


@pytest.mark.parametrize(
    ("method", "request_message", "text"),
    [
        ("CreateNamespace", namespaces_pb2.CreateNamespaceRequest(), "title: must not be empty"),
        (
            "CreateNamespace",
            namespaces_pb2.CreateNamespaceRequest(title="t" * 513),
            "title: length of 513 characters exceeds the limit of 512",
        ),
        (
            "CreateNamespace",
            namespaces_pb2.CreateNamespaceRequest(title="a\nb"),
            "title: has a control character at position 1",
        ),
        (
            "CreateNamespace",
            namespaces_pb2.CreateNamespaceRequest(title=NAMESPACE),
            "title: must not have the form of an id",
        ),
        (
            "RenameNamespace",
            namespaces_pb2.RenameNamespaceRequest(id=NAMESPACE, title=NAMESPACE),
            "title: must not have the form of an id",
        ),
        (
            "CreateNamespace",
            namespaces_pb2.CreateNamespaceRequest(title="t", settings={"bytes_per_s": 2**63}),
            f"settings.bytes_per_s: {2**63} is not from 0 (no limit) to {QUOTA_MAX}",
        ),
        (
            "CreateNamespace",
            namespaces_pb2.CreateNamespaceRequest(title="t", settings={"ack_policy": 9}),
            "settings.ack_policy: 9 is not an ack policy",
        ),
        (
            "ConfigureNamespace",
            namespaces_pb2.ConfigureNamespaceRequest(id=NAMESPACE, settings={"read_mode": 9}),
            "settings.read_mode: 9 is not a read mode",
        ),
        ("GetNamespace", namespaces_pb2.GetNamespaceRequest(), "title: must not be empty"),
        ("GetNamespace", namespaces_pb2.GetNamespaceRequest(id="x"), "id: 'x' is not a namespace"),
        ("RenameNamespace", namespaces_pb2.RenameNamespaceRequest(), "id: '' is not a namespace"),
        ("DeleteNamespace", namespaces_pb2.DeleteNamespaceRequest(), "id: '' is not a namespace"),
    ],
)
async def test_bad_input_about_namespaces(
    method: str, request_message: object, text: str, gateway: Running
) -> None:
    async with gateway.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await getattr(namespaces_pb2_grpc.NamespacesStub(channel), method)(request_message)
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (failure.value.details() or "").startswith(text)


async def test_reserved_namespaces_do_not_exist(client: Client) -> None:
    with pytest.raises(NamespaceNotFound):
        await client.namespaces.delete("0" * 32)


async def test_what_an_operator_sees_arrives_unchanged(gateway: Running, client: Client) -> None:
    operations, key = gateway.operations, Key(NAMESPACE, "naïve")
    assert await client.ops.status() == await operations.status()
    assert await client.ops.inspect(key) == await operations.inspect(key)
    assert await client.ops.heal(key) == await operations.heal(key)
    for asked in ((NAMESPACE, "a", ""), (NAMESPACE, "a", "naïve"), (NAMESPACE, "", "")):
        assert await client.ops.compare(*asked) == await operations.compare(*asked)
        assert operations.compared[-2:] == [asked, asked]
    assert await client.ops.queue() == await operations.queue(100)
    assert len(await client.ops.queue(1)) == 1
    status = await client.ops.switch(Side.S3, reads_enabled=False, writes_enabled=True)
    assert [(h.reads_enabled, h.writes_enabled) for h in status.homes] == [
        (True, True),
        (False, True),
    ]
    operations.homes[Side.S3] = replace(operations.homes[Side.S3], behind=())
    marked = await client.ops.mark_behind(Side.S3)
    assert [home.behind for home in marked.homes] == [("*",), ("*",)]
    report = CrawlReport("0" * 32, 12, equal=True)
    await client.ops.report_crawl(report)
    assert operations.reports == [report]


async def test_bad_input_of_an_operator(gateway: Running, client: Client) -> None:
    with pytest.raises(InvalidArgument, match=r"key: must not be empty"):
        await client.ops.heal(Key(NAMESPACE, ""))
    with pytest.raises(InvalidArgument, match=r"namespace: 'x' is not"):
        await client.ops.inspect(Key("x", "k"))
    with pytest.raises(InvalidArgument, match=r"namespace: 'x' is not"):
        await client.ops.compare("x")
    with pytest.raises(InvalidArgument, match=r"prefix: .* exceeds the limit"):
        await client.ops.compare(NAMESPACE, "x" * 513)
    with pytest.raises(InvalidArgument, match=r"limit: 1001 is not between 1 and 1000"):
        await client.ops.queue(1001)
    async with gateway.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="home: 0 is not a home"):
            await ops_pb2_grpc.OpsStub(channel).SetSwitch(ops_pb2.SetSwitchRequest())


async def test_health_follows_readiness(gateway: Running) -> None:
    async with gateway.channel() as channel:
        check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        for ready, expected in ((False, "NOT_SERVING"), (True, "SERVING")):
            await gateway.server.set_ready(ready)
            for service in ("", *SERVICES):
                asked = health_pb2.HealthCheckRequest(service=service).SerializeToString()
                reply = health_pb2.HealthCheckResponse.FromString(await check(asked))
                assert reply.ServingStatus.Name(reply.status) == expected


async def test_reflection_names_every_service(gateway: Running) -> None:
    async with gateway.channel() as channel:
        method: grpc.aio.StreamStreamMultiCallable[bytes, bytes]
        method = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        )
        call = method()
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        await call.write(request.SerializeToString())
        raw = await call.read()
        call.cancel()
    assert isinstance(raw, bytes)
    reply = reflection_pb2.ServerReflectionResponse.FromString(raw)
    named = {service.name for service in reply.list_services_response.service}
    assert named >= SERVICES | {"grpc.health.v1.Health"}


async def test_two_servers_share_a_port(gateway: Running) -> None:
    other = Running(port=gateway.port)
    await other.start()
    assert other.port == gateway.port
    await other.stop()
