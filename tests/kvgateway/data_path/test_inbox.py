"""The inbox: nothing that a write brought is lost, whatever the queue does, and its bounds."""

import asyncio
from collections.abc import Sequence
from functools import partial

import pytest

from kvgateway.data_path.inbox import GROUP_MAX, RETRY_S, SETTLE_US, RepairInbox
from kvgateway.homes.home_time import HomeTime
from kvgateway.state.ports import RepairTask
from tandem.core.key import Key
from tandem.core.reply import Side
from tandem.core.version import NO_VERSION, Version
from tests.kvgateway.timed import in_virtual_time
from tests.kvgateway.two_homes import NAMESPACE
from tests.memory.queue import MemoryQueue
from tests.sim.loop import EPOCH_US, VirtualClock, current


class SlowQueue(MemoryQueue):
    """A queue whose every change takes a while, and may fail."""

    def __init__(self, takes_s: float = 0.01) -> None:
        super().__init__()
        self.failures: list[Exception] = []
        """Of the next changes, one each."""
        self.groups: list[int] = []
        self.added_at_s: list[float] = []
        self._takes_s = takes_s

    async def add(self, tasks: Sequence[RepairTask], due_us: int) -> None:
        await asyncio.sleep(self._takes_s)
        if self.failures:
            raise self.failures.pop(0)
        self.groups.append(len(tasks))
        self.added_at_s.append(current().time())
        await super().add(tasks, due_us)


class Inbox:
    """An inbox, its queue, and which tasks were said to be durable."""

    def __init__(self, tasks_max: int = 100_000, with_writes_max: int = 200_000) -> None:
        self.clock = VirtualClock(current())
        self.time = HomeTime(self.clock)
        self.queue = SlowQueue()
        self.inbox = RepairInbox(
            self.queue, self.time, tasks_max=tasks_max, with_writes_max=with_writes_max
        )
        self.durable: list[int] = []
        self.running = asyncio.create_task(self.inbox.run())

    def wrote(self, *numbers: int) -> None:
        """Tasks of writes."""
        for number in numbers:
            self.inbox.add(_task(number), partial(self.durable.append, number))

    async def queued(self) -> set[Key]:
        return {queued.task.key for queued in await self.queue.sample(10_000)}


def _task(number: int) -> RepairTask:
    key = Key(NAMESPACE, f"{number:05}")
    return RepairTask(key, Version.at(EPOCH_US + number), (Side.S3,))


def _keys(*numbers: int) -> set[Key]:
    return {_task(number).key for number in numbers}


@in_virtual_time
async def test_a_write_hears_once_its_task_is_in_the_queue() -> None:
    inbox = Inbox()
    inbox.wrote(1, 2)
    await asyncio.sleep(0.005)
    assert inbox.durable == []
    await inbox.inbox.drained()
    assert inbox.durable == [1, 2]
    assert await inbox.queued() == _keys(1, 2)


@in_virtual_time
async def test_what_comes_while_the_queue_is_busy_goes_in_one_group() -> None:
    inbox = Inbox()
    inbox.wrote(1)
    await asyncio.sleep(0.005)
    inbox.wrote(*range(2, 9))
    await inbox.inbox.drained()
    assert inbox.queue.groups == [1, 7]
    assert inbox.durable == list(range(1, 9))


@in_virtual_time
async def test_groups_are_bounded_and_keep_their_order() -> None:
    inbox = Inbox()
    inbox.wrote(*range(2 * GROUP_MAX + 5))
    await inbox.inbox.drained()
    assert inbox.queue.groups == [GROUP_MAX, GROUP_MAX, 5]
    assert inbox.durable == list(range(2 * GROUP_MAX + 5))


@pytest.mark.parametrize("error", [OSError("no space is left"), KeyError("a bug")])
def test_a_queue_that_fails_is_tried_again_and_loses_nothing(error: Exception) -> None:
    @in_virtual_time
    async def scenario() -> None:
        inbox = Inbox()
        inbox.queue.failures = [error] * 3
        inbox.wrote(1)
        await asyncio.sleep(0.5)
        inbox.wrote(2)
        assert inbox.durable == []
        assert inbox.inbox.waiting == 2
        await inbox.inbox.drained()
        assert inbox.inbox.queue_errors == 3
        assert inbox.durable == [1, 2]
        assert inbox.queue.added_at_s == [pytest.approx(3 * RETRY_S + 0.04)]

    scenario()


@in_virtual_time
async def test_a_full_inbox_drops_what_reads_noticed_and_keeps_what_writes_brought() -> None:
    inbox = Inbox(tasks_max=3)
    for number in range(5):
        inbox.inbox.add(_task(number))
    inbox.wrote(10, 11)
    assert inbox.inbox.dropped == 2
    await inbox.inbox.drained()
    assert await inbox.queued() == _keys(0, 1, 2, 10, 11)
    assert inbox.durable == [10, 11]


@in_virtual_time
async def test_a_queue_that_fails_for_ever_does_not_fill_the_memory() -> None:
    """What finds no room stays an intent: nobody is told that it is in the queue."""
    inbox = Inbox(tasks_max=2, with_writes_max=4)
    inbox.queue.failures = [OSError("no space is left")] * 20
    for number in range(100):
        inbox.wrote(number)
        await asyncio.sleep(0.1)
    assert inbox.inbox.waiting == 4
    assert inbox.inbox.left_to_intents == 96
    await inbox.inbox.drained()
    assert inbox.durable == [0, 1, 2, 3]
    inbox.wrote(100)
    await inbox.inbox.drained()
    assert inbox.durable[-1] == 100


@in_virtual_time
async def test_a_task_is_due_once_a_write_in_flight_has_settled() -> None:
    inbox = Inbox()
    for side in Side:
        inbox.time.observe(side, inbox.clock.now_us())
    await asyncio.sleep(7.0)
    inbox.wrote(1)
    await inbox.inbox.drained()
    (queued,) = await inbox.queue.sample(1)
    assert queued.due_us == EPOCH_US + 7_000_000 + SETTLE_US


@in_virtual_time
async def test_while_no_home_tells_the_time_the_newest_version_does() -> None:
    inbox = Inbox()
    inbox.wrote(3, 9, 4)
    await inbox.inbox.drained()
    assert {queued.due_us for queued in await inbox.queue.sample(9)} == {EPOCH_US + 9 + SETTLE_US}


@in_virtual_time
async def test_an_inbox_that_is_cancelled_says_of_nothing_that_it_is_durable() -> None:
    inbox = Inbox()
    inbox.wrote(1)
    await asyncio.sleep(0.005)
    inbox.running.cancel()
    await asyncio.gather(inbox.running, return_exceptions=True)
    assert inbox.durable == []
    assert inbox.inbox.waiting == 1


@in_virtual_time
async def test_an_idle_inbox_is_drained() -> None:
    inbox = Inbox()
    await inbox.inbox.drained()
    assert inbox.queue.groups == []
    assert await inbox.queue.wanted(_task(1).key) == NO_VERSION
