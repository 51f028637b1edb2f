"""Workers that are replaced while they run, for other settings: over real processes."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from kvgateway.process.life import Orders
from tandem.errors import ConfigurationError
from tests.kvgateway.supervised import (
    BEATS,
    DIES,
    SERVES,
    SERVES_WHEN_TOLD,
    Supervised,
    gone,
    supervising,
)

NEW = {"SETTINGS": "new"}


def _crew(directory: Path, lives: Mapping[int, Sequence[str]]) -> Supervised:
    return Supervised(directory, lives)


def _goes_by_new(pid: int) -> bool:
    return b"SETTINGS=new" in Path(f"/proc/{pid}/environ").read_bytes()


def _children() -> set[int]:
    """The processes that this one has started."""
    words = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return set(map(int, words))


async def _all_up(crew: Supervised) -> Mapping[int, int]:
    """The process ids of the first workers, all of which can be told to stop."""
    slots = range(crew.supervisor.slots)
    await crew.until(lambda: all(crew.has("up", slot) for slot in slots))
    return crew.pids()


async def _replace(crew: Supervised) -> None:
    orders = crew.supervisor.orders
    new = Orders(orders.command, {**orders.environment, **NEW})
    async with asyncio.timeout(60):
        await crew.supervisor.replace(new, crew.stop)


async def _refusal(crew: Supervised) -> str:
    with pytest.raises(ConfigurationError) as refused:
        await _replace(crew)
    [mistake] = refused.value.mistakes
    return mistake


async def test_one_after_the_other_and_each_drains_once_its_successor_serves(
    tmp_path: Path,
) -> None:
    crew = _crew(tmp_path, {0: [SERVES, SERVES], 1: [SERVES, SERVES]})
    async with supervising(crew):
        old = await _all_up(crew)
        await _replace(crew)
        assert [*crew.events[2:]] == [("start", 2), ("recover", 0), ("start", 3), ("recover", 1)]
        new = crew.pids()
        assert all(_goes_by_new(pid) for pid in new.values())
        assert all(gone(pid) for pid in old.values())
        assert crew.has("drained", 0)
        assert crew.has("drained", 1)
        counters = crew.counters
        assert (counters.started, counters.replaced, counters.died) == (4, 2, 0)


async def test_the_one_before_goes_on_until_then(tmp_path: Path) -> None:
    crew = _crew(tmp_path, {0: [SERVES, SERVES_WHEN_TOLD]})
    async with supervising(crew):
        old = await _all_up(crew)
        replacing = asyncio.create_task(_replace(crew))
        await crew.until(lambda: crew.has("waits"))
        assert crew.pids() == old
        assert not crew.has("drained")
        (tmp_path / "go").touch()
        await replacing
        assert crew.has("drained")
        assert crew.pids() != old


async def test_two_times_uses_the_first_seat_again(tmp_path: Path) -> None:
    crew = _crew(tmp_path, {0: [SERVES]})
    async with supervising(crew):
        await _all_up(crew)
        await _replace(crew)
        await _replace(crew)
        assert [seat for what, seat in crew.events if what == "start"] == [0, 1, 0]


@pytest.mark.parametrize(
    ("successor", "why"),
    [
        (DIES, "a worker with them ended with status 3"),
        (BEATS, "a worker with them does not serve in 0.5 s"),
        ("/no/such/program", "no worker can be started with them: [Errno 2]"),
    ],
)
async def test_one_that_does_not_come_to_serve_replaces_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, successor: str, why: str
) -> None:
    if successor == BEATS:
        monkeypatch.setattr("kvgateway.process.supervisor.READY_S", 0.5)
    crew = _crew(tmp_path, {0: [SERVES, successor]})
    async with supervising(crew):
        old = await _all_up(crew)
        assert (await _refusal(crew)).startswith(why)
        assert crew.pids() == old
        assert not crew.has("drained")
        counters = crew.counters
        assert (counters.replaced, counters.not_started, counters.died) == (0, 1, 0)


async def test_those_that_were_replaced_go_back_when_a_later_one_cannot_be(tmp_path: Path) -> None:
    crew = _crew(tmp_path, {0: [SERVES], 1: [SERVES, DIES]})
    async with supervising(crew):
        old = await _all_up(crew)
        await _refusal(crew)
        now = crew.pids()
        assert now[1] == old[1]
        assert now[0] != old[0]
        assert not _goes_by_new(now[0])
        assert [seat for what, seat in crew.events if what == "start"] == [0, 1, 2, 3, 0]


async def test_one_that_has_no_successor_on_the_way_back_is_restarted(tmp_path: Path) -> None:
    crew = _crew(tmp_path, {0: [SERVES, SERVES, DIES, SERVES], 1: [SERVES, DIES]})
    async with supervising(crew):
        await _all_up(crew)
        await _refusal(crew)
        await crew.until(lambda: len(crew.started_us[0]) == 4 and 0 in crew.pids())
        assert not _goes_by_new(crew.pids()[0])


async def test_one_that_dies_before_its_successor_serves_is_replaced_all_the_same(
    tmp_path: Path,
) -> None:
    crew = _crew(tmp_path, {0: [SERVES, SERVES_WHEN_TOLD, SERVES]})
    async with supervising(crew):
        await _all_up(crew)
        replacing = asyncio.create_task(_replace(crew))
        await crew.until(lambda: crew.has("waits"))
        crew.signal(0, signal.SIGKILL)
        await crew.until(lambda: len(crew.started_us[0]) == 3 and 0 in crew.pids())
        stopgap = crew.pids()[0]
        assert not _goes_by_new(stopgap)
        (tmp_path / "go").touch()
        await replacing
        assert _goes_by_new(crew.pids()[0])
        assert gone(stopgap)


async def test_a_successor_that_dies_later_is_restarted_with_its_orders(tmp_path: Path) -> None:
    crew = _crew(tmp_path, {0: [SERVES]})
    async with supervising(crew):
        await _all_up(crew)
        await _replace(crew)
        crew.signal(0, signal.SIGKILL)
        await crew.until(lambda: len(crew.started_us[0]) == 3 and 0 in crew.pids())
        assert _goes_by_new(crew.pids()[0])
        assert crew.events[-2:] == [("recover", 1), ("start", 1)]


async def test_a_stop_ends_it_and_leaves_nobody_behind(tmp_path: Path) -> None:
    crew, others = _crew(tmp_path, {0: [SERVES, SERVES_WHEN_TOLD]}), _children()
    async with supervising(crew):
        await _all_up(crew)
        refused = asyncio.create_task(_refusal(crew))
        await crew.until(lambda: crew.has("waits"))
        assert len(_children() - others) == 2
    assert await refused == "the gateway is being stopped"
    assert _children() <= others


async def test_after_a_stop_nobody_is_started(tmp_path: Path) -> None:
    crew = _crew(tmp_path, {0: [SERVES]})
    async with supervising(crew):
        await _all_up(crew)
    assert await _refusal(crew) == "the gateway is being stopped"
    assert crew.counters.started == 1


async def test_no_seat_is_taken_again_before_its_intents_are_safe(tmp_path: Path) -> None:
    crew = _crew(tmp_path, {0: [SERVES]})
    tries = 0

    async def recover(seat: int) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OSError("no space is left")
        crew.events.append(("recover", seat))

    crew.recover = recover
    async with supervising(crew):
        await _all_up(crew)
        await _replace(crew)
        await _replace(crew)
        start, recovered = ("start", 0), ("recover", 0)
        assert crew.events == [start, ("start", 1), recovered, start, ("recover", 1)]


async def test_two_replacements_take_turns(tmp_path: Path) -> None:
    crew = _crew(tmp_path, {0: [SERVES]})
    async with supervising(crew):
        await _all_up(crew)
        await asyncio.gather(_replace(crew), _replace(crew))
        assert crew.counters.replaced == 2
        assert len(crew.pids()) == 1
