"""What a process holds once it has let go of large blocks, beside small ones that stay."""

import subprocess
import sys

import pytest

from tandem.core.limits import MIB

_PROGRAM = """
import sys
from pathlib import Path
from tandem.runtime.large_memory import give_back_large_blocks

def own_bytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024

def filled():
    return bytearray(b"x") * (16 << 20)

if sys.argv[1] == "True":
    give_back_large_blocks()
before = own_bytes()
filled()
large, small = [], []
for _ in range(6):
    large.append(filled())
    small.append(bytearray(b"x") * (1 << 20))
del large
print(own_bytes() - before)
"""


@pytest.mark.parametrize("gives_back", [True, False])
def test_large_blocks_go_back_which_glibc_by_itself_keeps(gives_back: bool) -> None:
    command = (sys.executable, "-c", _PROGRAM, str(gives_back))
    shown = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    held = int(shown)
    assert held < 12 * MIB if gives_back else held > 60 * MIB
