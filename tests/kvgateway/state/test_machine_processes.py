"""Shared memory under several real processes: one clock, nothing back, and deaths in the middle."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from kvgateway.process.left_intents import LeftIntents
from kvgateway.state.ports import Intent
from tandem.core.envelope import seal
from tandem.core.version import NO_VERSION, Version
from tests.kvgateway.process.left_behind import INTENTS, LeftBehind
from tests.kvgateway.state.machines import NOW
from tests.kvgateway.state.memory_processes import (
    KEYS,
    NAMESPACE,
    OPEN,
    memory_directory,
    opened,
    process,
)
from tests.memory.queue import MemoryQueue

WRITER = (
    OPEN
    + """
import random
rng = random.Random(int(sys.argv[2]))
seen, out = {}, []
print("ready", flush=True)
sys.stdin.readline()
for turn in range(int(sys.argv[3])):
    keys = rng.sample(KEYS, 8)
    now = NOW + turn
    for key, known in zip(keys, machine.lookup(keys, now)):
        version = known.version if known else NO_VERSION
        assert version >= seen.get(key, NO_VERSION), "an entry went back"
        if known and known.record:
            assert known.record.version == version
        seen[key] = version
    versions = machine.mint([(key, NO_VERSION) for key in keys], now)
    assert all(v > seen[k] for k, v in zip(keys, versions))
    machine.install([(k, seal(v, rng.randbytes(rng.choice([10, 300, 9000]))))
                     for k, v in zip(keys, versions)], now)
    for key, version in zip(keys, versions):
        seen[key] = max(seen[key], version)
        if rng.random() < 0.5:
            machine.unpin([(key, version)], now + rng.randrange(50))
    machine.fill([Seen(rng.choice(KEYS), seal(versions[0], b"x"), now)], now)
    machine.recent(KEYS[0].namespace, "", "", 10, now)
    out.extend(v.hex() for v in versions)
print("\\n".join(out))
"""
)

HOLDER = (
    OPEN
    + """
with machine._environment.begin(write=True) as txn:
    txn.put(b"torn", b"x" * 3000, db=machine._entries)
    txn.put(b"torn-too", b"x" * 30000, db=machine._entries)
    print("inside", flush=True)
    if sys.argv[2] == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        sys.stdin.readline()
"""
)


@pytest.fixture
def directory() -> Iterator[Path]:
    with memory_directory() as directory:
        yield directory


def test_versions_are_unique_and_rise_over_all_processes(directory: Path) -> None:
    turns = 400
    with (
        process(WRITER, directory, 1, turns) as a,
        process(WRITER, directory, 2, turns) as b,
        process(WRITER, directory, 3, turns) as c,
        process(WRITER, directory, 4, turns) as d,
    ):
        for each in (a, b, c, d):
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        said = [each.communicate()[0].split() for each in (a, b, c, d)]
    assert [each.returncode for each in (a, b, c, d)] == [0] * 4
    minted = [[Version(bytes.fromhex(text)) for text in lines] for lines in said]
    assert [len(each) for each in minted] == [turns * 8] * 4
    assert all(each == sorted(each) for each in minted)
    everything = [version for each in minted for version in each]
    assert len({version.hlc for version in everything}) == len(everything)
    machine = opened(directory)
    newest = max(known.version for known in machine.lookup(KEYS, NOW) if known is not None)
    assert newest == max(everything)
    machine.close()


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_process_that_dies_inside_a_write_blocks_nobody(directory: Path, how: str) -> None:
    machine = opened(directory)
    machine.install([(KEYS[0], seal(Version.at(NOW), b"before"))], NOW)
    for n in range(1, 4):
        with process(HOLDER, directory, how) as holder:
            if how == "stop":
                _, status = os.waitpid(holder.pid, os.WUNTRACED)
                assert os.WIFSTOPPED(status)
            with process(KILLER, holder.pid):
                (version,) = machine.mint([(KEYS[n], NO_VERSION)], NOW)
        machine.install([(KEYS[n], seal(version, b"after"))], NOW)
        assert [known is not None for known in machine.lookup(KEYS[: n + 2], NOW)] == [
            *[True] * (n + 1),
            False,
        ]
    names = [name for name, _ in machine.recent(NAMESPACE, "", "", 100, NOW)]
    assert names == [f"k{n}" for n in range(4)]
    machine.close()


KILLER = """
import os, signal, sys, time
print("ready", flush=True)
time.sleep(0.1)
os.kill(int(sys.argv[1]), signal.SIGKILL)
"""


async def test_who_recovers_can_kill_the_stopped_worker_that_it_waits_for(directory: Path) -> None:
    machine = opened(directory)
    queue, left, pins = MemoryQueue(), LeftBehind(), asyncio.Event()
    with process(HOLDER, directory, "stop") as holder:
        _, status = os.waitpid(holder.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)

        async def pin(intents: Sequence[Intent]) -> None:
            pins.set()
            await asyncio.to_thread(machine.pin, intents)

        recovering = asyncio.create_task(LeftIntents(queue, machine, pin).recover([left], 0))
        await pins.wait()
        await asyncio.sleep(0.05)
        assert not recovering.done()
        holder.kill()
        async with asyncio.timeout(60):
            await recovering
    knowns = machine.lookup([intent.key for intent in INTENTS], NOW)
    assert all(known is not None and known.pinned for known in knowns)
    assert left.fate == "dropped"
    machine.close()


def test_a_writer_killed_anywhere_leaves_a_memory_that_works(directory: Path) -> None:
    machine = opened(directory)
    for seed in range(4):
        with process(WRITER, directory, seed, 10**6) as writer:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
            time.sleep(0.02 + 0.05 * seed)
            os.kill(writer.pid, signal.SIGKILL)
            writer.wait()
        before = machine.last_minted_us()
        (version,) = machine.mint([(KEYS[0], NO_VERSION)], NOW)
        assert version.time_us >= before
        machine.install([(KEYS[0], seal(version, b"mine"))], NOW)
        for known in machine.lookup(KEYS, NOW):
            assert known is None or known.record is None or known.record.version == known.version
        assert ("k0", machine.lookup(KEYS[:1], NOW)[0]) in machine.recent(
            NAMESPACE, "", "", 100, NOW
        )
    machine.close()
