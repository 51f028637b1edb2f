"""What large bodies cost in memory at each door: the worker's peak, in copies of each.

    python -m bench.copies

It is counted from what the worker had before the first of them, so what the ones before have left
in its heap counts too. Held meanwhile, and counted: envelopes, until the slower home has them.
"""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

import uvloop

from bench.http_client import http_port, request_for
from bench.http_large import idle_memory, peak_memory
from bench.http_load import connected
from bench.report import Report
from bench.system import TITLE, running
from tandem import Client
from tandem.core.limits import KIB, MIB, VALUE_BYTES_MAX
from tests.e2e.deployment import Deployment

ROUNDS = 2
_REST = b"/client/v4/accounts/default/storage/kv/namespaces/"
_FORM = b"multipart/form-data; boundary=cut"
_JSON = b"application/json"
_SETTLED_S = 1.0


class Worker(NamedTuple):
    """The process that is looked at."""

    pid: int
    idle: int
    """Bytes of its own memory before the first body."""


class Door:
    """Requests of one namespace, over HTTP."""

    def __init__(self, deployment: Deployment, namespace: str) -> None:
        self._port = http_port(deployment)
        self._namespace = namespace.encode()

    def put(self, value: bytes) -> Callable[[], Awaitable[object]]:
        """A put of the binding."""
        head = request_for(self._namespace.decode(), "raw", method="PUT")
        return lambda: self._asked(head + b"Content-Length: %d\r\n\r\n" % len(value), value)

    def rest(
        self, method: bytes, path: bytes, body: bytes, kind: bytes = _JSON
    ) -> Callable[[], Awaitable[object]]:
        """A request of the REST API."""
        head = b"%b %b%b%b HTTP/1.1\r\nHost: kv\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
        asked = head % (method, _REST, self._namespace, path, kind, len(body))
        return lambda: self._asked(asked, body)

    async def _asked(self, head: bytes, body: bytes) -> None:
        await asyncio.to_thread(self._ask, head, body)

    def _ask(self, head: bytes, body: bytes) -> None:
        """The answer is received to its end, and not kept."""
        with connected(self._port) as connection:
            connection.sendall(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
            connection.sendall(body)
            buffer = bytearray(256 * KIB)
            received = connection.recv_into(buffer)
            assert buffer.startswith(b"HTTP/1.1 200 "), bytes(buffer[: min(received, 300)])
            while connection.recv_into(buffer):
                pass


async def _over_http(report: Report, worker: Worker, door: Door) -> None:
    value = os.urandom(VALUE_BYTES_MAX)
    part = b'--cut\r\nContent-Disposition: form-data; name="value"\r\n\r\n'
    form = b"".join((part, value, b"\r\n--cut--\r\n"))
    await _seen(report, worker, "put", len(value), door.put(value))
    await _seen(report, worker, "form", len(value), door.rest(b"PUT", b"/values/f", form, _FORM))
    for pairs, size in ((10_000, 9_800), (4, 24 * MIB)):
        body = _bulk(pairs, size)
        name = f"bulk write of {pairs}"
        await _seen(report, worker, name, len(body), door.rest(b"PUT", b"/bulk", body))
    await door.rest(b"PUT", b"/bulk", _bulk(100, 250 * KIB))()
    wanted = json.dumps({"keys": [f"k{number}" for number in range(100)]}).encode()
    read = door.rest(b"POST", b"/bulk/get", wanted)
    await _seen(report, worker, "bulk read of 100", 100 * 250 * KIB, read)


async def _over_grpc(report: Report, worker: Worker, kv: Client) -> None:
    value = os.urandom(VALUE_BYTES_MAX)
    await _seen(report, worker, "Put", len(value), lambda: kv.put("x", value))
    await _seen(report, worker, "PutStream", len(value), lambda: kv.put_stream("x", value))
    await _seen(report, worker, "Get", len(value), lambda: kv.get("x"))
    await _seen(report, worker, "GetStream", len(value), lambda: _streamed(kv))
    for count, size in ((30, MIB), (1000, 30 * KIB)):
        items = {f"m{number}": value[:size] for number in range(count)}
        total = count * size
        await _seen(report, worker, f"put_many of {count}", total, partial(kv.put_many, items))
        await _seen(report, worker, f"get_many of {count}", total, partial(kv.get_many, items))


def _bulk(pairs: int, size: int) -> bytes:
    value = "v" * size
    return json.dumps([{"key": f"k{number}", "value": value} for number in range(pairs)]).encode()


async def _streamed(kv: Client) -> None:
    entry = await kv.get_stream("x")
    assert entry is not None
    async for _ in entry:
        pass


async def _seen(
    report: Report, worker: Worker, name: str, size: int, call: Callable[[], Awaitable[object]]
) -> None:
    """Runs the call some times, and reports the greatest peak."""
    copies, fastest_s = 0.0, float("inf")
    for _ in range(ROUNDS):
        idle_memory(worker.pid)  # its peak starts from here
        start_s = time.perf_counter()
        await call()
        fastest_s = min(fastest_s, time.perf_counter() - start_s)
        await asyncio.sleep(_SETTLED_S)
        copies = max(copies, (peak_memory(worker.pid) - worker.idle) / size)
    speed = size / 1e6 / fastest_s
    report.line(f"{name}: {size / MIB:.1f} MiB, {copies:.1f} copies, {speed:.0f} MB/s at best")


async def run() -> None:
    with Report("copies") as report:
        async with running() as deployment, deployment.client(TITLE) as kv:
            namespace = (await kv.namespaces.get(TITLE)).id
            await deployment.settled()
            (pid,) = deployment.workers()
            worker = Worker(pid, idle_memory(pid))
            await _over_http(report, worker, Door(deployment, namespace))
            await _over_grpc(report, worker, kv)


if __name__ == "__main__":
    uvloop.run(run())
