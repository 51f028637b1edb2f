"""What any journal must do: run against files and against the simulator's."""

import asyncio
from pathlib import Path
from typing import Protocol

import pytest

from kvgateway.state.journal import DiskJournal
from kvgateway.state.journal_slots import claim, recover
from kvgateway.state.ports import Intent
from tandem.core.key import Key
from tandem.core.version import Version
from tests.memory.journal import MemoryJournal

NAMESPACE = "ab" * 16


def intent(number: int, name: str = "k") -> Intent:
    return Intent(Key(NAMESPACE, f"{name}{number}"), Version.at(number + 1))


class Worker(Protocol):
    """A worker with a journal, that can die."""

    @property
    def journal(self) -> DiskJournal | MemoryJournal: ...

    def live(self) -> int: ...

    async def crash(self) -> set[Intent]:
        """Ends the worker without a farewell; returns what is recovered."""
        ...


class DiskWorker:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._slot = claim(directory)
        self.journal = DiskJournal(lambda: self._slot)
        self.live = self.journal.live

    async def crash(self) -> set[Intent]:
        self._slot.release()
        (left,) = recover(self._directory)
        await left.drop()
        self._slot = claim(self._directory)
        return set(left.intents)


class MemoryWorker:
    def __init__(self) -> None:
        self.journal = MemoryJournal()
        self.live = self.journal.live

    async def crash(self) -> set[Intent]:
        return set(self.journal.crash())


@pytest.fixture(params=["disk", "memory"])
async def worker(request: pytest.FixtureRequest, tmp_path: Path) -> Worker:
    return DiskWorker(tmp_path) if request.param == "disk" else MemoryWorker()


async def test_a_durable_intent_survives_a_crash(worker: Worker) -> None:
    assert await worker.journal.append([intent(1), intent(2)])
    assert worker.live() == 2
    assert worker.journal.live_intents() == [intent(1), intent(2)]
    assert await worker.crash() == {intent(1), intent(2)}


async def test_appends_at_once_are_all_durable(worker: Worker) -> None:
    waiting = [worker.journal.append([intent(n)]) for n in range(500)]
    assert await asyncio.gather(*waiting) == [True] * 500
    assert await worker.crash() == {intent(n) for n in range(500)}


async def test_an_append_that_comes_during_a_write_goes_into_the_next_one(worker: Worker) -> None:
    first = worker.journal.append([intent(1)])
    await asyncio.sleep(0)
    second = worker.journal.append([intent(2)])
    async with asyncio.timeout(60):
        assert all(await asyncio.gather(first, second))
    assert await worker.crash() == {intent(1), intent(2)}


async def test_a_done_intent_does_not_come_back_once_another_was_appended(worker: Worker) -> None:
    await worker.journal.append([intent(1)])
    worker.journal.done(intent(1))
    assert worker.live() == 0
    await worker.journal.append([intent(2)])
    assert await worker.crash() == {intent(2)}


async def test_an_intent_may_be_done_before_it_is_durable(worker: Worker) -> None:
    appended = worker.journal.append([intent(1)])
    worker.journal.done(intent(1))
    assert await appended
    assert worker.live() == 0
    await worker.journal.append([intent(2)])
    await worker.journal.append([intent(3)])
    assert await worker.crash() == {intent(2), intent(3)}


async def test_done_twice_or_of_a_stranger_does_nothing(worker: Worker) -> None:
    await worker.journal.append([intent(1)])
    worker.journal.done(intent(9))
    worker.journal.done(intent(1))
    worker.journal.done(intent(1))
    assert worker.live() == 0


async def test_versions_of_one_key_are_kept_apart(worker: Worker) -> None:
    key = intent(1).key
    both = [Intent(key, Version.at(1)), Intent(key, Version.at(2))]
    await worker.journal.append(both)
    worker.journal.done(both[0])
    await worker.journal.append([intent(3)])
    assert await worker.crash() == {both[1], intent(3)}


async def test_a_cancelled_caller_harms_nobody(worker: Worker) -> None:
    appended = asyncio.ensure_future(worker.journal.append([intent(1)]))
    appended.cancel()
    assert await worker.journal.append([intent(2)])
    assert intent(2) in await worker.crash()
