"""Repair: what is taken and when, and how soon drift is gone once a home is back."""

import asyncio
from collections.abc import Sequence

import pytest

from kvgateway.data_path.repair import RepairRule, RepairWorker
from kvgateway.state.ports import Intent, RepairTask, Seen, Taken
from kvgateway.state.switches import HomeSwitch
from tandem.backends.heal import Healed, LeftToSweep, NotHealed
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.mode import Mode, Stage
from tandem.core.reply import Failed, Found, Missing, Reason, Side
from tandem.core.version import Version
from tests.kvgateway.one_gateway import FixedView
from tests.kvgateway.two_homes import NAMESPACE, Numbers, Pair
from tests.memory.machine import MemoryMachine
from tests.memory.queue import MemoryQueue
from tests.sim.loop import VirtualClock, current, run


class Repairing:
    """A repair worker over two homes; S3 lacks what `lack` names."""

    def __init__(self, rule: RepairRule = RepairRule()) -> None:  # noqa: B008
        self.pair = Pair(VirtualClock(current()))
        self.pair.admit()
        self.queue, self.view = MemoryQueue(), FixedView()
        self.machine = MemoryMachine(
            gateway_id=bytes(4), random=Numbers().token, clock_bound_us=2**51
        )
        self.worker = RepairWorker(
            homes=self.pair.guards, queue=self.queue, time=self.pair.time, entropy=Numbers(),
            machine=self.machine, rule=rule,
            monotonic_us=self.pair.clock.monotonic_us, view=self.view,
        )  # fmt: skip

    async def lack(self, *names: str) -> None:
        now_us = self.pair.clock.now_us()
        version = Version.at(now_us)
        for name in names:
            key = Key(NAMESPACE, name)
            await self.pair.kvsp.memory.put_if_newer(key, seal(version, b"value"), 1.0)
            await self.queue.add([RepairTask(key, version, (Side.S3,))], now_us)

    async def heartbeats(self) -> None:
        """As the keeper sends them."""
        while True:
            for side, home in self.pair.homes.items():
                failed = None if home.answer is None else home.answer()
                now_us = self.pair.clock.now_us()
                self.pair.guards[side].heard(failed or Missing(now_us), 2.0)
                if failed is None:
                    self.pair.time.observe(side, now_us)
            await asyncio.sleep(1.0)

    async def depth(self) -> int:
        return (await self.queue.stats()).depth


def test_a_round_heals_what_is_due() -> None:
    async def heal() -> None:
        repairing = Repairing()
        await repairing.lack("a", "b")
        assert await repairing.worker.round()
        assert await repairing.depth() == 0
        for name in "ab":
            held = await repairing.pair.held(Key(NAMESPACE, name))
            assert isinstance(held[Side.S3], Found)
        counters = repairing.worker.counters
        assert (counters.healed, counters.copied, counters.failed) == (2, 2, 0)

    run(heal())


def test_a_heal_that_an_operator_asked_for_in_vain_leaves_its_task() -> None:
    async def heal() -> None:
        repairing = Repairing()
        await repairing.lack("a")
        repairing.pair.s3.down()
        assert isinstance(await repairing.worker.heal_key(Key(NAMESPACE, "a")), NotHealed)
        assert await repairing.depth() == 1

    run(heal())


@pytest.mark.parametrize("recent", [True, False])
def test_only_a_recent_write_is_copied_from_memory(recent: bool) -> None:
    """What a cache holds may have been deleted for good since, and would come back."""

    async def heal() -> None:
        repairing = Repairing()
        key, now_us = Key(NAMESPACE, "a"), repairing.pair.clock.now_us()
        record = seal(Version.at(now_us), b"value")
        repairing.machine.fill([Seen(key, record, now_us)], now_us)
        if recent:
            repairing.machine.install([(key, record)], now_us)
        await repairing.queue.add([RepairTask(key, record.version, tuple(Side))], now_us)
        assert await repairing.worker.round()
        found = [isinstance(one, Found) for one in (await repairing.pair.held(key)).values()]
        assert found == [recent, recent]

    run(heal())


def test_rounds_that_break_are_counted_and_do_not_follow_at_once() -> None:
    async def broken() -> None:
        repairing = Repairing()

        async def take(*_: int) -> list[Taken]:
            raise LookupError("a bug")

        repairing.queue.take = take  # type: ignore[method-assign, assignment]
        working = asyncio.create_task(repairing.worker.run())
        await asyncio.sleep(10 * RepairRule().idle_s + 0.1)
        working.cancel()
        assert repairing.worker.counters.errors == 11

    run(broken())


@pytest.mark.parametrize("by_operator", [False, True])
def test_a_healed_write_is_not_remembered_as_recent_for_ever(by_operator: bool) -> None:
    async def heal() -> None:
        repairing = Repairing()
        await repairing.lack("a")
        key = Key(NAMESPACE, "a")
        machine, clock = repairing.machine, repairing.pair.clock
        machine.pin([Intent(key, await repairing.queue.wanted(key))])
        if by_operator:
            assert await repairing.worker.heal_key(key) == Healed((Side.S3,))
        else:
            assert await repairing.worker.round()
        known = machine.recall(key, clock.now_us())
        assert known is not None
        assert known.pinned, "a read that began before may still be under way"
        await asyncio.sleep(RepairRule().pin_us / 1e6)
        known = machine.recall(key, clock.now_us())
        assert known is not None
        assert not known.pinned

    run(heal())


def test_what_is_in_no_home_is_not_wanted_for_ever_by_those_who_ask_for_it() -> None:
    """As when both homes were restored from copies: each read that finds less than is wanted has
    the key repaired."""

    async def ask_again_and_again() -> None:
        repairing = Repairing()
        key, machine, clock = Key(NAMESPACE, "a"), repairing.machine, repairing.pair.clock
        lost = Version.at(clock.now_us())
        machine.pin([Intent(key, lost)])
        for _ in range(RepairRule().pin_us // 1_000_000 + 1):
            await repairing.queue.add([RepairTask(key, lost, tuple(Side))], clock.now_us())
            assert await repairing.worker.round()
            await asyncio.sleep(1.0)
        known = machine.recall(key, clock.now_us())
        assert known is not None
        assert not known.pinned

    run(ask_again_and_again())


def test_in_a_namespace_with_one_home_nothing_is_healed() -> None:
    """What is owed to either is done with: the one holds all that was acknowledged, and nobody
    reads the other."""

    async def heal() -> None:
        for home in Side:
            repairing = Repairing()
            repairing.view.mode = Mode(Stage.SINGLE, home)
            await repairing.lack("a")
            assert await repairing.worker.round()
            assert await repairing.depth() == 0
            held = await repairing.pair.held(Key(NAMESPACE, "a"))
            assert isinstance(held[Side.S3], Missing)
            assert isinstance(await repairing.worker.heal_key(Key(NAMESPACE, "a")), NotHealed)
            assert "get" not in repairing.pair.s3.calls

    run(heal())


def test_a_queue_whose_disk_refuses_is_no_fault_and_is_asked_again() -> None:
    async def heal() -> None:
        repairing = Repairing()
        await repairing.lack("a", "b")
        done = repairing.queue.done

        async def refuse(_: Sequence[Taken]) -> None:
            raise OSError("no space is left")

        repairing.queue.done = refuse  # type: ignore[method-assign, assignment]
        working = asyncio.create_task(repairing.worker.run())
        await asyncio.sleep(10.0)
        assert await repairing.depth() == 2
        assert repairing.worker.counters.queue_errors == 1
        repairing.queue.done = done  # type: ignore[method-assign]
        repairing.pair.admit()
        await asyncio.sleep(55.0)
        working.cancel()
        assert await repairing.depth() == 0
        assert repairing.worker.counters.errors == 0

    run(heal())


def test_nothing_is_taken_while_a_home_is_out() -> None:
    async def rounds() -> None:
        repairing = Repairing()
        await repairing.lack("a")
        guard = repairing.pair.guards[Side.S3]
        for switch in (HomeSwitch(False, True), HomeSwitch(True, False)):
            guard.switch = switch
            assert not await repairing.worker.round()
        guard.switch, guard.barred = HomeSwitch(), "it belongs to another store"
        assert not await repairing.worker.round()
        assert repairing.pair.s3.calls == []
        [queued] = await repairing.queue.sample(1)
        assert queued.attempts == 0

    run(rounds())


def test_pauses_double_up_to_the_most() -> None:
    async def pauses() -> list[float]:
        repairing = Repairing()
        repairing.pair.s3.down(Failed(Reason.NOT_STARTED))  # a failure that opens no breaker
        await repairing.lack("a")
        found = []
        for _ in range(6):
            assert await repairing.worker.round()
            [queued] = await repairing.queue.sample(1)
            now_us = repairing.pair.clock.now_us()
            found.append((queued.due_us - now_us) / 1e6)
            await asyncio.sleep(found[-1])
            repairing.pair.admit()
        return found

    middle = 0.1 + 0.9 * 0.5
    assert run(pauses()) == [step * middle for step in (1, 2, 4, 8, 10, 10)]


def test_what_needs_a_person_is_left_to_one() -> None:
    async def park() -> None:
        repairing = Repairing()
        repairing.pair.s3.down(Failed(Reason.FOREIGN, "not ours"))
        await repairing.lack("a")
        assert await repairing.worker.round()
        stats = await repairing.queue.stats()
        assert (stats.needs_person, stats.depth_s3) == (1, 0)
        assert repairing.worker.counters.parked == 1
        assert not await repairing.worker.round()
        repairing.pair.s3.up()
        assert isinstance(await repairing.worker.heal_key(Key(NAMESPACE, "a")), Healed)
        assert (await repairing.queue.stats()).needs_person == 0

    run(park())


def test_what_was_deleted_for_good_is_left_to_the_sweep_and_to_no_person() -> None:
    async def leave() -> None:
        repairing = Repairing()
        key, now_us = Key(NAMESPACE, "zombie"), repairing.pair.clock.now_us()
        zombie = seal(Version.at(now_us), b"value")
        await repairing.pair.s3.memory.put_if_newer(key, zombie, 1.0)
        repairing.pair.kvsp.memory.set_floor(NAMESPACE, Version.at(now_us + 1))
        await repairing.queue.add([RepairTask(key, zombie.version, (Side.KVSP,))], now_us)
        assert await repairing.worker.round()
        stats = await repairing.queue.stats()
        assert (stats.depth, stats.needs_person) == (0, 0)
        assert await repairing.worker.heal_key(key) == LeftToSweep(zombie.version)
        held = await repairing.pair.held(key)
        assert isinstance(held[Side.KVSP], Missing)
        assert isinstance(held[Side.S3], Found)

    run(leave())


def test_drift_is_gone_seconds_after_an_outage_of_five_minutes() -> None:
    """Without any traffic, and with more rows than the retry budget has tokens."""

    async def outage() -> None:
        repairing = Repairing()
        repairing.pair.s3.down()
        names = [f"key {n}" for n in range(500)]
        await repairing.lack(*names)
        async with asyncio.TaskGroup() as group:
            loops = [
                group.create_task(repairing.heartbeats()), group.create_task(repairing.worker.run())
            ]  # fmt: skip
            await asyncio.sleep(300)
            assert await repairing.depth() == 500
            repairing.pair.s3.up()
            began_s = current().time()
            while await repairing.depth():
                await asyncio.sleep(0.1)
            assert current().time() - began_s <= 10.0
            for loop in loops:
                loop.cancel()

    run(outage())
