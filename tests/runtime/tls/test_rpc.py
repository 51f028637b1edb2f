"""gRPC with TLS: our servers, and the way to them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tandem.errors import ConfigurationError
from tandem.runtime.clock import SystemClock
from tandem.runtime.rpc_channel import TlsChannel, open_channel
from tandem.runtime.rpc_health import HANDSHAKE_LIMIT, RpcHealth
from tandem.runtime.rpc_words import in_words
from tandem.runtime.tls import ServerTls, TlsFiles
from tests.servers.certificates import Authority, Pair

WITHIN_S = 60.0
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class Door:
    def __init__(self, address: str, tls: ServerTls) -> None:
        self.address = address
        self.tls = tls


@asynccontextmanager
async def open_door(files: TlsFiles, *, demand: bool = True) -> AsyncIterator[Door]:
    tls = ServerTls(files, SystemClock())
    server = grpc.aio.server(options=(HANDSHAKE_LIMIT,))
    port = await RpcHealth(server, []).start("127.0.0.1:0", tls.rpc(demand=demand))
    try:
        yield Door(f"127.0.0.1:{port}", tls)
    finally:
        await server.stop(0)


async def status(channel: grpc.aio.Channel, *, wait: bool = True) -> int:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest()
    return int((await stub.Check(request, timeout=WITHIN_S, wait_for_ready=wait)).status)


async def asked(door: Door, files: TlsFiles | None) -> int:
    async with open_channel(door.address, tls=files) as channel:
        return await status(channel, wait=False)


async def refused(door: Door, files: TlsFiles | None) -> bool:
    try:
        await asked(door, files)
    except grpc.aio.AioRpcError as error:
        return error.code() is grpc.StatusCode.UNAVAILABLE
    return False


async def told(door: Door, files: TlsFiles) -> str:
    """Why who asks so is not answered, as a person is told it."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await asked(door, files)
    return in_words(failed.value.details() or "")


def _ours(channel: object) -> TlsChannel:
    assert isinstance(channel, TlsChannel)
    return channel


def asks_nobody(files: TlsFiles) -> TlsFiles:
    return replace(files, ca="")


async def test_only_who_trusts_the_authority_is_answered(authority: Authority) -> None:
    stranger = Authority(authority.directory, "stranger")
    async with open_door(asks_nobody(authority.files())) as door:
        assert await asked(door, TlsFiles(str(authority.file))) == SERVING
        assert await refused(door, TlsFiles(str(stranger.file)))
        assert await refused(door, None)


async def test_what_is_wrong_with_a_certificate_is_told_in_words(authority: Authority) -> None:
    stranger = Authority(authority.directory, "stranger")
    trusting = TlsFiles(str(authority.file))
    async with open_door(asks_nobody(authority.files())) as door:
        words = await told(door, TlsFiles(str(stranger.file)))
        assert words == "its certificate is of no authority that is trusted here"
    certificate, key = authority.pair(to_days=-0.5).write(authority.directory)
    async with open_door(TlsFiles("", str(certificate), str(key))) as door:
        assert await told(door, trusting) == "its certificate has expired"


async def test_with_authorities_of_clients_only_those_come_in(authority: Authority) -> None:
    stranger = Authority(authority.directory, "stranger")
    async with open_door(authority.files()) as door:
        assert await asked(door, authority.files("friend")) == SERVING
        assert await refused(door, TlsFiles(str(authority.file)))
        assert await refused(door, stranger.files("strange", ca=authority.file))


async def test_a_door_may_demand_nothing(authority: Authority) -> None:
    async with open_door(authority.files(), demand=False) as door:
        assert await asked(door, TlsFiles(str(authority.file))) == SERVING


async def test_what_listens_everywhere_is_called_localhost(authority: Authority) -> None:
    async with open_door(asks_nobody(authority.files())) as door:
        everywhere = Door(door.address.replace("127.0.0.1", "0.0.0.0"), door.tls)
        assert await asked(everywhere, TlsFiles(str(authority.file))) == SERVING


async def test_files_of_a_client_are_looked_at_when_it_opens(authority: Authority) -> None:
    with pytest.raises(ConfigurationError, match=r"tls_ca .*none\.crt: cannot be read"):
        open_channel("127.0.0.1:1", tls=TlsFiles(str(authority.directory / "none.crt")))


async def test_one_file_may_hold_a_pair(authority: Authority) -> None:
    pair, one = authority.pair(), authority.directory / "all.pem"
    for text in (pair.certificate + pair.key, pair.key + pair.certificate):
        one.write_bytes(text)
        files = TlsFiles(str(authority.file), str(one), str(one))
        async with open_door(files) as door:
            assert await asked(door, files) == SERVING


async def test_pairs_of_both_sides_are_replaced_while_calls_go_on(authority: Authority) -> None:
    """The authority is replaced too: first both are trusted, then the new one alone."""
    successor = Authority(authority.directory, "successor")
    bundle = authority.directory / "bundle.crt"
    bundle.write_bytes(authority.file.read_bytes())
    files = replace(authority.files(), ca=str(bundle))
    steps: list[tuple[Pair | None, bytes]] = [
        (None, authority.file.read_bytes() + successor.file.read_bytes()),
        (successor.pair(), authority.file.read_bytes() + successor.file.read_bytes()),
        (None, successor.file.read_bytes()),
    ]
    async with open_door(files) as door, open_channel(door.address, tls=files) as channel:
        mine = _ours(channel)
        answers = 0

        async def keep_asking() -> None:
            nonlocal answers
            while True:
                assert await status(channel, wait=False) == SERVING
                answers += 1

        asking = asyncio.ensure_future(keep_asking())
        for pair, ca in steps:
            bundle.write_bytes(ca)
            if pair is not None:
                pair.write(authority.directory)
            for watched in (door.tls._watched, mine._credentials):
                watched.look()
                assert not watched.trouble
            await _until_more(lambda: answers, 5, asking)
        asking.cancel()
        assert await asked(door, files) == SERVING
        assert await refused(door, authority.files("of the old authority"))


async def _until_more(count: Callable[[], int], more: int, asking: "asyncio.Future[None]") -> None:
    goal = count() + more
    async with asyncio.timeout(WITHIN_S):
        while count() < goal:
            assert not asking.done(), asking
            await asyncio.sleep(0.01)


async def test_a_stream_goes_on_while_a_pair_is_replaced(authority: Authority) -> None:
    files = authority.files()
    async with open_door(files) as door, open_channel(door.address, tls=files) as channel:
        mine = _ours(channel)
        stub: Any = health_pb2_grpc.HealthStub(channel)
        stream = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await asyncio.wait_for(stream.read(), WITHIN_S)).status == SERVING
        authority.pair().write(authority.directory)
        mine._credentials.look()
        assert await status(channel) == SERVING
        assert len(mine._channels) == 2
        assert not stream.done()
        stream.cancel()
