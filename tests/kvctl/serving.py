"""A gateway in memory behind a real gRPC server, and `kvctl` in this process or in its own."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Self

from click.testing import CliRunner, Result

from kvctl.asking import Surroundings
from kvctl.main import cli
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.record import Kind
from tandem.core.version import Version
from tandem.runtime.clock import SystemClock
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.rpc.running import Running

ARTICLES = ("--namespace", "articles")


class Gateway(Running):
    """Serves from a thread with a loop of its own, since a command runs a loop too."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.complete(self.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.complete(self.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def complete(self, work: Coroutine[None, None, None]) -> None:
        """Sees work through in the server's loop."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def kvctl(self, *arguments: str, stdin: bytes | None = None) -> Result:
        """Runs a command in this process."""
        return invoke(*arguments, stdin=stdin, environment=self.environment)

    def json(self, *arguments: str) -> Any:  # noqa: ANN401 - that is what JSON holds
        """Runs a command that must succeed; what its one line of JSON says."""
        result = self.kvctl(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    @contextmanager
    def process(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command as a process of its own, which ends with the block at the latest."""
        with subprocess.Popen(
            [sys.executable, "-m", "kvctl", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **self.environment},
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @property
    def environment(self) -> dict[str, str]:
        """Where the commands find this gateway."""
        return {"TANDEM_GRPC": self.address}

    def hold(self, name: str, value: bytes = b"v") -> None:
        """Has the gateway hold a value, without a command."""
        self.store.records[Key(NAMESPACE, name)] = seal(Version.at(1), value)

    def stored(self, name: str) -> bytes | None:
        """The value that the gateway holds."""
        record = self.store.records.get(Key(NAMESPACE, name))
        return record.value if record is not None and record.kind is Kind.VALUE else None

    def names(self) -> list[str]:
        """All names that the gateway holds."""
        return sorted(key.name for key in self.store.records)


def invoke(
    *arguments: str, stdin: bytes | None = None, environment: dict[str, str] | None = None
) -> Result:
    """Runs a command in this process; an exception that it does not expect fails the test."""
    return CliRunner().invoke(
        cli,
        arguments,
        input=stdin,
        obj=Surroundings(environment or {}, SystemClock()),
        catch_exceptions=False,
    )
