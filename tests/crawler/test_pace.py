"""Rates and breath, in virtual time."""

import asyncio

from crawler.pace import Pace
from tests.sim.loop import current, run


def test_requests_come_at_their_rate_whoever_asks() -> None:
    async def main() -> None:
        pace = Pace(requests_per_s=10)

        async def ask() -> None:
            for _ in range(20):
                await pace.request()

        await asyncio.gather(*(ask() for _ in range(3)))
        # A burst of one second's worth, then ten a second.
        assert 4.9 <= current().time() <= 5.2

    run(main())


def test_bytes_that_came_are_waited_for_afterwards() -> None:
    async def main() -> None:
        pace = Pace(bytes_per_s=1000)
        for _ in range(5):
            await pace.carried(1000)
        assert 4.0 <= current().time() <= 4.1
        assert pace.waited_s == current().time()

    run(main())


def test_a_breath_is_as_long_as_the_work_times_the_ratio() -> None:
    async def main() -> None:
        await Pace(breathe_ratio=1.5).breathe(2.0)
        assert current().time() == 3.0

    run(main())


def test_without_limits_nothing_waits() -> None:
    async def main() -> None:
        pace = Pace()
        for _ in range(1000):
            await pace.request()
            await pace.carried(10**9)
            await pace.breathe(1.0)
        assert current().time() == 0

    run(main())


def test_within_another_pace_the_limits_of_both_hold() -> None:
    async def main() -> None:
        outer = Pace(requests_per_s=10, breathe_ratio=2.0)
        slower, quicker = (
            Pace(requests_per_s=5, within=outer),
            Pace(requests_per_s=99, within=outer),
        )
        for pace, takes_s in ((slower, 2.0), (quicker, 0.5)):
            await asyncio.sleep(10.0)  # a second's worth has come together again
            began_s = current().time()
            for _ in range(15):
                await pace.request()
            assert abs(current().time() - began_s - takes_s) < 0.01
        waited_s = outer.waited_s
        assert abs(waited_s - 2.5) < 0.02, "all waiting is the crawler's"
        await slower.breathe(1.0)
        assert abs(outer.waited_s - waited_s - 2.0) < 0.001

    run(main())
