"""Any sequence of operations gets the same answers from the queue's file and the simulator's."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kvgateway.state.ports import RepairQueue, RepairTask, Taken
from kvgateway.state.queue import SqliteQueue
from tandem.core.key import Key
from tandem.core.reply import Side
from tandem.core.version import Version
from tests.kvgateway.state.machines import SHARED_MEMORY
from tests.memory.queue import MemoryQueue

ROWS_MAX = 5
FAST_DISK = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
KEYS = [Key(namespace * 16, name) for namespace in ("ab", "ac", "ad") for name in "pqü"]
ALL_SIDES = [(Side.KVSP,), (Side.S3,), (Side.KVSP, Side.S3)]
T = TypeVar("T")

tasks = st.builds(
    RepairTask,
    st.sampled_from(KEYS),
    st.builds(Version.at, st.integers(1, 4)),
    st.sampled_from(ALL_SIDES),
)
ticks = st.integers(0, 20)


async def all_wanted(queue: RepairQueue) -> list[Version]:
    return [await queue.wanted(key) for key in KEYS]


class SameAnswers(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory(dir=FAST_DISK)
        path = Path(self.directory.name) / "repair.sqlite"
        self.file = self.runner.run(SqliteQueue.open(path, ROWS_MAX))
        self.memory = MemoryQueue(ROWS_MAX)
        self.now_us = 1000
        self.taken: list[Taken] = []

    def both(self, work: Callable[[RepairQueue], Awaitable[T]]) -> T:
        async def run(queue: RepairQueue) -> T:
            return await work(queue)

        ours = self.runner.run(run(self.file))
        assert ours == self.runner.run(run(self.memory))
        return ours

    @rule(new=st.lists(tasks, max_size=8), ago=ticks, ticks=ticks)
    def add(self, new: list[RepairTask], ago: int, ticks: int) -> None:
        self.now_us += ticks
        self.both(lambda queue: queue.add(new, self.now_us - ago))

    @rule(limit=st.integers(1, 4), lease_us=ticks)
    def take(self, limit: int, lease_us: int) -> None:
        self.taken += self.both(lambda queue: queue.take(limit, self.now_us, lease_us))

    @rule()
    def free(self) -> None:
        self.both(lambda queue: queue.free())

    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        if self.taken:
            some = data.draw(st.lists(st.sampled_from(self.taken), max_size=3))
            self.both(lambda queue: queue.done(some))

    @rule(data=st.data(), ticks=ticks)
    def later(self, data: st.DataObject, ticks: int) -> None:
        if self.taken:
            one = data.draw(st.sampled_from(self.taken))
            self.both(lambda queue: queue.later(one, self.now_us + ticks, f"s3: {ticks}"))

    @rule(data=st.data())
    def park(self, data: st.DataObject) -> None:
        if self.taken:
            one = data.draw(st.sampled_from(self.taken))
            self.both(lambda queue: queue.park(one, "corrupt"))

    @rule(side=st.sampled_from(Side), key=st.sampled_from(KEYS), ago=ticks)
    def clear_dirty(self, side: Side, key: Key, ago: int) -> None:
        self.both(lambda queue: queue.clear_dirty(side, key.namespace, self.now_us - ago))

    @invariant()
    def same_and_bounded(self) -> None:
        assert self.both(lambda queue: queue.stats()).depth <= ROWS_MAX
        self.both(lambda queue: queue.sample(100))
        self.both(lambda queue: queue.dirty())
        self.both(all_wanted)

    def teardown(self) -> None:
        self.runner.run(self.file.aclose())
        self.runner.close()
        self.directory.cleanup()


TestSameAnswers = SameAnswers.TestCase
TestSameAnswers.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
