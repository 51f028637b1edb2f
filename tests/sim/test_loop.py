"""Virtual time: nothing waits, everything happens in order, and what stands still is told."""

import asyncio

import pytest

from tests.sim import loop as virtual
from tests.sim.loop import Deadlock, VirtualClock


def test_time_passes_only_by_timers_and_exactly_to_them() -> None:
    async def main() -> list[float]:
        seen = []
        for pause_s in (0.1, 3600.0, 0.000001):
            await asyncio.sleep(pause_s)
            seen.append(virtual.current().time())
        return seen

    assert virtual.run(main()) == [0.1, 3600.1, 3600.1 + 0.000001]


def test_timers_of_one_moment_fire_in_the_order_in_which_they_were_set() -> None:
    async def main() -> list[int]:
        fired: list[int] = []
        loop = virtual.current()
        for number in (3, 1, 2):
            loop.call_at(1.0, fired.append, number)
        loop.call_at(1.0, fired.append, 9).cancel()
        loop.call_at(0.5, fired.append, 0)
        await asyncio.sleep(2.0)
        return fired

    assert virtual.run(main()) == [0, 3, 1, 2]


def test_a_deadline_ends_what_it_should_and_nothing_else() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0):
                await asyncio.Event().wait()
        return virtual.current().time()

    assert virtual.run(main()) == 5.0


def test_standing_still_is_an_error() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match="nothing is scheduled after 0"):
        virtual.run(main())


def test_work_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "TURNS_MAX", 100)

    async def main() -> None:
        while True:
            await asyncio.sleep(1.0)

    with pytest.raises(virtual.Endless):
        virtual.run(main())


def test_a_blow_falls_between_two_turns() -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        virtual.current().after_turns(2, lambda: seen.append("blow"))
        for number in range(4):
            seen.append(str(number))
            await asyncio.sleep(0)
        return seen

    assert virtual.run(main()) == ["0", "1", "blow", "2", "3"]


def test_what_a_callback_raises_is_kept() -> None:
    async def main() -> list[BaseException]:
        error = ValueError("once")

        def fail() -> None:
            raise error

        virtual.current().call_soon(fail)
        await asyncio.sleep(1.0)
        return virtual.current().errors

    assert [str(error) for error in virtual.run(main())] == ["once"]


def test_a_wall_clock_is_wrong_and_jumps_and_a_monotonic_one_only_drifts() -> None:
    async def main() -> None:
        clock = VirtualClock(virtual.current(), offset_us=-7_000_000, drift_ppm=100, booted_us=5)
        await asyncio.sleep(10.0)
        assert clock.now_us() == virtual.EPOCH_US - 7_000_000 + 10_001_000
        assert clock.monotonic_us() == 5 + 10_001_000
        clock.step(-3_000_000)
        assert clock.now_us() == virtual.EPOCH_US - 10_000_000 + 10_001_000
        assert clock.monotonic_us() == 5 + 10_001_000

    virtual.run(main())
