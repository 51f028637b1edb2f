"""How much faster the client library is than one gRPC call for each operation.

    python -m bench.client_rate

Two processes: on the first core a server (a bare grpc.aio echo, and the gateway's KV service over a
dictionary that acknowledges at once), on the last the client. All is measured in one run, in turns,
so the ratios hold whatever the machine is.
"""

import asyncio
import os
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from typing import cast

import grpc
import uvloop

from bench.echo import add_echo, echo_of
from bench.load import Rate, measured
from bench.report import Report
from kvgateway.access.body_room import BodyRoom
from kvgateway.rpc.arrival import Arrivals
from kvgateway.rpc.call_memory import CallMemory
from kvgateway.rpc.callers import Callers
from kvgateway.rpc.failures import Failures
from kvgateway.rpc.kv import KvService
from kvgateway.rpc.server import grpc_server
from kvgateway.rpc.turns import LargeTurns
from kvgateway.service import Entrance
from tandem import Client
from tandem.core.access import Grant, Permission
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.request import Listing, ListPage, Put, Read, ReadResult, Write, Written
from tandem.core.version import NO_VERSION, Version, next_hlc
from tandem.errors import TandemError
from tandem.runtime import logs
from tandem.runtime.clock import SystemClock
from tandem.wire.v1 import kv_pb2_grpc

NAMESPACE = "ab" * 16
VALUE = b"v" * 288
CALLERS = (1, 8, 32, 128, 512)
COMPARED_CALLERS = 128
KEYS = 1000
ROUND_S = 0.4
ROUNDS = 3


class DictStore:
    """The least that can stand behind the service."""

    def __init__(self) -> None:
        self._records: dict[Key, Record] = {}
        self._hlc = 0
        self._clock = SystemClock()

    def read(
        self, reads: Sequence[Read]
    ) -> Sequence[ReadResult | TandemError | asyncio.Future[ReadResult]]:
        records = self._records
        return [ReadResult(records.get(read.key), cached=True) for read in reads]

    def write(self, writes: Sequence[Write]) -> Sequence[TandemError | asyncio.Future[Written]]:
        create_future = asyncio.get_running_loop().create_future
        now_us = self._clock.now_us()
        futures: list[TandemError | asyncio.Future[Written]] = []
        for write in writes:
            assert isinstance(write, Put)
            above = write.above.hlc if write.above != NO_VERSION else 0
            self._hlc = next_hlc(self._hlc, now_us, above)
            version = Version.of(self._hlc, b"dictstor")
            self._records[write.key] = seal(version, write.value)
            future: asyncio.Future[Written] = create_future()
            future.set_result(Written(version))
            futures.append(future)
        return futures

    async def list(self, _listing: Listing) -> ListPage:
        return ListPage((), None)

    def admit_body(self, _namespace: str, _size: int | None) -> AbstractContextManager[None]:
        return nullcontext()


class OneCaller:
    """Lets everybody in, to one store."""

    grant = Grant("anyone", Permission.ADMIN)

    def __init__(self, store: DictStore) -> None:
        self.keyvalues = store

    def known(self, _credential: str) -> "OneCaller":
        return self


async def serve() -> None:
    failures = Failures(logs.get("bench"))
    callers, room = Callers(cast(Entrance, OneCaller(DictStore()))), BodyRoom()
    turns = LargeTurns()
    gateway = grpc_server(failures, Arrivals(callers, room, turns))
    service = KvService(callers, SystemClock(), failures, room, turns, CallMemory(lambda: False))
    kv_pb2_grpc.add_KVServicer_to_server(service, gateway)
    bare = grpc.aio.server()
    add_echo(bare)
    ports = [server.add_insecure_port("127.0.0.1:0") for server in (gateway, bare)]
    await gateway.start()
    await bare.start()
    print(*ports, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await gateway.stop(0)
    await bare.stop(0)


def show(report: Report, what: str, callers: int, rates: Sequence[Rate]) -> Rate:
    """Reports the medians of the rounds, and returns them."""
    median = Rate(
        *(statistics.median(getattr(rate, field.name) for rate in rates) for field in fields(Rate))
    )
    report.line(
        f"{what:<12} {callers:>7} {median.per_s:>10,.0f}"
        f" {median.p50_ms:>8.2f} {median.p99_ms:>8.2f} {median.cpu_us:>13.0f}"
    )
    return median


async def compare(report: Report, gateway_port: int, echo_port: int) -> None:
    keys = [f"key-{number}" for number in range(KEYS)]
    async with (
        Client(f"127.0.0.1:{gateway_port}", NAMESPACE) as kv,
        grpc.aio.insecure_channel(f"127.0.0.1:{echo_port}") as channel,
    ):
        await kv.put_many(dict.fromkeys(keys, VALUE))
        unary = echo_of(channel)
        calls: dict[str, Callable[[int], Awaitable[object]]] = {
            "unary echo": lambda _: unary(VALUE),
            "Client.get": lambda number: kv.get(keys[number % KEYS]),
            "Client.put": lambda number: kv.put(keys[number % KEYS], VALUE),
        }
        report.line(
            f"{'':<12} {'callers':>7} {'per second':>10}"
            f" {'p50 ms':>8} {'p99 ms':>8} {'client CPU us':>13}"
        )
        compared: dict[str, Rate] = {}
        for callers in CALLERS:
            rates: dict[str, list[Rate]] = {what: [] for what in calls}
            for _ in range(ROUNDS):
                for what, call in calls.items():
                    rates[what].append(await measured(call, callers, ROUND_S))
            shown = {what: show(report, what, callers, rates[what]) for what in calls}
            if callers == COMPARED_CALLERS:
                compared = shown
    echo = compared.pop("unary echo")
    for what, rate in compared.items():
        report.line(
            f"{what} at {COMPARED_CALLERS} callers: {rate.per_s / echo.per_s:.1f} x the calls of"
            f" unary echo a second, {echo.cpu_us / rate.cpu_us:.1f} x those in the same CPU time"
        )


def main() -> None:
    if sys.argv[1:] == ["serve"]:
        uvloop.run(serve())
        return
    first, *_, last = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {last})
    command = [sys.executable, "-m", "bench.client_rate", "serve"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {first}),
    ) as server:
        assert server.stdout is not None
        gateway_port, echo_port = map(int, server.stdout.readline().split())
        with Report("client_rate") as report:
            report.line(f"{len(VALUE)}-byte values, median of {ROUNDS} rounds of {ROUND_S} s")
            report.line()
            uvloop.run(compare(report, gateway_port, echo_port))
        server.communicate("")


if __name__ == "__main__":
    main()
