"""Large blocks that a process lets go of: used again, and given back when it has grown."""

import asyncio
import ctypes
import subprocess
import sys

import pytest

from tandem.core.limits import MIB
from tandem.runtime.large_memory import give_back_idle_memory, keep_large_blocks

_PIECES = """
import resource, sys
from tandem.runtime.large_memory import keep_large_blocks

def pieces():
    held = [bytearray(256 << 10) for _ in range(4)]
    for piece in held:
        piece[:] = bytes(b"x") * len(piece)

if sys.argv[1] == "True":
    keep_large_blocks()
pieces()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    pieces()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

_GROWN = """
import asyncio
from pathlib import Path
from tandem.runtime.large_memory import give_back_idle_memory, keep_large_blocks

def own_bytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024

def grow(kept):
    large = []
    for _ in range(8):
        large.append(bytearray(b"x") * (16 << 20))
        kept.append(bytearray(b"x") * (1 << 20))  # so that what is free lies below what is not

async def main():
    keep_large_blocks()
    before, kept = own_bytes(), []
    giving = asyncio.create_task(give_back_idle_memory(0.01))
    await asyncio.sleep(0)
    grow(kept)
    print(own_bytes() - before)
    while own_bytes() - before > 40 << 20:
        await asyncio.sleep(0.01)
    assert not giving.done()
    print(own_bytes() - before)

asyncio.run(main())
"""

_NO_FILE_LEFT = """
import resource
from tandem.runtime.large_memory import holds_more_than

holds_more_than(0)
resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
print(int(holds_more_than(0)), int(holds_more_than(1 << 40)))
"""


def _shown(program: str, *arguments: str) -> list[int]:
    command = (sys.executable, "-c", program, *arguments)
    shown = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout
    return [int(line) for line in shown.split()]


@pytest.mark.parametrize("kept", [True, False])
def test_pieces_take_no_fresh_memory_which_glibc_by_itself_gets_for_each(kept: bool) -> None:
    (faults,) = _shown(_PIECES, str(kept))
    assert faults < 1_000 if kept else faults > 10_000


def test_a_process_that_has_grown_gives_back_what_is_free() -> None:
    grown, held = _shown(_GROWN)
    assert grown > 100 * MIB
    assert 8 * MIB <= held < 40 * MIB


def test_a_process_that_may_open_no_more_files_still_sees_what_it_holds() -> None:
    assert _shown(_NO_FILE_LEFT) == [1, 0]


async def test_without_glibc_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    keep_large_blocks()
    async with asyncio.timeout(60):
        await give_back_idle_memory()
