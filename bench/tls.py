"""What TLS costs: the same gateway with it, on every port and between the programs, and without.

    python -m bench.tls

CPU for one operation is the measure; the clients', which TLS costs as much, is not part of it.
"""

import ssl
import statistics
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench.http_client import HttpClient, http_port, request_for
from bench.load import collector_at_rest, measured, on_last_core
from bench.report import Report
from bench.system import TITLE, VALUE, cpu_by_part, filled, running
from tandem import Client
from tandem.core.limits import MIB
from tests.e2e.deployment import Deployment, tls_settings
from tests.servers.certificates import Authority

CALLERS = 32
KEYS = 500
LARGE = 8 * MIB
ROUND_S = 1.5
ROUNDS = 5

Asked = Callable[[int], Awaitable[object]]


class Side:
    """One deployment and its clients."""

    def __init__(self, deployment: Deployment, tls: ssl.SSLContext | None) -> None:
        self._deployment = deployment
        self._tls = tls
        self._kv: Client
        self._http: HttpClient
        self._namespace = ""
        self.seen: dict[str, list[float]] = {}
        """CPU of the gateway's worker and KVSP in microseconds, by kind of operation."""

    async def begin(self, stack: AsyncExitStack) -> None:
        """Connects, and stores what is read."""
        self._kv = await stack.enter_async_context(self._deployment.client(TITLE))
        port = http_port(self._deployment)
        self._http = await stack.enter_async_context(HttpClient(port, CALLERS, self._tls))
        self._namespace = (await self._kv.namespaces.get(TITLE)).id
        await self._kv.put("large", b"v" * LARGE)

    async def round(self) -> None:
        """Every kind of operation for a while."""
        await filled(self._kv, KEYS)  # so that nothing grows too old for the cache
        for kind, (call, callers) in self._kinds().items():
            used = cpu_by_part(self._deployment)
            calls = 0

            async def counted(number: int, call: Asked = call) -> None:
                nonlocal calls
                calls += 1
                await call(number)

            with collector_at_rest():
                await measured(counted, callers, ROUND_S)
            self.seen.setdefault(kind, []).append(sum(used().values()) / calls * 1e6)

    def _kinds(self) -> Mapping[str, tuple[Asked, int]]:
        return {
            "cached get, HTTP": (self._cached_get, CALLERS),
            "cached get, gRPC": (lambda number: self._kv.get(f"key-{number % KEYS}"), CALLERS),
            "put, gRPC": (lambda number: self._kv.put(f"put-{number % KEYS}", VALUE), CALLERS),
            f"get of {LARGE // MIB} MiB, HTTP": (self._large_get, 2),
            "a connection and a get, HTTP": (self._connect, 4),
        }

    async def _cached_get(self, number: int) -> None:
        await self._http.ask(self._request(f"key-{number % KEYS}"))

    async def _large_get(self, _: int) -> None:
        await self._http.ask(self._request("large"))

    async def _connect(self, number: int) -> None:
        async with HttpClient(http_port(self._deployment), 1, self._tls) as client:
            await client.ask(self._request(f"key-{number % KEYS}"))

    def _request(self, key: str) -> bytes:
        return request_for(self._namespace, key) + b"\r\n"


async def run() -> None:
    with Report("tls") as report, TemporaryDirectory(prefix="tandem-bench-tls-") as directory:
        files = Authority(Path(directory)).files()
        context = ssl.create_default_context(cafile=files.ca)
        context.load_cert_chain(files.certificate, files.key)
        context.check_hostname = False
        async with (
            running() as plain,
            running(settings=tls_settings(files)) as secured,
            AsyncExitStack() as stack,
        ):
            sides = Side(plain, None), Side(secured, context)
            with on_last_core() as core:
                for side in sides:
                    await side.begin(stack)
                for _ in range(ROUNDS):
                    for side in sides:
                        await side.round()
            report.line(f"the clients on core {core}, servers on any; {CALLERS} callers; CPU of")
            report.line(f"gateway and KVSP, us; median of {ROUNDS} rounds of {ROUND_S} s in turns")
            report.line(f"{'':<30} {'plain':>10} {'TLS':>10}")
            for kind in sides[0].seen:
                without, with_tls = (statistics.median(side.seen[kind]) for side in sides)
                report.line(
                    f"{kind:<30} {without:>10,.1f} {with_tls:>10,.1f}   {with_tls / without:.2f} x"
                )


if __name__ == "__main__":
    uvloop.run(run())
