"""The HTTP port as workerd uses it, on real processes: with both homes, with one, with none."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tandem.core.limits import VALUE_BYTES_MAX
from tandem.core.reply import Side
from tests.e2e.buckets import new_bucket
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.program import Program, kill_process
from tests.e2e.waiting import until, until_true
from tests.runtime.wire import Answer, Wire
from tests.servers.ports import free_port
from tests.servers.rgw import Rgw


@dataclass
class Binding:
    """One namespace over one kept-alive connection."""

    wire: Wire
    namespace: str

    async def ask(
        self, method: str, target: str, body: bytes = b"", headers: Sequence[str] = ()
    ) -> Answer:
        lines = [
            f"{method} {target} HTTP/1.1",
            f"Content-Length: {len(body)}",
            "Host: fake-host",
            f"CF-KV-Namespace-ID: {self.namespace}",
            *headers,
        ]
        await self.wire.send("\r\n".join([*lines, "", ""]).encode() + body)
        return await self.wire.answer()

    async def put(self, name: str, body: bytes, *headers: str) -> Answer:
        answer = await self.ask("PUT", f"/{name}?urlencoded=true", body, headers)
        assert answer.status == 200, answer.reason
        return answer

    async def get(self, name: str, *headers: str) -> Answer:
        return await self.ask("GET", f"/{name}?urlencoded=true", headers=headers)

    async def names(self, query: str = "") -> list[str]:
        answer = await self.ask("GET", f"/?{query}")
        assert answer.status == 200, answer.reason
        return [key["name"] for key in json.loads(answer.body)["keys"]]


@asynccontextmanager
async def bound(http: str, namespace: str) -> AsyncIterator[Binding]:
    host, _, port = http.rpartition(":")
    wire = Wire(*await asyncio.open_connection(host, int(port)))
    try:
        yield Binding(wire, namespace)
    finally:
        await wire.abort()


async def _namespace_id(tandem: Deployment) -> str:
    async with tandem.client() as client:
        return await client.namespaces.id_of("n")


async def _everything(kv: Binding, prefix: str) -> None:
    """All that a Worker can do."""
    put = await kv.put(f"{prefix}%2Fa+b", b"one", 'CF-KV-Metadata: {"n":1}')
    got = await kv.get(f"{prefix}%2Fa%2Bb")
    assert (got.body, got.headers[b"cf-kv-metadata"]) == (b"one", b'{"n":1}')
    assert got.headers[b"tandem-version"] == put.headers[b"tandem-version"]
    assert got.headers[b"cf-cache-status"] == b"HIT"
    large = bytes(range(256)) * (VALUE_BYTES_MAX // 256)
    await kv.put(f"{prefix}%2Flarge", large)
    assert (await kv.get(f"{prefix}%2Flarge")).body == large
    assert await kv.names(f"prefix={prefix}%2F") == [f"{prefix}/a+b", f"{prefix}/large"]
    keys = [f"{prefix}/a+b", f"{prefix}/none"]
    bulk = await kv.ask("POST", "/bulk/get", json.dumps({"keys": keys}).encode())
    assert json.loads(bulk.body) == {keys[0]: "one", keys[1]: None}
    assert (await kv.ask("DELETE", f"/{prefix}%2Fa%2Bb?urlencoded=true")).status == 200
    assert (await kv.get(f"{prefix}%2Fa+b")).status == 404
    assert await kv.names(f"prefix={prefix}%2F") == [f"{prefix}/large"]
    refused = await kv.ask("PUT", f"/{prefix}?urlencoded=true&expiration_ttl=1", b"v")
    reason = b"Invalid expiration_ttl of 1. Expiration TTL must be at least 60."
    assert (refused.status, refused.reason) == (400, reason)


async def test_a_worker_goes_on_while_one_home_is_down(tandem: Deployment) -> None:
    async with bound(tandem.http, await _namespace_id(tandem)) as kv:
        await _everything(kv, "both")
        await kv.put("before", b"kept")
        await tandem.settled()
        tandem.kvsp.kill()
        await _everything(kv, "one")
        assert (await kv.get("before")).body == b"kept"


async def test_without_any_home_a_worker_sees_an_error_and_no_missing_key(
    tandem: Deployment,
) -> None:
    async with bound(tandem.http, await _namespace_id(tandem)) as kv, tandem.client() as client:
        await kv.put("k", b"v")
        tandem.kvsp.kill()
        await client.ops.switch(Side.S3, reads_enabled=False, writes_enabled=False)
        keys = json.dumps({"keys": ["k", "unknown"]}).encode()
        for answer in (
            await kv.get("unknown"),
            await kv.ask("GET", "/"),
            await kv.ask("PUT", "/k?urlencoded=true", b"w"),
            await kv.ask("DELETE", "/k?urlencoded=true"),
            await kv.ask("POST", "/bulk/get", keys),
        ):
            assert answer.status == 503
            assert answer.reason.startswith(b"Unavailable: ")
            assert answer.headers[b"retry-after"] == b"1"
        assert (await kv.get("k")).body == b"v"


async def test_a_session_token_of_one_gateway_counts_at_another(rgw: Rgw, tmp_path: Path) -> None:
    async with deployed(tmp_path / "tandem", new_bucket(rgw)) as tandem:
        await tandem.start()
        async with tandem.client() as client:
            namespace = (await client.namespaces.create("n")).id
        grpc, http = (f"127.0.0.1:{free_port()}" for _ in range(2))
        environment = {
            **tandem.environment,
            "TANDEM_DATA": str(tmp_path / "elsewhere"),
            "TANDEM_GRPC": grpc,
            "TANDEM_HTTP": http,
        }
        other = Program("other", "kvgateway", tmp_path, environment)
        other.start()
        await tandem.serving(other, grpc)
        async with bound(tandem.http, namespace) as here, bound(http, namespace) as there:
            await here.put("k", b"0")
            assert (await there.get("k")).body == b"0"
            for number in range(1, 50):
                written = await here.put("k", b"%d" % number)
                token = f"Tandem-Min-Version: {written.headers[b'tandem-version'].decode()}"
                read = await there.get("k", token)
                assert (read.status, read.body) == (200, b"%d" % number)
                after = await there.put("k", b"there", token)
                assert after.headers[b"tandem-version"] > written.headers[b"tandem-version"]
        assert await other.stop() == 0


async def test_a_namespace_has_its_own_unix_socket(tmp_path: Path, sockets: Path) -> None:
    async with deployed(tmp_path / "tandem", workers=2) as tandem:
        await tandem.start()
        async with tandem.client() as client:
            namespace = (await client.namespaces.create("n")).id
        assert await tandem.gateway.stop() == 0
        tandem.gateway.start(TANDEM_KV_SOCKETS=str(sockets), TANDEM_KV_SOCKET_IDS=namespace)
        await tandem.serving(tandem.gateway, tandem.grpc)
        path = sockets / f"{namespace}.sock"
        await until_true(lambda: _answers(path), "the socket is served")
        workers = tandem.workers()
        for pid in workers:
            kill_process(pid)
        await until(lambda: not {*workers} & {*tandem.workers()}, "they end")
        await until_true(lambda: _answers(path), "the socket is served by a new worker")


async def _answers(path: Path) -> bool:
    wire = Wire(*await asyncio.open_unix_connection(str(path)))
    kv = Binding(wire, "0" * 32)
    try:
        await kv.put("k", b"v")
        return (await kv.get("k")).body == b"v"
    finally:
        await wire.abort()
