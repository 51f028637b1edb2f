"""Values of full size over HTTP, written and read one request at a time.

    python -m bench.http_large

Beside each figure stands what the machine does with the same bytes and none of our code: over
loopback, through MD5, and into a file that is synced.
"""

import asyncio
import hashlib
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import uvloop

from bench.http_client import http_port, request_for
from bench.http_load import connected, whole_answer
from bench.load import on_last_core
from bench.report import Report
from bench.system import TITLE, cpu_by_part, running
from tandem.core.limits import MIB
from tests.e2e.deployment import Deployment

LARGE_BYTES = 25 * MIB
ROUNDS = 8
TARGET = 300
COPIES_TARGET = 2

_SINK = f"""
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
buffer = bytearray({MIB})
while True:
    left = {LARGE_BYTES}
    while left:
        more = connection.recv_into(buffer, min(left, {MIB}))
        if not more:
            raise SystemExit
        left -= more
    connection.sendall(b"!")
"""


class Calls(NamedTuple):
    """What some calls, one after the other, took."""

    elapsed_s: Sequence[float]
    copies: float
    """The greatest growth of the worker's memory while one ran, in values."""
    cpu_s: Mapping[str, float]
    """Of each part, for one call."""


async def large(report: Report, deployment: Deployment) -> None:
    """A put and a get of 25 MiB, with what the machine can do at most."""
    async with deployment.client(TITLE) as kv:
        namespace = (await kv.namespaces.get(TITLE)).id
    report.line(f"25 MiB, median of {ROUNDS} (best); the machine alone, in the same run:")
    for name, elapsed in _machine().items():
        report.line(f"{name}: {_speeds(elapsed)}")
    for method in ("PUT", "GET"):
        await deployment.settled()
        head = request_for(namespace, "large", method=method)
        body = os.urandom(LARGE_BYTES) if method == "PUT" else b""
        length = b"Content-Length: %d\r\n" % LARGE_BYTES if body else b""
        call = _call(http_port(deployment), head + length + b"\r\n", body)
        await reported(report, method, deployment, call)


async def reported(
    report: Report, name: str, deployment: Deployment, call: Callable[[], Awaitable[None]]
) -> None:
    """Says what a call took that brings or takes one value of full size."""
    calls = await _watched(deployment, call)
    cpu = ", ".join(
        f"{part} {seconds / LARGE_BYTES * 1e9:.1f}" for part, seconds in calls.cpu_s.items()
    )
    report.line(
        f"{name}: {_speeds(calls.elapsed_s)}, target {TARGET}; the worker's peak"
        f" {calls.copies:.1f} copies above idle, target {COPIES_TARGET}; CPU s/GB: {cpu}"
    )


def _speeds(elapsed_s: Sequence[float]) -> str:
    median, best = statistics.median(elapsed_s), min(elapsed_s)
    return f"{LARGE_BYTES / 1e6 / median:.0f} MB/s ({LARGE_BYTES / 1e6 / best:.0f})"


def _call(port: int, head: bytes, body: bytes) -> Callable[[], Awaitable[None]]:
    connection = connected(port)
    buffer = bytearray(MIB)

    async def call() -> None:
        connection.sendall(head)
        connection.sendall(body)
        whole_answer(connection, buffer)

    return call


def _machine() -> Mapping[str, Sequence[float]]:
    body = os.urandom(LARGE_BYTES)
    file = Path(f"bench-large-{os.getpid()}")
    try:
        with _loopback(body) as through_loopback:
            return {
                "copied in memory": _timed(lambda: bytearray(body)),
                "over loopback": _timed(through_loopback),
                "MD5": _timed(lambda: hashlib.md5(body, usedforsecurity=False).digest()),
                "into a file, synced": _timed(lambda: _synced(file, body)),
            }
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def _loopback(body: bytes) -> Iterator[Callable[[], object]]:
    with subprocess.Popen([sys.executable, "-c", _SINK], stdout=subprocess.PIPE) as sink:
        assert sink.stdout is not None
        with socket.create_connection(("127.0.0.1", int(sink.stdout.readline()))) as connection:

            def call() -> object:
                connection.sendall(body)
                return connection.recv(1)

            yield call


def _synced(file: Path, body: bytes) -> None:
    with file.open("wb") as out:
        out.write(body)
        out.flush()
        os.fsync(out.fileno())
    file.unlink()


def _timed(call: Callable[[], object]) -> Sequence[float]:
    elapsed = []
    for _ in range(ROUNDS):
        start_s = time.perf_counter()
        call()
        elapsed.append(time.perf_counter() - start_s)
    return elapsed


async def _watched(deployment: Deployment, call: Callable[[], Awaitable[None]]) -> Calls:
    (pid,) = deployment.workers()
    elapsed, grown = [], []
    cpu = cpu_by_part(deployment)
    for _ in range(ROUNDS):
        idle = idle_memory(pid)
        start_s = time.perf_counter()
        await call()
        elapsed.append(time.perf_counter() - start_s)
        await asyncio.sleep(1.0)  # the slower leg runs on
        grown.append(peak_memory(pid) - idle)
    per_call = {part: seconds / ROUNDS for part, seconds in cpu().items()}
    return Calls(elapsed, max(grown) / LARGE_BYTES, per_call)


def idle_memory(pid: int) -> int:
    """A process's own memory in bytes; its peak starts from here."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _memory(pid)["RssAnon"]


def peak_memory(pid: int) -> int:
    """The most of its own memory that it has had since then."""
    now = _memory(pid)
    return now["VmHWM"] - now["RssFile"] - now["RssShmem"]


def _memory(pid: int) -> Mapping[str, int]:
    """The memory of a process, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = (line.split() for line in lines)
    return {words[0][:-1]: int(words[1]) * 1024 for words in fields if words[-1] == "kB"}


async def run() -> None:
    with Report("http_large") as report:
        async with running() as deployment:
            with on_last_core() as core:
                report.line(f"the client on core {core}, servers on any\n")
                await large(report, deployment)


if __name__ == "__main__":
    uvloop.run(run())
