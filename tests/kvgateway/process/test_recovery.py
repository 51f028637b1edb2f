"""What must be noted of damage, and what of the queue must be pinned, before anybody serves; and
what is tried again beside those who serve."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.trust import Trust
from kvgateway.process import recovery
from kvgateway.process.places import Places
from kvgateway.process.preparation import note_damage, pin_queue
from kvgateway.state.journal import DiskJournal
from kvgateway.state.journal_slots import claim
from kvgateway.state.ports import RepairTask
from kvgateway.state.queue import SqliteQueue
from kvgateway.state.shared import SharedMachine
from kvgateway.state.shared_place import Place
from tandem.core.reply import Side
from tandem.runtime.clock import SystemClock
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


class RefusingQueue(SqliteQueue):
    """Fails as often as there are reasons for it."""

    reasons: list[Exception]

    async def add(self, tasks: Sequence[RepairTask], due_us: int) -> None:
        if self.reasons:
            raise self.reasons.pop(0)
        await super().add(tasks, due_us)


async def test_whatever_goes_wrong_what_is_left_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "RETRY_S", 0.0)
    places = Places(tmp_path)
    place = Place.make(places.gateway, 16 * 1024 * 1024, tmp_path)
    journal = DiskJournal(partial(claim, places.journal))
    await journal.append(INTENTS)
    await journal.aclose()
    machine = SharedMachine(place.directory, gateway_id=b"gw-1", random=os.urandom)
    async with aclosing(await RefusingQueue.open(places.queue)) as queue:
        queue.reasons = [OSError("full"), OSError("full"), ValueError("a fault of ours")]
        recovering = recovery.Recovery(places, place, queue, machine, HomeTime(SystemClock()))
        with capture_logs() as logs:
            await recovering.all()
            trying = asyncio.create_task(recovering.keep_trying())
            while machine.left_over():
                assert not trying.done()
                await asyncio.sleep(0)
            trying.cancel()
        events = [entry["event"] for entry in logs]
        assert events[:3] == ["intents_not_queued", "intents_not_queued", "worker_not_recovered"]
        assert (await queue.stats()).depth == len(INTENTS)
    machine.close()
    place.leave()
