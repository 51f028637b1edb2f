"""CPU cost of one small S3 call by client: what `tandem/backends/s3` was chosen by.

    python bench/s3_clients.py          # every client that is installed
    pip install aiohttp obstore         # the optional ones (boto3 comes with Tandem)

A server that answers at once runs on the first core, the client on the last; each client and
operation is a process of its own, and the median of the rounds is shown.
"""

import argparse
import asyncio
import datetime
import hashlib
import importlib
import importlib.metadata
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import boto3
import botocore.auth
import botocore.config
import uvloop
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from tandem.backends.s3.exchange import HttpRequest, Method
from tandem.backends.s3.sigv4 import Credentials, Signer, payload_hash, target
from tandem.backends.s3.transport import HttpTransport

CONCURRENT = 32
BODY = b"x" * 300
KEY = "p/n/C5I6ABJ0"
REGION = "us-east-1"
ACCESS, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

Call = Callable[[], Awaitable[object]]
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


def utc() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def own_signed(port: int) -> Callable[[Method, bytes], HttpRequest]:
    signer = Signer(host=f"127.0.0.1:{port}", region=REGION)
    credentials = Credentials(ACCESS, SECRET)

    def request(method: Method, body: bytes) -> HttpRequest:
        path = target(f"/bucket/{KEY}")
        headers = signer.sign(
            credentials,
            method,
            path,
            {"if-none-match": "*"} if body else {},
            payload_sha256=payload_hash(body, encrypted=False),
            signed_at_us=int(utc().timestamp() * 1_000_000),
        )
        return HttpRequest(method, path, headers, body)

    return request


def botocore_signed(port: int) -> Callable[[Method, bytes], HttpRequest]:
    signer = botocore.auth.S3SigV4Auth(BotoCredentials(ACCESS, SECRET), "s3", REGION)
    path = f"/bucket/{KEY}"

    def request(method: Method, body: bytes) -> HttpRequest:
        signed = AWSRequest(
            method,
            f"http://127.0.0.1:{port}{path}",
            headers={"if-none-match": "*"} if body else {},
            data=body,
        )
        signer.add_auth(signed)
        headers = {"host": f"127.0.0.1:{port}", **dict(signed.headers.items())}
        return HttpRequest(method, path, headers, body)

    return request


def over_own_transport(port: int, request: Callable[[Method, bytes], HttpRequest]) -> list[Call]:
    transport = HttpTransport("127.0.0.1", port)
    return [
        lambda: transport.request(request("PUT", BODY), deadline_s=30),
        lambda: transport.request(request("GET", b""), deadline_s=30),
    ]


def own(port: int) -> list[Call]:
    return over_own_transport(port, own_signed(port))


def botocore_own(port: int) -> list[Call]:
    return over_own_transport(port, botocore_signed(port))


def botocore_aiohttp(port: int) -> list[Call]:
    aiohttp = importlib.import_module("aiohttp")
    session = aiohttp.ClientSession()
    signed = botocore_signed(port)

    async def call(method: Method, body: bytes) -> None:
        request = signed(method, body)
        async with session.request(
            method, f"http://127.0.0.1:{port}{request.target}", headers=request.headers, data=body
        ) as reply:
            assert reply.status == 200
            await reply.read()

    return [lambda: call("PUT", BODY), lambda: call("GET", b"")]


def obstore(port: int) -> list[Call]:
    obs = importlib.import_module("obstore")
    store = importlib.import_module("obstore.store").S3Store(
        "bucket",
        endpoint=f"http://127.0.0.1:{port}",
        access_key_id=ACCESS,
        secret_access_key=SECRET,
        region=REGION,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )

    async def get() -> None:
        await (await obs.get_async(store, KEY)).bytes_async()

    return [
        lambda: obs.put_async(store, KEY, BODY, mode="create", use_multipart=False),
        get,
    ]


def boto3_threads(port: int) -> list[Call]:
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
        region_name=REGION,
        config=botocore.config.Config(
            max_pool_connections=CONCURRENT,
            retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required",
            s3={"addressing_style": "path"},
        ),
    )
    threads = ThreadPoolExecutor(CONCURRENT)
    loop = asyncio.get_running_loop()

    def put() -> None:
        client.put_object(Bucket="bucket", Key=KEY, Body=BODY, IfNoneMatch="*")

    def get() -> None:
        client.get_object(Bucket="bucket", Key=KEY)["Body"].read()

    return [
        lambda: loop.run_in_executor(threads, put),
        lambda: loop.run_in_executor(threads, get),
    ]


CLIENTS: dict[str, tuple[str, Callable[[int], list[Call]], str | None]] = {
    "own": ("own SigV4 + own transport", own, None),
    "botocore-own": ("botocore signer + own transport", botocore_own, None),
    "botocore-aiohttp": ("botocore signer + aiohttp", botocore_aiohttp, "aiohttp"),
    "obstore": ("obstore, static credentials", obstore, "obstore"),
    "boto3": ("boto3 in 32 threads", boto3_threads, "boto3"),
}


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
    command = [sys.executable, __file__, "--client", client, "--operation", str(operation)]
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
    print(f"$ PYTHONPATH=. python {' '.join(sys.argv)}")
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
