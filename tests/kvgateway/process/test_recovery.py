"""What must be noted of damage, and what of the queue must be pinned, before anybody serves."""

import pytest

from kvgateway.homes.trust import Trust
from kvgateway.process.preparation import note_damage, pin_queue
from kvgateway.state.ports import RepairTask
from tandem.core.reply import Side
from tests.kvgateway.process.left_behind import INTENTS, LeftBehind, memory
from tests.kvgateway.two_homes import NAMESPACE
from tests.memory.queue import MemoryQueue
from tests.sim.loop import EPOCH_US, run


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


def test_more_rows_than_may_be_pinned_are_asked_for() -> None:
    async def pin(rows_pinned: int) -> tuple[int, bool]:
        queue, machine = MemoryQueue(), memory()
        await queue.add([RepairTask(i.key, i.version, (Side.S3,)) for i in INTENTS], EPOCH_US)
        await pin_queue(queue, machine, rows_pinned)
        known = machine.lookup([i.key for i in INTENTS], EPOCH_US)
        return sum(one is not None for one in known), machine.spilled()

    assert [run(pin(most)) for most in (4, 5, 6)] == [(4, True), (5, False), (5, False)]
