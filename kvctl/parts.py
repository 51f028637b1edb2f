"""One part of a running Tandem: its process, its log, its process id on disk, and its restarts."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from kvctl.log_file import last_words, make_room
from tandem.core.backoff import delay_s
from tandem.runtime.clock import Clock
from tandem.runtime.settings import MISTAKEN_STATUS

STABLE_US = 30_000_000
"""A part that ran this long starts with a clean record."""
LOG_LOOK_S = 10.0
"""How often it is looked whether a log is full."""


class PartFailed(Exception):
    """A part could not be started; the text says where to look."""

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused
        """Whether it refuses its configuration: another try would change nothing."""


@dataclass(frozen=True, slots=True)
class PartPlan:
    """How to start a part and how to tell that it serves."""

    name: str
    module: str
    ready: Callable[[], Awaitable[bool]]


class Part:
    """Keeps one program running until it is stopped."""

    def __init__(
        self,
        plan: PartPlan,
        *,
        data: Path,
        environment: Mapping[str, str],
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._pid_file = data / "run" / f"{plan.name}.pid"
        self.log_file = data / "logs" / f"{plan.name}.log"
        self._environment = environment
        self._clock = clock
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._log_began = 0
        """Where in the log the process that runs has begun to write."""
        self._spawning = asyncio.Lock()
        """Whoever stops the part sees the process that is just being started."""

    @property
    def name(self) -> str:
        """What the part is called."""
        return self._plan.name

    async def start(self, start_s: float) -> None:
        """Starts the part and returns when it serves; PartFailed when it does not."""
        process = await self._spawn()
        deadline_us = self._clock.monotonic_us() + int(start_s * 1e6)
        while not await self._plan.ready():
            if process.returncode is not None:
                raise PartFailed(
                    f"{self.name} stopped with status {process.returncode}:\n{self._last_words()}",
                    refused=process.returncode == MISTAKEN_STATUS,
                )
            if self._clock.monotonic_us() > deadline_us:
                raise PartFailed(
                    f"{self.name} is not ready after {start_s:g} s:\n{self._last_words()}"
                )
            await asyncio.sleep(0.05)

    async def keep(self) -> None:
        """Starts the part anew whenever it dies, ever more slowly; returns when it is stopped.

        PartFailed when its configuration is refused as soon as it has started.
        """
        deaths = 0
        while self._process is not None:
            began_us = self._clock.monotonic_us()
            status = await self._process.wait()
            if self._stopping:
                return
            lived_us = self._clock.monotonic_us() - began_us
            if status == MISTAKEN_STATUS and not deaths and lived_us < STABLE_US:
                raise PartFailed(f"{self.name} cannot start:\n{self._last_words()}", refused=True)
            deaths = 1 if lived_us >= STABLE_US else deaths + 1
            self._say(f"{self.name} died with status {status}; starting it again")
            await asyncio.sleep(_pause_s(deaths - 1))
            await self._start_again()

    async def tend_log(self) -> None:
        """Keeps the log within its bound, for ever; run it in a task."""
        while True:
            try:
                await asyncio.to_thread(make_room, self.log_file)
            except OSError as error:
                self._say(f"{self.log_file} is full and cannot be begun anew: {error}")
            await asyncio.sleep(LOG_LOOK_S)

    async def stop(self, stop_s: float) -> None:
        """Lets the part finish its work; kills it when it takes too long."""
        self._stopping = True
        async with self._spawning:
            process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), stop_s)
        except TimeoutError:
            self._say(f"{self.name} does not stop; killing it")
            process.kill()
            await process.wait()
        self._pid_file.unlink(missing_ok=True)

    def reload(self) -> None:
        """Has the part read its settings again; one that does not run reads them at its start."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGHUP)

    async def _start_again(self) -> None:
        """The other parts go on while this one cannot be started, as on a full disk."""
        failures = 0
        while True:
            async with self._spawning:
                if self._stopping:
                    return
                try:
                    await self._spawn()
                except OSError as error:
                    failures += 1
                    self._say(f"{self.name} could not be started: {error}; trying again")
                else:
                    return
            await asyncio.sleep(_pause_s(failures))

    async def _spawn(self) -> asyncio.subprocess.Process:
        for folder in (self._pid_file.parent, self.log_file.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._log_began = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", self._plan.module,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(self._environment), start_new_session=True,
            )  # fmt: skip
        try:
            self._pid_file.write_text(f"{self._process.pid}\n")
        except OSError as error:
            self._say(f"{self.name} runs, but its process id could not be written: {error}")
        return self._process

    def _last_words(self) -> str:
        said = last_words(self.log_file, self._log_began)
        words = said or [f"nothing of this run is in {self.log_file}: is its disk full?"]
        return "\n".join(f"  {line}" for line in words)


def _pause_s(failures: int) -> float:
    return delay_s(failures, first_s=0.1, most_s=10.0, unit_random=0.5) if failures else 0.0


def left_running(data: Path) -> list[tuple[str, int]]:
    """Names and process ids of the parts below `data` that run though nobody keeps them."""
    found = []
    for path in sorted((data / "run").glob("*.pid")):
        text = path.read_text().strip()
        if text.isdigit() and _runs(path.stem, _command(int(text))):
            found.append((path.stem, int(text)))
    return found


def _runs(part: str, command: bytes) -> bool:
    """Whether a command is that of a part; another process may have been given its number."""
    arguments = command.decode(errors="replace").split("\0")
    return any(flag == "-m" and module.endswith(part) for flag, module in pairwise(arguments))


def _command(pid: int) -> bytes:
    """Empty for a process that is not there any more, or only as a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
