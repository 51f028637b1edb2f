"""The persisted bound of the clock: no restart mints a version that was minted before."""

import asyncio
import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kvgateway.state.clock_bound import AHEAD_US, WAIT_MAX_US, ClockBound
from tandem.errors import Unavailable

NOW = 1_800_000_000_000_000


class Ids:
    """Gives a new id each time."""

    def __init__(self) -> None:
        self.given = 0

    def __call__(self, size: int) -> bytes:
        self.given += 1
        return self.given.to_bytes(size, "big")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway" / "clock"


def begun(path: Path, ids: Ids, now_us: int = NOW) -> ClockBound:
    bound = ClockBound.open(path, ids)
    bound.begin(now_us, ids)
    return bound


def test_a_first_start_has_an_id_and_need_not_wait(path: Path) -> None:
    ids = Ids()
    bound = begun(path, ids)
    assert bound.gateway_id == b"\x00\x00\x00\x01"
    assert bound.bound_us == NOW + AHEAD_US
    bound.close()


def test_a_restart_waits_until_time_has_passed_the_bound(path: Path) -> None:
    ids = Ids()
    begun(path, ids).close()
    again = ClockBound.open(path, ids)
    assert again.wait_us(NOW) == AHEAD_US
    assert again.wait_us(NOW + AHEAD_US - 1) == 1
    assert again.wait_us(NOW + AHEAD_US) == 0
    with pytest.raises(AssertionError):
        again.begin(NOW, ids)
    again.begin(NOW + AHEAD_US, ids)
    assert again.gateway_id == b"\x00\x00\x00\x01"
    again.close()


def test_a_bound_far_ahead_is_dropped_under_a_new_id(path: Path) -> None:
    ids = Ids()
    begun(path, ids, NOW + WAIT_MAX_US).close()
    again = ClockBound.open(path, ids)
    assert again.wait_us(NOW) == 0
    again.begin(NOW, ids)
    assert (again.gateway_id, again.bound_us) == (b"\x00\x00\x00\x02", NOW + AHEAD_US)
    again.close()
    third = ClockBound.open(path, ids)
    assert (third.gateway_id, third.bound_us) == (b"\x00\x00\x00\x02", NOW + AHEAD_US)
    third.close()


def test_a_farewell_spares_the_next_start_the_wait(path: Path) -> None:
    ids = Ids()
    begun(path, ids).close(last_minted_us=NOW + 7)
    again = ClockBound.open(path, ids)
    assert again.wait_us(NOW + 8) == 0
    assert again.bound_us == NOW + 8
    again.close()


def test_a_farewell_of_a_run_that_minted_nothing_does_not_forget_the_runs_before(
    path: Path,
) -> None:
    ids = Ids()
    begun(path, ids).close(last_minted_us=NOW + 7)
    begun(path, ids, NOW + 8).close(last_minted_us=0)
    again = ClockBound.open(path, ids)
    assert again.wait_us(NOW + 7) == 1
    again.close()


@pytest.mark.parametrize("place", [0, 1])
def test_a_torn_write_costs_one_place_only(path: Path, place: int) -> None:
    ids = Ids()
    begun(path, ids).close()
    data = bytearray(path.read_bytes().ljust(1024, b"\x00"))
    for at in range(40):
        torn = bytearray(data)
        torn[place * 512 + at] ^= 0xFF
        path.write_bytes(torn)
        bound = ClockBound.open(path, ids)
        assert bound.gateway_id == b"\x00\x00\x00\x01"
        assert bound.bound_us in {0, NOW + AHEAD_US}
        bound.close()


def test_a_file_without_a_whole_place_gets_a_new_id(path: Path) -> None:
    ids = Ids()
    begun(path, ids).close()
    path.write_bytes(b"?" * 1024)
    bound = begun(path, ids)
    assert bound.gateway_id == b"\x00\x00\x00\x02"
    bound.close()


async def test_the_bound_is_published_only_once_it_is_durable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvgateway.state.clock_bound.EXTEND_EACH_S", 0.001)
    ids = Ids()
    bound = begun(path, ids)
    now_us, published = NOW, list[int]()
    extended = asyncio.Event()

    def publish(bound_us: int) -> None:
        reread = ClockBound.open(path, ids)
        assert reread.bound_us >= bound_us
        reread.close()
        published.append(bound_us)
        if len(published) == 3:
            extended.set()

    def now() -> int:
        nonlocal now_us
        now_us += 1_000
        if now_us == NOW + 2_000:
            raise Unavailable("no home was heard")
        return now_us

    keeper = asyncio.ensure_future(bound.keep(now, publish))
    await extended.wait()
    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)
    assert published == [NOW + AHEAD_US, NOW + 1_000 + AHEAD_US, NOW + 3_000 + AHEAD_US]
    bound.close()


async def test_a_disk_that_refuses_leaves_the_bound_and_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvgateway.state.clock_bound.EXTEND_EACH_S", 0.001)
    bound = begun(path, Ids())
    published: list[int] = []
    full = os.open("/dev/full", os.O_WRONLY)
    sound, bound._descriptor = bound._descriptor, full
    with capture_logs() as told:
        keeper = asyncio.ensure_future(bound.keep(lambda: NOW + 1, published.append))
        async with asyncio.timeout(60):
            while not told:
                await asyncio.sleep(0.001)
            assert published == [NOW + AHEAD_US]
            bound._descriptor = sound
            while len(published) == 1:
                await asyncio.sleep(0.001)
    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)
    assert (told[0]["event"], told[0]["log_level"]) == ("clock_bound_unwritable", "error")
    assert "No space left" in told[0]["why"]
    assert published == [NOW + AHEAD_US, NOW + 1 + AHEAD_US]
    os.close(full)
    bound.close()
