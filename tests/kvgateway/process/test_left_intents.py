"""No intent of a dead worker is forgotten, whatever refuses or dies while it is recovered."""

import asyncio
import errno
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from kvgateway.process.left_intents import QUEUE_GROUP_MAX, LeftIntents
from kvgateway.state.ports import Intent, RepairTask
from tandem.core.key import Key
from tandem.core.reply import Side
from tandem.core.version import Version
from tests.kvgateway.process.left_behind import INTENTS, LeftBehind, memory
from tests.kvgateway.two_homes import NAMESPACE
from tests.memory.machine import MemoryMachine
from tests.memory.queue import MemoryQueue
from tests.sim.loop import EPOCH_US, run

STUCK = Intent(Key(NAMESPACE, "stuck"), Version.at(EPOCH_US + 9))
OTHER = Intent(Key(NAMESPACE, "other"), Version.at(EPOCH_US + 11))


@dataclass
class UndroppableLeft(LeftBehind):
    """A journal on a disk that refuses."""

    async def drop(self) -> None:
        self.release()
        raise OSError("read-only file system")


class Queue(MemoryQueue):
    """A queue whose disk may be full, and that remembers how many tasks came at once."""

    def __init__(self, rows_max: int = 1000_000) -> None:
        super().__init__(rows_max)
        self.groups: list[int] = []
        self.is_full = False

    async def add(self, tasks: Sequence[RepairTask], due_us: int) -> None:
        await asyncio.sleep(0)
        self.refuse()
        self.groups.append(len(tasks))
        await super().add(tasks, due_us)

    async def free(self) -> None:
        await asyncio.sleep(0)
        self.refuse()
        await super().free()

    def refuse(self) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "no space is left")


@dataclass
class Machine:
    """What outlives a worker, and its supervisor's view of that."""

    queue: Queue = field(default_factory=Queue)
    memory: MemoryMachine = field(default_factory=memory)
    pins: int = 0
    stuck: Intent | None = None
    """Which intent a bug keeps from being pinned."""

    def __post_init__(self) -> None:
        self.left = LeftIntents(self.queue, self.memory, self._pin)

    async def _pin(self, intents: Sequence[Intent]) -> None:
        await asyncio.sleep(0)
        assert self.memory.left_over() >= len(intents), "others know before"
        if self.stuck in intents:
            raise KeyError("a bug")
        self.pins += len(intents)
        self.memory.pin(intents)

    async def recover(self, *leftovers: LeftBehind, now_us: int = EPOCH_US) -> None:
        await self.left.recover(leftovers, now_us)

    def is_wanted(self, intent: Intent) -> bool:
        """Whether no read on this machine answers with less."""
        known = self.memory.recall(intent.key, EPOCH_US)
        return known is not None and known.pinned and known.version >= intent.version

    async def is_queued(self, intent: Intent) -> bool:
        return await self.queue.wanted(intent.key) >= intent.version


def on_a_machine(test: Callable[[Machine], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def runs() -> None:
        async def live() -> None:
            await test(Machine())

        run(live())

    runs.__name__ = test.__name__
    runs.__doc__ = test.__doc__
    return runs


@on_a_machine
async def test_intents_become_wanted_versions_and_tasks(here: Machine) -> None:
    left = LeftBehind()
    await here.recover(left)
    assert left.fate == "dropped"
    assert here.left.settled
    assert here.memory.left_over() == 0
    for intent in INTENTS:
        assert here.is_wanted(intent)
        assert await here.is_queued(intent)


@on_a_machine
async def test_a_full_disk_keeps_nobody_from_serving_and_nothing_is_forgotten(
    here: Machine,
) -> None:
    here.queue.is_full = True
    left, later = LeftBehind(), LeftBehind([STUCK])
    await here.recover(left)
    assert all(map(here.is_wanted, INTENTS))
    assert (left.fate, here.left.settled) == ("held", False)
    assert here.memory.left_over() == len(INTENTS)
    await here.recover(later)
    assert here.is_wanted(STUCK)
    assert [left.fate, later.fate] == ["held", "held"]
    assert here.memory.left_over() == len(INTENTS) + 1
    here.queue.is_full = False
    await here.recover()
    assert [left.fate, later.fate] == ["dropped", "dropped"]
    assert (here.memory.left_over(), here.left.settled) == (0, True)
    for intent in (*INTENTS, STUCK):
        assert here.is_wanted(intent)
        assert await here.is_queued(intent)
    assert here.pins == len(INTENTS) + 1, "once, as memory has lost none"


@on_a_machine
async def test_what_memory_has_lost_meanwhile_is_pinned_again(here: Machine) -> None:
    here.queue.is_full = True
    await here.recover(LeftBehind())
    here.memory.note_spill()
    await here.recover()
    assert here.pins == 2 * len(INTENTS)
    await here.recover()
    assert here.pins == 2 * len(INTENTS)


def test_nobody_serves_where_neither_the_queue_nor_memory_takes_them() -> None:
    async def recover() -> None:
        here, left = Machine(memory=memory(bytes_max=1000)), LeftBehind()
        here.queue.is_full = True
        for _ in range(2):
            with pytest.raises(OSError, match="no space"):
                await here.recover(*([left] if here.left.settled else []))
            assert left.fate == "held"
        here.queue.is_full = False
        await here.recover()
        assert left.fate == "dropped"
        for intent in INTENTS:
            assert await here.is_queued(intent)
        assert here.memory.spilled(), "so that reads ask the queue"

    run(recover())


@on_a_machine
async def test_a_full_disk_keeps_no_journal_without_intents(here: Machine) -> None:
    here.queue.is_full = True
    lefts = [LeftBehind(), LeftBehind([])]
    await here.recover(*lefts)
    assert [left.fate for left in lefts] == ["held", "dropped"]


@on_a_machine
async def test_intents_of_many_dead_workers_are_recovered_in_bounded_groups(here: Machine) -> None:
    many = [
        Intent(Key(NAMESPACE, f"{number:05}"), Version.at(EPOCH_US + number))
        for number in range(2 * QUEUE_GROUP_MAX + 1)
    ]
    lefts = [LeftBehind(many), LeftBehind(), LeftBehind([])]
    await here.recover(*lefts)
    assert here.queue.groups == [len(INTENTS), QUEUE_GROUP_MAX, QUEUE_GROUP_MAX, 1]
    assert [left.fate for left in lefts] == ["dropped"] * 3
    assert (await here.queue.stats()).depth == len(many) + len(INTENTS)


@on_a_machine
async def test_a_journal_that_cannot_be_removed_is_found_again(here: Machine) -> None:
    """It is nobody's any more, so that it is found by whoever looks for journals."""
    stuck, other = UndroppableLeft([STUCK]), LeftBehind()
    await here.recover(stuck, other)
    assert (stuck.fate, other.fate, here.left.settled) == ("released", "held", False)
    again = LeftBehind([STUCK])
    await here.recover(again)
    assert [other.fate, again.fate] == ["dropped", "dropped"]
    assert here.left.settled
    for intent in (*INTENTS, STUCK):
        assert await here.is_queued(intent)


@on_a_machine
async def test_what_a_bug_keeps_from_being_pinned_is_pinned_before_anybody_serves(
    here: Machine,
) -> None:
    await here.recover()
    here.stuck = STUCK
    lefts = [LeftBehind(), LeftBehind([STUCK]), LeftBehind([OTHER])]
    with pytest.raises(KeyError):
        await here.recover(*lefts)
    assert [left.fate for left in lefts] == ["held"] * 3
    here.stuck = None
    here.queue.is_full = True
    await here.recover()
    assert all(map(here.is_wanted, (*INTENTS, STUCK, OTHER)))


@on_a_machine
async def test_intents_that_find_no_room_mark_their_namespaces_as_of_now(here: Machine) -> None:
    """What other rows of the queue were about may have happened long after the intents."""
    here = Machine(Queue(rows_max=len(INTENTS)))
    now_us = EPOCH_US + 3_600_000_000
    late = RepairTask(Key(NAMESPACE, "late"), Version.at(now_us - 1_000_000), (Side.S3,))
    await here.queue.add([late], now_us - 1_000_000)
    await here.recover(LeftBehind(), now_us=now_us)
    for mark in await here.queue.dirty():
        await here.queue.clear_dirty(mark.side, mark.namespace, now_us - 2_000_000)
    assert {mark.side for mark in await here.queue.dirty()} == set(Side)


@on_a_machine
async def test_what_the_dead_had_taken_is_free_again_once_the_disk_takes_that(
    here: Machine,
) -> None:
    queue = here.queue
    await queue.add([RepairTask(i.key, i.version, (Side.S3,)) for i in INTENTS], EPOCH_US)
    assert len(await queue.take(10, EPOCH_US, 60_000_000)) == len(INTENTS)
    queue.is_full = True
    await here.recover()
    assert await queue.take(10, EPOCH_US, 60_000_000) == []
    assert not here.left.settled
    queue.is_full = False
    await here.recover()
    assert len(await queue.take(10, EPOCH_US, 60_000_000)) == len(INTENTS)


@pytest.mark.parametrize("is_full", [False, True], ids=["room", "no room"])
def test_a_supervisor_that_dies_at_any_await_forgets_nothing(is_full: bool) -> None:
    """Memory dies with it, what it held of journals is free, and the next one finds them."""

    async def dies_after(turns: int) -> bool:
        """Whether it had ended by then."""
        here = Machine()
        here.queue.is_full = is_full
        lefts = [LeftBehind(), LeftBehind([STUCK])]
        recovering = asyncio.ensure_future(here.recover(*lefts))
        for _ in range(turns):
            await asyncio.sleep(0)
        ended = recovering.done()
        recovering.cancel()
        with suppress(asyncio.CancelledError):
            await recovering
        for left in lefts:
            if left.fate == "dropped":
                for intent in left.intents:
                    assert await here.is_queued(intent)
        queue = here.queue
        queue.is_full = False
        after = Machine(queue)
        await after.recover(*(LeftBehind(left.intents) for left in lefts if left.fate == "held"))
        for intent in (*INTENTS, STUCK):
            assert await after.is_queued(intent)
        return ended

    turns = 0
    while not run(dies_after(turns)):
        turns += 1
    assert turns > 3
