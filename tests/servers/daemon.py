"""One server process: started with a log file, waited for, and always reaped."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
_POLL_S = 0.02


class Daemon:
    """A command that runs until it is stopped; it may be started again."""

    def __init__(
        self, command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._command = command
        self._log = log
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for_port(self, port: int) -> None:
        """Return when `port` accepts connections; RuntimeError when the process ends instead."""
        give_up_at_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < give_up_at_s:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"{self._command[0]} ended: {self._last_words()}")
            time.sleep(_POLL_S)
        raise RuntimeError(f"{self._command[0]} is silent on port {port}: {self._last_words()}")

    def stop(self) -> None:
        """End it with SIGTERM, and with SIGKILL if that takes too long."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]
