"""A worker's heartbeat over a real pipe."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from kvgateway.process.heartbeat import READY, STARTING, beat


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvgateway.process.heartbeat.BEAT_S", 0.005)


async def _heard(read_end: int, count: int) -> None:
    """Returns when so many bytes have come."""
    loop = asyncio.get_running_loop()
    while count > 0:
        ready = asyncio.Event()
        loop.add_reader(read_end, ready.set)
        try:
            async with asyncio.timeout(60):
                await ready.wait()
        finally:
            loop.remove_reader(read_end)
        count -= len(os.read(read_end, 1))


def _fill(write_end: int) -> None:
    os.set_blocking(write_end, False)
    try:
        while True:
            os.write(write_end, bytes(65536))
    except BlockingIOError:
        return


async def test_it_beats_also_while_the_worker_drains(pipe: tuple[int, int]) -> None:
    """A worker that somebody else told to stop may drain for longer than it may be silent."""
    read_end, write_end = pipe
    stop = asyncio.Event()
    beating = asyncio.create_task(beat(write_end, stop, asyncio.Event()))
    await _heard(read_end, 3)
    stop.set()
    await _heard(read_end, 10)
    assert not beating.done()
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)


async def test_it_tells_from_when_on_the_worker_serves(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    ready = asyncio.Event()
    beating = asyncio.create_task(beat(write_end, asyncio.Event(), ready))
    await _heard(read_end, 1)
    ready.set()
    await asyncio.sleep(0.05)
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    said = os.read(read_end, 1 << 16)
    assert said == STARTING * said.count(STARTING) + READY * said.count(READY)
    assert READY in said


async def test_a_worker_whose_supervisor_is_gone_stops(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    stop = asyncio.Event()
    beating = asyncio.create_task(beat(write_end, stop, asyncio.Event()))
    await _heard(read_end, 1)
    os.close(read_end)
    async with asyncio.timeout(60):
        await beating
    assert stop.is_set()


async def test_a_supervisor_that_does_not_read_stops_nobody(pipe: tuple[int, int]) -> None:
    read_end, write_end = pipe
    _fill(write_end)
    stop = asyncio.Event()
    beating = asyncio.create_task(beat(write_end, stop, asyncio.Event()))
    await asyncio.sleep(0.05)
    assert not beating.done()
    assert not stop.is_set()
    os.read(read_end, 1 << 20)
    await _heard(read_end, 1)
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
