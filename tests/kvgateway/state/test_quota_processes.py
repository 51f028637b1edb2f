"""One quota under several real processes: the rate holds for all together, and deaths cost nothing
that comes back."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kvgateway.access.meter import LEASES_PER_S, Meter
from kvgateway.state.quota_memory import QuotaMemory
from tandem.core.key import Key
from tandem.core.quota import operations_rate
from tests.kvgateway.access.quota_setup import SECOND_US, quota_directory
from tests.kvgateway.state.memory_processes import process

NAMESPACE = "ab" * 16
PROCESSES = 4
PER_S = 5000
TURNS = 2000

_OPEN = """
import os, signal, sys
from pathlib import Path
from kvgateway.access.meter import Meter
from kvgateway.state.quota_memory import QuotaMemory
from tandem.core.key import Key
from tests.kvgateway.state.test_quota_processes import *
memory = QuotaMemory(Path(sys.argv[1]), int(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
"""

TAKER = (
    _OPEN
    + """
meter = Meter(memory, b"n", operations_rate(PER_S))
print(sum(meter.take(3, SECOND_US + turn * 1000) for turn in range(TURNS)))
"""
)

WRITER = (
    _OPEN
    + """
for second in range(200):
    keys = [Key(NAMESPACE, f"k{n}") for n in range(10)]
    waits = memory.write_keys(keys, (10 + second) * SECOND_US)
    print(*[f"{second}-{key.name}" for key, wait in zip(keys, waits) if not wait])
"""
)

RECEIVER = _OPEN + 'print(*[memory.enter(b"a", 3) for _ in range(2)], flush=True)\n'
RECEIVER += "sys.stdin.readline()\n"

HOLDER = (
    _OPEN
    + """
with memory._environment.begin(write=True) as txn:
    txn.put(b"torn", b"x" * 3000, db=memory._buckets)
    print("inside", flush=True)
    sys.stdin.readline()
"""
)


def said(child: "subprocess.Popen[str]") -> str:
    """One more line of a process that is told to go on."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("go\n")
    child.stdin.flush()
    return child.stdout.readline()


@pytest.fixture
def directory() -> Iterator[Path]:
    with quota_directory() as directory:
        yield directory


def all_of(script: str, directory: Path) -> list[str]:
    """What processes say that run at the same time."""
    with ExitStack() as running:
        children = [
            running.enter_context(process(script, directory, slot)) for slot in range(PROCESSES)
        ]
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        output = [child.communicate()[0] for child in children]
        assert [child.returncode for child in children] == [0] * PROCESSES
    return output


def test_all_processes_together_get_what_one_would(directory: Path) -> None:
    """Each of them goes through the same seconds; what none of them has asked for is not lost."""
    total = sum(map(int, all_of(TAKER, directory)))
    seconds = TURNS / 1000
    leases = PROCESSES * PER_S // LEASES_PER_S
    assert total <= PER_S + PER_S * seconds + leases
    assert total >= PER_S * seconds - leases


def test_a_key_is_written_by_one_process_a_second(directory: Path) -> None:
    written = [line for text in all_of(WRITER, directory) for line in text.split()]
    assert len(written) == len(set(written))
    assert len({line for line in written if line.startswith("199-")}) == 10


def test_bodies_of_all_processes_count_together_and_die_with_them(directory: Path) -> None:
    with process(RECEIVER, directory, 0) as one:
        assert said(one) == "True True\n"
        with process(RECEIVER, directory, 1) as two:
            assert said(two) == "True False\n"
            one.kill()
            one.wait()
            with process(RECEIVER, directory, 0) as again:
                assert said(again) == "True True\n"
    memory = QuotaMemory(directory, 1)
    assert [memory.enter(b"a", 3) for _ in range(2)] == [True, False]
    memory.close()


def test_a_process_that_dies_inside_a_charge_blocks_nobody(directory: Path) -> None:
    memory = QuotaMemory(directory, 0)
    meter = Meter(memory, b"n", operations_rate(100))
    assert meter.take(5, SECOND_US) == 5
    with process(HOLDER, directory, 1) as holder:
        assert said(holder) == "inside\n"
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        assert meter.take(100, SECOND_US) == 95
    assert memory.write_keys([Key(NAMESPACE, "k")], SECOND_US) == [0]
    memory.close()
