"""The two runtimes that run worker.mjs: workerd with Tandem behind it, Miniflare by itself."""

import http.client
import json
from pathlib import Path
from typing import Any

from tests.e2e.deployment import Deployment
from tests.servers import npm
from tests.servers.daemon import Daemon, free_port

HERE = Path(__file__).parent
WORKER = HERE / "worker.mjs"
SCRIPT_TIMEOUT_S = 50.0


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


async def workerd(directory: Path, tandem: Deployment, namespace: str) -> Runtime:
    """workerd as `kvctl workers` configures it, with a namespace of Tandem as KV."""
    port = free_port()
    status, configuration = await tandem.kvctl(
        "workers", f"{namespace}=KV", "--script", WORKER.name, "--listen", f"127.0.0.1:{port}"
    )
    assert status == 0, configuration
    (directory / WORKER.name).write_bytes(WORKER.read_bytes())
    evaluates = '        bindings = [\n          ( name = "EVAL", unsafeEval = void ),'
    (directory / "workerd.capnp").write_text(
        configuration.replace("        bindings = [", evaluates)
    )
    command = (npm.WORKERD, "serve", "--experimental", directory / "workerd.capnp")
    return Runtime(port, Daemon(command, directory / "workerd.log"))


async def adapted(directory: Path, tandem: Deployment, namespace: str) -> Runtime:
    """Miniflare with the adapter of `kvctl workers` before a namespace of Tandem."""
    status, output = await tandem.kvctl("workers", f"{namespace}=KV", "--adapter", str(directory))
    assert status == 0, output
    port = free_port()
    command = (npm.NODE, HERE / "miniflare.mjs", npm.MODULES, WORKER, str(port), directory)
    return Runtime(port, Daemon(command, directory / "miniflare.log"))
