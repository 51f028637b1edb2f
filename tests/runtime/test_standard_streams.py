"""A program that is started without some of the standard streams."""

import subprocess
import sys

import pytest

_WITHOUT = 'exec {closed} ; exec "$@"'
_TOLD = """
import os, sys
from tandem.runtime.standard_streams import fill_closed_streams
fill_closed_streams()
print("said"); print("told", file=sys.stderr)
try:
    sys.stdin.buffer.read()
except OSError as error:
    os._exit(error.errno + os.open(os.devnull, os.O_RDONLY))
"""
_EBADF = 9


@pytest.mark.parametrize("closed", ["<&-", "<&- >&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_nothing_else_gets_their_numbers(closed: str) -> None:
    command = ["sh", "-c", _WITHOUT.format(closed=closed), "sh", sys.executable, "-c", _TOLD]
    ended = subprocess.run(command, capture_output=True, check=False)
    assert ended.returncode == _EBADF + 3, ended.stderr


@pytest.mark.parametrize("program", ["kvgateway", "kvsp", "crawler", "kvctl"])
def test_every_program_says_what_it_is_asked_into_nothing(program: str) -> None:
    command = ["sh", "-c", _WITHOUT.format(closed=">&- 2>&-"), "sh", sys.executable, "-m", program]
    ended = subprocess.run([*command, "--help"], capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
