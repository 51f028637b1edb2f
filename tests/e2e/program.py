"""One program of a deployment as a process, and what can be done to processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.e2e.waiting import WITHIN_S, until

PROGRAMS = (os.environ.get("PROGRAMS_PYTHON", sys.executable), "-P", "-m")
"""What a program is started with: our own Python and sources, or those of `make compiled`."""


class NotReady(AssertionError):
    """A process that does not come up, or ends too early; the text has its last words."""


class Program:
    """One program of the deployment; it may be started again after it has ended."""

    def __init__(
        self, name: str, module: str, directory: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._module = module
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def start(self, *arguments: str, **environment: str) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                (*PROGRAMS, self._module, *arguments),
                env={**self._environment, **environment},
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Ends it as a crash would."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    async def ended(self, within_s: float = WITHIN_S) -> int:
        """Its exit status, when it ends by itself."""
        await until(lambda: self.status is not None, f"{self.name} ends", within_s)
        status = self.status
        assert status is not None
        return status

    async def stop(self, within_s: float = WITHIN_S) -> int:
        """Lets it finish its work."""
        self.signal(signal.SIGTERM)
        return await self.ended(within_s)

    def reap(self) -> None:
        """Takes note of its end, which is certain to come."""
        if self._process is not None:
            self._process.wait()

    def words(self) -> str:
        """All that it has said."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    async def says(self, text: str, within_s: float = WITHIN_S) -> None:
        await until(lambda: text in self.words(), f"{self.name} says {text}", within_s)


def stop_process(pid: int) -> None:
    """Stops a process in its tracks, as a machine without time for it would."""
    os.kill(pid, signal.SIGSTOP)


def continue_process(pid: int) -> None:
    os.kill(pid, signal.SIGCONT)


def kill_process(pid: int) -> None:
    """Ends a process as a crash would."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def all_pids() -> Sequence[int]:
    return sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def environment_of(pid: int) -> bytes:
    """Empty for a process that is not there any more, or only as a zombie."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
