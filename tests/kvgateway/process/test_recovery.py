"""No intent is forgotten, whatever dies or fails while those of dead workers are recovered."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from kvgateway.homes.trust import Trust
from kvgateway.process.preparation import (
    QUEUE_GROUP_MAX,
    Pin,
    note_damage,
    pin_queue,
    recover_intents,
)
from kvgateway.state.ports import Intent, RepairTask
from tandem.core.key import Key
from tandem.core.reply import Side
from tandem.core.version import Version
from tests.kvgateway.process.left_behind import INTENTS, LeftBehind
from tests.kvgateway.two_homes import NAMESPACE, Numbers
from tests.memory.machine import MemoryMachine
from tests.memory.queue import MemoryQueue
from tests.sim.loop import EPOCH_US, run

STUCK = Intent(Key(NAMESPACE, "stuck"), Version.at(EPOCH_US + 9))


def memory() -> MemoryMachine:
    return MemoryMachine(gateway_id=bytes(4), random=Numbers().token, clock_bound_us=2**51)


def pinning(machine: MemoryMachine) -> Pin:
    """Its `pin`, for one who awaits it."""

    async def pin(intents: Sequence[Intent]) -> None:
        machine.pin(intents)

    return pin


@dataclass
class UndroppableLeft(LeftBehind):
    """A journal on a disk that refuses."""

    async def drop(self) -> None:
        self.release()
        raise OSError("read-only file system")


class CountingQueue(MemoryQueue):
    """A queue that remembers how many tasks came at once."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[int] = []

    async def add(self, tasks: Sequence[RepairTask], due_us: int) -> None:
        self.groups.append(len(tasks))
        await super().add(tasks, due_us)


class RefusingQueue(MemoryQueue):
    """A queue whose disk is full."""

    async def add(self, tasks: object, due_us: int) -> None:
        raise OSError("no space is left")


def test_what_a_damaged_journal_held_both_homes_may_lack() -> None:
    async def recover() -> None:
        entered: list[Trust] = []

        async def enter(trust: Trust) -> None:
            entered.append(trust)

        lefts = [LeftBehind(), LeftBehind(damaged=True)]
        await note_damage(lefts[:1], enter, EPOCH_US)
        assert entered == []
        await note_damage(lefts, enter, EPOCH_US)
        assert [set(trust.behind(NAMESPACE)) for trust in entered] == [set(Side)]
        assert [left.fate for left in lefts] == ["held", "held"]

    run(recover())


def test_a_damaged_journal_is_left_alone_until_that_is_noted() -> None:
    async def recover() -> None:
        async def enter(trust: Trust) -> None:
            raise OSError("no space is left")

        lefts = [LeftBehind(), LeftBehind(damaged=True)]
        with pytest.raises(OSError, match="no space"):
            await note_damage(lefts, enter, EPOCH_US)
        assert [left.fate for left in lefts] == ["released", "released"]

    run(recover())


def test_intents_become_tasks_and_wanted_versions() -> None:
    async def recover() -> None:
        queue, machine, left = MemoryQueue(), memory(), LeftBehind()
        assert await recover_intents([left], queue, pinning(machine), EPOCH_US) == len(INTENTS)
        assert left.fate == "dropped"
        for intent, known in zip(
            INTENTS, machine.lookup([i.key for i in INTENTS], EPOCH_US), strict=True
        ):
            assert await queue.wanted(intent.key) == intent.version
            assert known is not None
            assert known.pinned

    run(recover())


def test_a_queue_that_refuses_leaves_intents_for_a_later_try() -> None:
    async def recover() -> None:
        lefts = [LeftBehind(), LeftBehind()]
        with pytest.raises(OSError, match="no space"):
            await recover_intents(lefts, RefusingQueue(), pinning(memory()), EPOCH_US)
        assert [left.fate for left in lefts] == ["released"] * 2

    run(recover())


def test_more_rows_than_may_be_pinned_are_asked_for() -> None:
    async def pin(rows_pinned: int) -> tuple[int, bool]:
        queue, machine = MemoryQueue(), memory()
        await queue.add([RepairTask(i.key, i.version, (Side.S3,)) for i in INTENTS], EPOCH_US)
        await pin_queue(queue, machine, rows_pinned)
        known = machine.lookup([i.key for i in INTENTS], EPOCH_US)
        return sum(one is not None for one in known), machine.spilled()

    assert [run(pin(most)) for most in (4, 5, 6)] == [(4, True), (5, False), (5, False)]


def test_intents_of_many_dead_workers_are_recovered_in_bounded_groups() -> None:
    async def recover() -> None:
        queue, machine = CountingQueue(), memory()
        many = [
            Intent(Key(NAMESPACE, f"{number:05}"), Version.at(EPOCH_US + number))
            for number in range(2 * QUEUE_GROUP_MAX + 1)
        ]
        lefts = [LeftBehind(many), LeftBehind(), LeftBehind([])]
        recovered = await recover_intents(lefts, queue, pinning(machine), EPOCH_US)
        assert recovered == len(many) + len(INTENTS)
        assert queue.groups == [QUEUE_GROUP_MAX, QUEUE_GROUP_MAX, 1, len(INTENTS)]
        assert [left.fate for left in lefts] == ["dropped"] * 3
        assert (await queue.stats()).depth == len(many) + len(INTENTS)

    run(recover())


@pytest.mark.parametrize("fails", ["pin", "drop"])
def test_what_fails_in_the_middle_leaves_the_rest_for_a_later_try(fails: str) -> None:
    async def recover() -> None:
        queue, machine = MemoryQueue(), memory()
        await queue.add([RepairTask(i.key, i.version, (Side.S3,)) for i in INTENTS], EPOCH_US)
        await queue.take(10, EPOCH_US, 60_000_000)
        stuck = UndroppableLeft() if fails == "drop" else LeftBehind([STUCK])
        lefts = [LeftBehind(), stuck, LeftBehind()]

        async def pin(intents: Sequence[Intent]) -> None:
            if STUCK in intents:
                raise KeyError("a bug")
            machine.pin(intents)

        with pytest.raises((KeyError, OSError)):
            await recover_intents(lefts, queue, pin, EPOCH_US)
        assert [left.fate for left in lefts] == ["dropped", "released", "released"]
        again = [LeftBehind(left.intents) for left in lefts[1:]]
        assert await recover_intents(again, queue, pinning(machine), EPOCH_US) > 0
        for left in (*lefts, *again):
            for intent in left.intents:
                assert await queue.wanted(intent.key) >= intent.version

    run(recover())


def test_intents_that_find_no_room_mark_their_namespaces_as_of_now() -> None:
    """What other rows of the queue were about may have happened long after the intents."""

    async def recover() -> None:
        queue, now_us = MemoryQueue(rows_max=len(INTENTS)), EPOCH_US + 3_600_000_000
        late = RepairTask(Key(NAMESPACE, "late"), Version.at(now_us - 1_000_000), (Side.S3,))
        await queue.add([late], now_us - 1_000_000)
        await recover_intents([LeftBehind()], queue, pinning(memory()), now_us)
        for mark in await queue.dirty():
            await queue.clear_dirty(mark.side, mark.namespace, now_us - 2_000_000)
        assert {mark.side for mark in await queue.dirty()} == set(Side)

    run(recover())


def test_what_the_dead_had_taken_is_free_again() -> None:
    async def recover() -> None:
        queue = MemoryQueue()
        await queue.add([RepairTask(i.key, i.version, (Side.S3,)) for i in INTENTS], EPOCH_US)
        assert len(await queue.take(10, EPOCH_US, 60_000_000)) == len(INTENTS)
        assert await queue.take(10, EPOCH_US, 60_000_000) == []
        await recover_intents([], queue, pinning(memory()), EPOCH_US)
        assert len(await queue.take(10, EPOCH_US, 60_000_000)) == len(INTENTS)

    run(recover())
