"""CPU cost of one small S3 call by client: what `tandem/backends/s3` was chosen by.

    python -m bench.s3_clients          # every client that is installed
    pip install aiohttp obstore         # the optional ones (boto3 comes with Tandem)

A server that answers at once runs on the first core, the client on the last; each client and
operation is a process of its own, and the median of the rounds is shown.
"""

import argparse
import asyncio
import hashlib
import importlib.metadata
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
from typing import cast

import uvloop

from bench.s3_calls import BODY, CLIENTS, CONCURRENT, botocore_signed, own_signed, utc

COMMON = (
    b"HTTP/1.1 200 OK\r\nServer: none\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\n"
    b"Last-Modified: Mon, 23 Nov 2026 12:00:00 GMT\r\nAccept-Ranges: bytes\r\n"
    b'x-amz-request-id: tx0000\r\nETag: "0123456789abcdef0123456789abcdef"\r\nContent-Length: '
)
ANSWERS = {b"PUT": COMMON + b"0\r\n\r\n", b"GET": COMMON + b"300\r\n\r\n" + BODY}


class AnswerAtOnce(asyncio.Protocol):
    """Just enough of a server: it finds where a request ends and says the same each time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._buffer = b""
        self._left = 0

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._left:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end].lower()
            _, found, length = head.partition(b"content-length:")
            self._left = end + 4 + (int(length.split(b"\r\n")[0]) if found else 0)
            if b"100-continue" in head:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if len(self._buffer) >= self._left:
            self._transport.write(ANSWERS[self._buffer[:3]])
            self._buffer, self._left = b"", 0


def serve(core: int, port: "multiprocessing.Queue[int]") -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(AnswerAtOnce, "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    os.sched_setaffinity(0, {core})
    uvloop.run(main())


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def measure(client: str, operation: int, port: int, span_s: float) -> tuple[float, float]:
    """CPU microseconds a call and calls a second, after a warm-up of a third of the span."""
    loop = asyncio.get_running_loop()
    call = CLIENTS[client][1](port)[operation]
    done = 0

    async def caller(until_s: float) -> None:
        nonlocal done
        while loop.time() < until_s:
            await call()
            done += 1

    async def crowd(span_s: float) -> None:
        until_s = loop.time() + span_s
        await asyncio.gather(*(caller(until_s) for _ in range(CONCURRENT)))

    await crowd(span_s / 3)
    done, cpu_before_s, began_s = 0, cpu_s(), loop.time()
    await crowd(span_s)
    return (cpu_s() - cpu_before_s) / done * 1e6, done / (loop.time() - began_s)


def run_one(arguments: argparse.Namespace, core: int) -> None:
    os.sched_setaffinity(0, {core})
    figures = uvloop.run(
        measure(arguments.client, arguments.operation, arguments.port, arguments.span_s)
    )
    print(*figures)
    sys.stdout.flush()
    os._exit(0)  # a client's own threads and sockets are none of the measurement


def median_of(rounds: int, client: str, operation: int, port: int, span_s: float) -> list[float]:
    command = [sys.executable, "-m", "bench.s3_clients"]
    command += ["--client", client, "--operation", str(operation)]
    command += ["--port", str(port), "--span-s", str(span_s)]
    runs = [
        subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        for _ in range(rounds)
    ]
    return [statistics.median(float(run[column]) for run in runs) for column in (0, 1)]


def signing_us(calls: int = 20_000) -> list[float]:
    figures = []
    for signed in (own_signed(9000), botocore_signed(9000)):
        before_s = cpu_s()
        for _ in range(calls):
            signed("PUT", BODY)
        figures.append((cpu_s() - before_s) / calls * 1e6)
    return figures


def hash_ms() -> float:
    large = bytes(25 * 1024 * 1024)
    before_s = cpu_s()
    hashlib.sha256(large).hexdigest()
    return (cpu_s() - before_s) * 1e3


def report(arguments: argparse.Namespace, server_core: int) -> None:
    queue: multiprocessing.Queue[int] = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(server_core, queue), daemon=True)
    server.start()
    port = queue.get()
    print(f"$ python -m bench.s3_clients {' '.join(sys.argv[1:])}".rstrip())
    print(f"{utc():%Y-%m-%d}, Python {sys.version.split()[0]}, {os.cpu_count()} cores, ", end="")
    print(f"load {os.getloadavg()[0]:.1f}; {CONCURRENT} calls at once, {len(BODY)} bytes, ", end="")
    print(f"plain HTTP, median of {arguments.rounds}\n")
    print(f"{'client':34} {'CPU us/op PUT':>14} {'GET':>7} {'op/s PUT':>10} {'GET':>8}")
    for name, (title, _, package) in CLIENTS.items():
        try:
            version = importlib.metadata.version(package) if package else ""
        except importlib.metadata.PackageNotFoundError:
            print(f"{title:34} not installed")
            continue
        (put_us, put_s), (get_us, get_s) = (
            median_of(arguments.rounds, name, operation, port, arguments.span_s)
            for operation in (0, 1)
        )
        row = f"{title:34} {put_us:14.0f} {get_us:7.0f} {put_s:10.0f} {get_s:8.0f}  {version}"
        print(row.rstrip())
    ours_us, theirs_us = signing_us()
    print(f"\nsigning a PUT alone: own {ours_us:.0f} us, botocore {theirs_us:.0f} us")
    print(f"SHA-256 of a 25 MiB body: {hash_ms():.0f} ms")
    server.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--span-s", type=float, default=1.0)
    parser.add_argument("--client", choices=CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--operation", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if arguments.client:
        run_one(arguments, cores[-1])
    else:
        report(arguments, cores[0])


if __name__ == "__main__":
    main()
