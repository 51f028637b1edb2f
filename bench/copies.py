"""What large bodies cost in memory at each door: the worker's peak, in copies of each.

    python -m bench.copies

Each is the first call of a worker; those that read may use again what writing the value has left in
its heap. Held meanwhile, and counted: envelopes, until the slower home has them.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
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

_REST = b"/client/v4/accounts/default/storage/kv/namespaces/"
_FORM = b"multipart/form-data; boundary=cut"
_JSON = b"application/json"
_SETTLED_S = 1.0


class Door:
    """Requests of one namespace, over HTTP."""

    def __init__(self, deployment: Deployment, namespace: str) -> None:
        self._port = http_port(deployment)
        self._namespace = namespace.encode()

    def put(self, value: bytes) -> Awaitable[object]:
        """A put of the binding."""
        head = request_for(self._namespace.decode(), "raw", method="PUT")
        return self._asked(head + b"Content-Length: %d\r\n\r\n" % len(value), value)

    def rest(
        self, method: bytes, path: bytes, body: bytes, kind: bytes = _JSON
    ) -> Awaitable[object]:
        """A request of the REST API."""
        head = b"%b %b%b%b HTTP/1.1\r\nHost: kv\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
        asked = head % (method, _REST, self._namespace, path, kind, len(body))
        return self._asked(asked, body)

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


class Case(NamedTuple):
    """A call, after another one that makes what it needs."""

    name: str
    size: int
    call: Callable[[Door, Client], Awaitable[object]]
    before: Callable[[Door, Client], Awaitable[object]] | None = None


def _cases() -> Iterator[Case]:
    value = os.urandom(VALUE_BYTES_MAX)
    part = b'--cut\r\nContent-Disposition: form-data; name="value"\r\n\r\n'
    form = b"".join((part, value, b"\r\n--cut--\r\n"))
    many, few, read = _bulk(10_000, 9_800), _bulk(4, 24 * MIB), _bulk(100, 250 * KIB)
    wanted = json.dumps({"keys": [f"k{number}" for number in range(100)]}).encode()
    items = {f"m{number}": value[:MIB] for number in range(30)}
    yield Case("put", len(value), lambda door, _: door.put(value))
    yield Case("form", len(value), lambda door, _: door.rest(b"PUT", b"/values/f", form, _FORM))
    yield Case("bulk write of 10000", len(many), lambda door, _: door.rest(b"PUT", b"/bulk", many))
    yield Case("bulk write of 4", len(few), lambda door, _: door.rest(b"PUT", b"/bulk", few))
    yield Case(
        "bulk read of 100",
        100 * 250 * KIB,
        lambda door, _: door.rest(b"POST", b"/bulk/get", wanted),
        lambda door, _: door.rest(b"PUT", b"/bulk", read),
    )
    yield Case("Put", len(value), lambda _, kv: kv.put("x", value))
    yield Case("PutStream", len(value), lambda _, kv: kv.put_stream("x", value))
    stored: Callable[[Door, Client], Awaitable[object]] = lambda _, kv: kv.put_stream("x", value)  # noqa: E731
    yield Case("Get", len(value), lambda _, kv: kv.get("x"), stored)
    yield Case("GetStream", len(value), lambda _, kv: _streamed(kv), stored)
    yield Case("put_many of 30", 30 * MIB, lambda _, kv: kv.put_many(items))
    yield Case(
        "get_many of 30",
        30 * MIB,
        lambda _, kv: kv.get_many(items),
        lambda _, kv: kv.put_many(items),
    )


def _bulk(pairs: int, size: int) -> bytes:
    value = "v" * size
    return json.dumps([{"key": f"k{number}", "value": value} for number in range(pairs)]).encode()


async def _streamed(kv: Client) -> None:
    entry = await kv.get_stream("x")
    assert entry is not None
    async for _ in entry:
        pass


async def _seen(report: Report, case: Case) -> None:
    """One call to a fresh worker, whose heap holds nothing of others."""
    async with running() as deployment, deployment.client(TITLE) as kv:
        door = Door(deployment, (await kv.namespaces.get(TITLE)).id)
        await deployment.settled()
        if case.before is not None:
            await case.before(door, kv)
            await deployment.settled()
        (pid,) = deployment.workers()
        idle = idle_memory(pid)
        await case.call(door, kv)
        await asyncio.sleep(_SETTLED_S)
        copies = (peak_memory(pid) - idle) / case.size
        report.line(f"{case.name}: {case.size / MIB:.1f} MiB, {copies:.1f} copies")


async def run() -> None:
    with Report("copies") as report:
        for case in _cases():
            await _seen(report, case)


if __name__ == "__main__":
    uvloop.run(run())
