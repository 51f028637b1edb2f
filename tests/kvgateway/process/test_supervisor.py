"""The supervisor over real processes: who is killed, who is replaced, when, and after what."""

import asyncio
import signal
from itertools import pairwise
from pathlib import Path

import pytest

from kvgateway.process.lives import Lives, LivesSeen
from tandem.core.backoff import delay_s
from tests.kvgateway.supervised import (
    BEATS,
    BEATS_RARELY,
    DIES,
    DRAINS,
    FALLS_SILENT,
    IGNORES,
    LETS_GO,
    NEVER_BEATS,
    STARTS_SLOWLY,
    Supervised,
    gone,
    supervising,
)


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("silent", [FALLS_SILENT, LETS_GO])
async def test_a_silent_worker_is_killed_and_replaced_and_no_other(
    tmp_path: Path, silent: str
) -> None:
    crew = Supervised(tmp_path, {0: [silent, BEATS], 1: [BEATS]}, silence_max_s=3.0)
    async with supervising(crew):
        await crew.until(lambda: len(crew.pids()) == 2)
        victim, other = crew.pids()[0], crew.pids()[1]
        await crew.until(lambda: crew.counters.started == 3)
        assert gone(victim)
        assert crew.pids()[1] == other
        counters = crew.counters
        assert (counters.silent, counters.died, counters.not_started) == (1, 1, 0)


async def test_what_became_of_each_worker_is_told(tmp_path: Path) -> None:
    lives = {0: [FALLS_SILENT, BEATS], 1: [BEATS], 2: [DIES, DIES, BEATS]}
    crew = Supervised(tmp_path, lives, silence_max_s=8.0)
    async with supervising(crew):
        await crew.until(lambda: crew.counters.started == 6)
        seen = [LivesSeen(crew.lives, slot) for slot in range(4)]
        for each in seen:
            each.look()
        assert [each.restarts() for each in seen] == [3] * 4
        assert [each.own() for each in seen] == [
            Lives(started=2, silent=1, died=1),
            Lives(started=1),
            Lives(started=3, died=2),
            Lives(),
        ]


async def test_a_worker_that_was_stopped_is_killed(tmp_path: Path) -> None:
    crew = Supervised(tmp_path, {0: [DRAINS, BEATS]}, silence_max_s=2.0)
    async with supervising(crew):
        await crew.until(lambda: crew.has("up"))
        crew.signal(0, signal.SIGSTOP)
        await crew.until(lambda: crew.counters.started == 2)
        assert crew.counters.silent == 1


async def test_a_worker_may_take_its_time_to_start(tmp_path: Path) -> None:
    crew = Supervised(tmp_path, {0: [STARTS_SLOWLY]}, silence_max_s=0.5)
    async with supervising(crew):
        await crew.until(lambda: crew.has("up"))
        assert crew.counters.silent == 0


async def test_a_worker_that_never_comes_up_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvgateway.process.life.STARTING_S", 0.5)
    crew = Supervised(tmp_path, {0: [NEVER_BEATS, BEATS]}, silence_max_s=1.0)
    async with supervising(crew):
        await crew.until(lambda: crew.counters.started == 2)
        assert crew.counters.silent == 1


async def test_nobody_is_silent_while_the_machine_stood_still(tmp_path: Path) -> None:
    """As when a virtual machine is paused, or the supervisor itself was stopped: its clock has gone
    on by more than the longest silence, and no worker had a chance to be heard."""
    crew = Supervised(tmp_path, {0: [BEATS_RARELY]}, silence_max_s=6.0)
    async with supervising(crew):
        for _ in range(2):
            await crew.until(lambda: crew.has("beat"))
            crew.forget("beat")
            await asyncio.sleep(0)  # what was written before the word is heard first
            crew.clock.ahead_us += 3_600_000_000
        await crew.until(lambda: crew.has("beat"))
        counters = crew.counters
        assert (counters.started, counters.silent) == (1, 0)


async def test_one_that_dies_again_and_again_is_replaced_ever_more_slowly(tmp_path: Path) -> None:
    crew = Supervised(tmp_path, {0: [DIES], 1: [BEATS]})
    async with supervising(crew):
        await crew.until(lambda: len(crew.started_us[0]) == 7)
        assert len(crew.started_us[1]) == 1
    starts = crew.started_us[0]
    for deaths, (before, after) in enumerate(pairwise(starts), start=1):
        least_s = delay_s(deaths, first_s=0.05, most_s=5.0, unit_random=0.5)
        assert after - before >= least_s * 1e6
    assert least_s > 0.8


async def test_intents_are_recovered_before_each_replacement(tmp_path: Path) -> None:
    crew = Supervised(tmp_path, {0: [DIES, DIES, BEATS]})
    async with supervising(crew):
        await crew.until(lambda: crew.counters.started == 3)
    start, recover = ("start", 0), ("recover", 0)
    assert crew.events == [start, recover, start, recover, start]


@pytest.mark.parametrize("error", [OSError("no space is left"), KeyError("a bug")])
async def test_no_worker_starts_before_the_intents_of_the_last_one_are_safe(
    tmp_path: Path, error: Exception
) -> None:
    crew = Supervised(tmp_path, {0: [DIES, BEATS], 1: [BEATS]})
    tries = 0

    async def recover(slot: int) -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise error
        crew.events.append(("recover", slot))

    crew.recover = recover
    async with supervising(crew):
        await crew.until(lambda: crew.counters.started == 3)
        assert crew.counters.not_started == 3
    assert [what for what, slot in crew.events if slot == 0] == ["start", "recover", "start"]


async def test_a_command_that_cannot_be_run_is_counted_and_ends_nothing(tmp_path: Path) -> None:
    crew = Supervised(tmp_path, {0: ["/no/such/program"] * 3 + [BEATS], 1: [BEATS]})
    async with supervising(crew):
        await crew.until(lambda: len(crew.pids()) == 2)
        counters = crew.counters
        assert (counters.started, counters.died, counters.not_started) == (2, 0, 3)


async def test_no_pipe_is_left_open_whatever_the_workers_do(tmp_path: Path) -> None:
    lives = [DIES, "/no/such/program", DIES, "/no/such/program", BEATS]
    crew = Supervised(tmp_path, {0: lives})
    before = _open_files()
    async with supervising(crew):
        await crew.until(lambda: crew.counters.started == 3)
    assert _open_files() <= before + 1  # of the loop's watch over children


async def test_a_stop_lets_every_worker_drain(tmp_path: Path) -> None:
    crew = Supervised(tmp_path, {0: [DRAINS], 1: [DRAINS]})
    async with supervising(crew):
        await crew.until(lambda: crew.has("up", 0) and crew.has("up", 1))
    assert crew.has("drained", 0)
    assert crew.has("drained", 1)
    assert crew.counters.died == 0


async def test_a_worker_that_does_not_drain_in_time_is_killed(tmp_path: Path) -> None:
    crew = Supervised(tmp_path, {0: [IGNORES]}, drain_s=0.0)
    async with supervising(crew):
        await crew.until(lambda: crew.has("up"))
        pid = crew.pids()[0]
    assert gone(pid)


async def test_a_stop_ends_a_pause_between_two_lives(tmp_path: Path) -> None:
    crew = Supervised(tmp_path, {0: [DIES]})
    async with supervising(crew):
        await crew.until(lambda: crew.counters.died == 6)
    assert crew.events.count(("start", 0)) == 6
