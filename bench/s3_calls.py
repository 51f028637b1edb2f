"""The S3 clients that `bench.s3_clients` compares: how each puts and gets a small object."""

import asyncio
import datetime
import importlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import boto3
import botocore.auth
import botocore.config
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
