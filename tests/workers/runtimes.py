"""The two runtimes that run worker.mjs: workerd with Tandem behind it, Miniflare by itself."""

import asyncio
import http.client
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tandem import Client
from tandem.core.namespace import Namespace
from tests.e2e.deployment import Deployment
from tests.servers import npm
from tests.servers.daemon import Daemon
from tests.servers.ports import free_port

HERE = Path(__file__).parent
WORKER = HERE / "worker.mjs"
SCRIPT_TIMEOUT_S = 120.0
T = TypeVar("T")


@dataclass(frozen=True)
class Served:
    """A running Tandem with one namespace, and the tokens that open it or more."""

    deployment: Deployment
    namespace: Namespace
    admin: str
    write: str
    read: str

    @property
    def rest(self) -> str:
        """The base of the REST API."""
        return f"http://{self.deployment.http}/client/v4"

    def kvctl(self, *arguments: str) -> str:
        """What a command prints that must succeed."""
        status, output = asyncio.run(self.deployment.kvctl(*arguments))
        assert status == 0, output
        return output

    def asked(self, ask: Callable[[Client], Awaitable[T]]) -> T:
        """What the client library answers to the administrator."""
        return asyncio.run(as_admin(self.deployment, self.admin, ask))


async def as_admin(deployment: Deployment, token: str, ask: Callable[[Client], Awaitable[T]]) -> T:
    async with Client(deployment.grpc, token=token) as client:
        return await ask(client)


class Runtime:
    """A server that runs worker.mjs on a free port."""

    def __init__(self, port: int, daemon: Daemon) -> None:
        self._port = port
        self._daemon = daemon

    def start(self) -> None:
        self._daemon.start()
        self._daemon.wait_for_port(self._port)

    def stop(self) -> None:
        self._daemon.stop()

    def run(self, script: str) -> Any:  # noqa: ANN401 - that is what JSON holds
        """What a script returns; AssertionError when it throws."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=SCRIPT_TIMEOUT_S)
        try:
            connection.request("POST", "/", script.encode())
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert "result" in answer, answer
        return answer["result"]


def miniflare(directory: Path) -> Runtime:
    """Miniflare with a KV of its own, in memory."""
    port = free_port()
    command = (npm.NODE, HERE / "miniflare.mjs", npm.MODULES, WORKER, str(port))
    return Runtime(port, Daemon(command, directory / "miniflare.log"))


def workerd(directory: Path, tandem: Served) -> Runtime:
    """workerd as `kvctl workers` configures it, with a namespace of Tandem as KV."""
    port = free_port()
    configuration = tandem.kvctl(
        "workers", f"{tandem.namespace.title}=KV", "--worker-token", tandem.write,
        "--script", WORKER.name, "--listen", f"127.0.0.1:{port}",
    )  # fmt: skip
    (directory / WORKER.name).write_bytes(WORKER.read_bytes())
    bindings = "        bindings = ["
    evaluates = f'{bindings}\n          ( name = "EVAL", unsafeEval = void ),'
    path = directory / "workerd.capnp"
    path.write_text(configuration.replace(bindings, evaluates))
    command = (npm.WORKERD, "serve", "--experimental", path)
    return Runtime(port, Daemon(command, directory / "workerd.log"))


def adapted(directory: Path, tandem: Served) -> Runtime:
    """Miniflare with the adapter of `kvctl workers` before a namespace of Tandem."""
    tandem.kvctl(
        "workers", f"{tandem.namespace.title}=KV", "--worker-token", tandem.write,
        "--adapter", str(directory),
    )  # fmt: skip
    port = free_port()
    command = (npm.NODE, HERE / "miniflare.mjs", npm.MODULES, WORKER, str(port), directory)
    return Runtime(port, Daemon(command, directory / "miniflare.log"))
