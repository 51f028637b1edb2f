"""One way into a SQLite file, whose thread does as the test wants: who waits, and until when."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from tandem.backends.file.lane import Call, Lane, LaneBounds
from tandem.backends.sqlite_place import connected
from tandem.core.reply import Failed, Reason

ONE_BY_ONE = LaneBounds(waiting_max=100, group_max=1, waiting_bytes_max=100)


class Held:
    """Answers nothing before it may; keeps what was asked together."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.groups: list[list[int]] = []
        self.begun = threading.Event()
        self.may = threading.Event()

    def lane(self, bounds: LaneBounds) -> Lane[int, int, int]:
        connect = partial(connected, self._path, lambda _: None)
        return Lane(connect, self._run, Call[int, int].answer, bounds)

    def _run(self, _: sqlite3.Connection, asks: Sequence[int]) -> Sequence[int]:
        self.groups.append(list(asks))
        self.begun.set()
        assert self.may.wait(60)
        return asks


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    made = Held(tmp_path / "file")
    yield made
    made.may.set()


async def test_who_is_held_up_is_answered_at_its_own_deadline(held: Held) -> None:
    lane = held.lane(ONE_BY_ONE)
    answered: list[int] = []
    calls = [lane.ask(n, deadline_s) for n, deadline_s in enumerate((0.2, 50.0, 0.1, 0.3))]
    for call in calls:
        call.add_done_callback(lambda call: answered.append(calls.index(call)))
    assert await calls[3] == Failed(Reason.TIMEOUT)
    assert answered == [2, 0, 3]
    held.may.set()
    assert await calls[1] == 1
    assert held.groups == [[0], [1]], "nobody waited for the others any more"
    await lane.aclose()


@pytest.mark.parametrize(
    ("bounds", "size"),
    [
        (LaneBounds(waiting_max=3, group_max=1, waiting_bytes_max=100), 1),
        (LaneBounds(waiting_max=100, group_max=1, waiting_bytes_max=12), 4),
    ],
    ids=["calls", "bytes"],
)
async def test_more_than_may_wait_is_refused_until_there_is_room(
    held: Held, bounds: LaneBounds, size: int
) -> None:
    lane = held.lane(bounds)
    under_way = lane.ask(-1, 50.0, size)
    assert await asyncio.to_thread(held.begun.wait, 60)
    waiting = [lane.ask(n, 50.0, size) for n in range(3)]
    for _ in range(3):
        refused = await lane.ask(7, 50.0, size)
        assert isinstance(refused, Failed)
        assert refused.reason is Reason.OVERLOADED
    held.may.set()
    assert await asyncio.gather(under_way, *waiting) == [-1, 0, 1, 2]
    assert await asyncio.gather(*(lane.ask(n, 50.0, size) for n in range(3))) == [0, 1, 2]
    await lane.aclose()


@pytest.mark.parametrize(
    ("bounds", "groups"),
    [
        (LaneBounds(9, 3, 99, group_bytes_max=99), [[0, 1, 2], [3, 4, 5], [6]]),
        (LaneBounds(9, 9, 99, group_bytes_max=8), [[0, 1], [2, 3], [4, 5], [6]]),
        (LaneBounds(9, 9, 99, group_bytes_max=3), [[0], [1], [2], [3], [4], [5], [6]]),
    ],
    ids=["calls", "bytes", "one is more"],
)
async def test_what_waits_goes_together_up_to_a_bound(
    held: Held, bounds: LaneBounds, groups: list[list[int]]
) -> None:
    held.may.set()
    lane = held.lane(bounds)
    assert await asyncio.gather(*(lane.ask(n, 50.0, 4) for n in range(7))) == list(range(7))
    assert held.groups == groups
    await lane.aclose()


async def test_at_the_end_everybody_is_answered_and_the_thread_is_awaited(held: Held) -> None:
    before = set(threading.enumerate())
    lane = held.lane(ONE_BY_ONE)
    calls = [lane.ask(n, 50.0) for n in range(3)]
    assert await asyncio.to_thread(held.begun.wait, 60)
    closing = asyncio.create_task(lane.aclose())
    await asyncio.wait(calls)
    assert not closing.done()
    held.may.set()
    await closing
    for reply in await asyncio.gather(*calls, lane.ask(3, 50.0)):
        assert isinstance(reply, Failed)
        assert reply.reason is Reason.UNREACHABLE
    assert held.groups == [[0]]
    assert not any(thread.name == "object file" for thread in set(threading.enumerate()) - before)
