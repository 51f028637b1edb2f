"""A whole Tandem of a test's own: its processes on free ports, waited for, and always ended."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kvgateway.settings import GatewaySettings
from kvgateway.state import shared_place
from tandem import Client
from tandem.backends.opening import Homes, open_homes
from tandem.core.operations import Status
from tandem.runtime.clock import SystemClock
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.rpc_channel import open_channel
from tandem.runtime.settings import load, read_sources
from tandem.runtime.tls import TlsFiles
from tests.e2e.pages import metrics
from tests.e2e.program import (
    PROGRAMS,
    NotReady,
    Program,
    all_pids,
    command_of,
    environment_of,
    kill_process,
)
from tests.e2e.waiting import POLL_S, WITHIN_S, rest, until, until_true
from tests.servers.ports import free_port

_PAGES_BETWEEN = 2
"""The first page may have been begun before."""
_MARK = "END_TO_END_TEST"
"""In the environment of every process of a deployment, so that each of them is found again."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket of an S3 server, and who may use it."""

    endpoint: str
    name: str
    access_key: str
    secret_key: str


class _Pages:
    """Whether every worker has begun and ended a page of numbers since this was made."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._written: dict[Path, set[int]] = {}

    def are_new(self) -> bool:
        try:
            now = {page: page.stat().st_mtime_ns for page in self._directory.glob("*.prom")}
        except FileNotFoundError:  # of a worker that was replaced
            return False
        for page, at_ns in now.items():
            self._written.setdefault(page, set()).add(at_ns)
        return bool(now) and all(len(self._written[page]) > _PAGES_BETWEEN for page in now)


class Deployment:
    """KVSP, gateway and crawler below one directory; with a bucket, or the embedded file."""

    def __init__(
        self,
        directory: Path,
        bucket: Bucket | None = None,
        workers: int = 1,
        **settings: str,
    ) -> None:
        self.tls = _tls_of(settings)
        self.directory = directory
        self.data = directory / "data"
        self.bucket = bucket
        directory.mkdir(parents=True, exist_ok=True)
        self.grpc, self.http, self.kvsp_address, self.crawler_address = (
            f"127.0.0.1:{free_port()}" for _ in range(4)
        )
        self.environment = {
            **_clean_environment(),
            _MARK: str(directory),
            "TANDEM_DATA": str(self.data),
            "TANDEM_GRPC": self.grpc,
            "TANDEM_HTTP": self.http,
            "TANDEM_KVSP": self.kvsp_address,
            "TANDEM_CRAWLER": self.crawler_address,
            "TANDEM_LOG_FORMAT": "json",
            "TANDEM_WORKERS": str(workers),
            "TANDEM_PAUSE": "1",
            "TANDEM_SHARED_MEMORY": "16MiB",
            "TANDEM_WORKER_SILENCE_MAX": "20s",  # nobody hangs here unless a test says so
            **_bucket_settings(bucket),
            **settings,
        }
        self.kvsp = self._program("kvsp", "kvsp")
        self.gateway = self._program("gateway", "kvgateway")
        self.crawler = self._program("crawler", "crawler")
        self.up = self._program("up", "kvctl")

    def _program(self, name: str, module: str) -> Program:
        return Program(name, module, self.directory, self.environment)

    async def start(self) -> None:
        """Starts KVSP and the gateway, and returns when both serve."""
        self.kvsp.start()
        self.gateway.start()
        await self.serving(self.kvsp, self.kvsp_address)
        await self.serving(self.gateway, self.grpc)

    async def start_up(self) -> None:
        """Starts everything as a user would."""
        self.up.start("up")
        await self.serving(self.up, self.grpc)
        await self.up.says("Tandem KV is up.")

    async def kill_gateway(self) -> None:
        """Ends it and its workers as a crash of their machine would."""
        workers = self.workers()
        self.gateway.kill()
        for worker in workers:
            kill_process(worker)
        await until(lambda: not self.workers(), f"the workers {workers} end")

    async def restart_kvsp(self) -> None:
        self.kvsp.start()
        await self.serving(self.kvsp, self.kvsp_address)

    async def restart_gateway(self) -> None:
        self.gateway.start()
        await self.serving(self.gateway, self.grpc)

    async def serving(self, program: Program, address: str) -> None:
        """Returns when the health service there says so; NotReady when the program ends instead."""
        began_s = time.monotonic()
        deadline_s = began_s + WITHIN_S
        while not await serves(address, self.tls):
            if program.status is not None:
                raise NotReady(f"{program.name} ended with {program.status}:\n{program.words()}")
            if time.monotonic() > deadline_s:
                raise NotReady(f"{program.name} does not serve {address}:\n{program.words()}")
            await rest(began_s)
            began_s = time.monotonic()

    def client(self, namespace: str | None = None, session_keys_max: int = 100_000) -> Client:
        return Client(self.grpc, namespace, tls=self.tls, session_keys_max=session_keys_max)

    async def status(self) -> Status:
        async with self.client() as client:
            return await client.ops.status()

    async def settled(self, within_s: float = WITHIN_S) -> None:
        """Returns when no worker has anything left to repair."""
        pages = _Pages(self.memory / "metrics")
        async with self.client() as client:

            async def settled() -> bool:
                status = await client.ops.status()
                calm = not status.journal_pending and not status.queue.depth
                return calm and (status.workers == 1 or await others_settled())

            async def others_settled() -> bool:
                # A status is of now, and of the worker that answers; a page may be a second old.
                if not pages.are_new():
                    return False
                samples = await metrics(self.http)
                waiting = ("tandem_journal_pending", "tandem_repairs_unqueued")
                found = [s.value for s in samples if s.name in waiting]
                # The SDK leaves out of a page what its wall clock, jumping, finds late.
                return bool(found) and not any(found)

            await self._told(settled, "queue and journal run empty", within_s)

    async def trusted(self, within_s: float = WITHIN_S) -> None:
        """Returns when a crawl has found that no home lacks anything."""
        async with self.client() as client:

            async def good() -> bool:
                homes = (await client.ops.status()).homes
                return all(home.breaker == "closed" and not home.behind for home in homes)

            await self._told(good, "no home is behind", within_s)

    async def _told(
        self, condition: Callable[[], Awaitable[bool]], what: str, within_s: float
    ) -> None:
        try:
            await until_true(condition, what, within_s)
        except AssertionError as error:
            raise AssertionError(f"{error}: {await self.status()}") from None

    @asynccontextmanager
    async def homes(self) -> AsyncIterator[Homes]:
        """Both homes, past every program."""
        sources = read_sources([], self.environment, "gateway")
        choice = load(GatewaySettings, "gateway", sources).settings.homes()
        with patch.dict(os.environ, self.environment):  # boto3 looks there for credentials
            homes = await open_homes(choice, SystemClock(), SystemEntropy())
            try:
                yield homes
            finally:
                await homes.aclose()

    async def kvctl(self, *arguments: str) -> tuple[int, str]:
        """Exit status and output of one command."""
        process = await asyncio.create_subprocess_exec(
            *PROGRAMS, "kvctl", *arguments, env=self.environment,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    def workers(self) -> list[int]:
        """Process ids of the gateway's workers, the oldest first."""
        return [pid for pid in self.pids() if b"kvgateway.process.worker" in command_of(pid)]

    def pids(self) -> list[int]:
        """Every living process of this deployment."""
        mark = f"{_MARK}={self.directory}".encode()
        return [pid for pid in all_pids() if mark in environment_of(pid).split(b"\0")]

    async def gone(self, within_s: float = WITHIN_S) -> None:
        """Returns when no process of this deployment is left."""
        await until(lambda: not self.pids(), "all processes end", within_s)

    def end(self) -> None:
        """Ends whatever still runs."""
        while pids := self.pids():
            for pid in pids:
                kill_process(pid)
            time.sleep(POLL_S)
        for program in (self.kvsp, self.gateway, self.crawler, self.up):
            program.reap()
        # A gateway that was killed leaves its memory to its next start, and here is none.
        shutil.rmtree(self.memory, ignore_errors=True)

    @property
    def memory(self) -> Path:
        """Where the gateway's memory lies."""
        return shared_place._in_memory(self.data / "gateway", Path("/dev/shm"))

    def last_words(self) -> str:
        """The end of every log, for a test that failed."""
        logs = sorted((*self.directory.glob("*.log"), *self.data.glob("logs/*.log")))
        return "\n".join(
            f"--- {log.name}\n{log.read_text(errors='replace')[-6000:]}" for log in logs
        )


STANDING: Final[list[Deployment]] = []
"""Those that run: a fixture does not see that its test failed, and the report asks them."""


@asynccontextmanager
async def deployed(
    directory: Path,
    bucket: Bucket | None = None,
    workers: int = 1,
    **settings: str,
) -> AsyncIterator[Deployment]:
    """A deployment that is ended whatever happens, and shows its logs if that is a failure."""
    deployment = Deployment(directory, bucket, workers, **settings)
    STANDING.append(deployment)
    try:
        yield deployment
    except BaseException as error:
        error.add_note(deployment.last_words())
        raise
    finally:
        STANDING.remove(deployment)
        deployment.end()
        shutil.rmtree(deployment.data, ignore_errors=True)


async def serves(address: str, tls: TlsFiles | None = None) -> bool:
    """Whether the standard health service there says SERVING."""
    async with open_channel(address, tls=tls) as channel:
        try:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            reply = await stub.Check(health_pb2.HealthCheckRequest(), timeout=2.0)
        except grpc.aio.AioRpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def _clean_environment() -> dict[str, str]:
    mine = ("TANDEM_", "AWS_", "OTEL_")
    return {name: text for name, text in os.environ.items() if not name.startswith(mine)}


def tls_settings(files: TlsFiles) -> dict[str, str]:
    """What makes every port demand a certificate of the authority that issued these."""
    return {
        "TANDEM_TLS_CA": files.ca,
        "TANDEM_TLS_CLIENT_CA": files.ca,
        "TANDEM_TLS_CERTIFICATE": files.certificate,
        "TANDEM_TLS_KEY": files.key,
    }


def _tls_of(settings: Mapping[str, str]) -> TlsFiles | None:
    if "TANDEM_TLS_CA" not in settings:
        return None
    return TlsFiles(
        settings["TANDEM_TLS_CA"], settings["TANDEM_TLS_CERTIFICATE"], settings["TANDEM_TLS_KEY"]
    )


def _bucket_settings(bucket: Bucket | None) -> dict[str, str]:
    if bucket is None:
        return {}
    return {
        "TANDEM_S3_BUCKET": bucket.name,
        "TANDEM_S3_ENDPOINT": bucket.endpoint,
        "TANDEM_S3_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": bucket.access_key,
        "AWS_SECRET_ACCESS_KEY": bucket.secret_key,
    }
