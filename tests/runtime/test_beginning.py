"""A program that is asked for a reload before it can take one: it is neither ended nor deaf."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.waiting import until

_HUP_BIT = 1 << (signal.SIGHUP - 1)
_TAKING = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
signal.raise_signal(signal.SIGHUP)
from tandem.runtime import logs, serve
from tandem.runtime.clock import SystemClock
async def main(process):
    await process.reload.wait()
    return 7
sys.exit(serve.run(main, logs.get("t"), logs.configure(SystemClock())))
"""


def _holds(pid: int) -> bool:
    """Whether a process has SIGHUP held back."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    blocked = next((line.split()[1] for line in lines if line.startswith("SigBlk")), "0")
    return bool(int(blocked, 16) & _HUP_BIT)


@pytest.mark.parametrize("program", ["kvgateway", "kvsp", "crawler", "kvctl up"])
async def test_it_does_not_end_a_program_that_is_being_loaded(program: str) -> None:
    command = [sys.executable, "-m", *program.split(), "--help"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        seen = False

        def held() -> bool:
            nonlocal seen
            seen = process.poll() is None and _holds(process.pid)
            return seen or process.poll() is not None

        await until(held, f"{program} holds it or ends")
        assert seen, "nothing is held"
        process.send_signal(signal.SIGHUP)
        assert process.wait() == 0


async def test_other_commands_end_with_their_terminal() -> None:
    code = "import sys; sys.argv = ['kvctl', 'key', 'put', 'up']; from kvctl import __main__ as m;"
    code += "import kvctl.main, signal; kvctl.main.main = lambda: 0; m.main();"
    code += "sys.exit(signal.SIGHUP in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_what_was_held_is_taken_once_it_can_be() -> None:
    assert subprocess.run([sys.executable, "-c", _TAKING], check=False).returncode == 7
