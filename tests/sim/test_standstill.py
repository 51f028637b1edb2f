"""A process that stands still does nothing at all, and then everything that has become due."""

import asyncio

from tests.sim import loop as virtual
from tests.sim.standstill import NOBODY, context_of


async def _ticks(seen: list[float], count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(1.0)
        seen.append(virtual.current().time())


def test_its_tasks_stop_between_two_turns_and_go_on_where_they_were() -> None:
    async def main() -> tuple[list[float], list[float]]:
        loop, still, other = virtual.current(), list[float](), list[float]()
        tasks = [
            loop.create_task(_ticks(still, 4), context=context_of("a")),
            loop.create_task(_ticks(other, 4), context=context_of("b")),
        ]
        loop.call_at(1.5, loop.hold, "a", 10.0)
        await asyncio.gather(*tasks)
        return still, other

    still, other = virtual.run(main())
    assert other == [1.0, 2.0, 3.0, 4.0]
    assert still == [1.0, 11.5, 12.5, 13.5]


def test_what_it_waits_for_happens_meanwhile_and_is_seen_afterwards() -> None:
    async def main() -> tuple[bool, float]:
        loop, reply = virtual.current(), asyncio.get_running_loop().create_future()

        async def waits() -> float:
            await reply
            return loop.time()

        task = loop.create_task(waits(), context=context_of("a"))
        loop.call_at(1.0, loop.hold, "a", 5.0)
        loop.call_at(2.0, reply.set_result, None, context=NOBODY)
        await asyncio.sleep(3.0)
        return reply.done() and not task.done(), await task

    assert virtual.run(main()) == (True, 6.0)


def test_what_its_tasks_begin_stands_still_with_them() -> None:
    async def main() -> list[float]:
        loop, seen = virtual.current(), list[float]()

        async def parent() -> None:
            await asyncio.gather(_ticks(seen, 2), _ticks(seen, 2))

        task = loop.create_task(parent(), context=context_of("a"))
        loop.call_at(0.5, loop.hold, "a", 2.0)
        await task
        return seen

    assert virtual.run(main()) == [2.5, 2.5, 3.5, 3.5]


def test_a_second_signal_does_not_prolong_it() -> None:
    async def main() -> list[float]:
        loop, seen = virtual.current(), list[float]()
        task = loop.create_task(_ticks(seen, 2), context=context_of("a"))
        loop.call_at(0.5, loop.hold, "a", 2.0)
        loop.call_at(1.0, loop.hold, "a", 9.0)
        await task
        return seen

    assert virtual.run(main()) == [2.5, 3.5]


def test_one_that_is_killed_meanwhile_comes_to_its_end() -> None:
    async def main() -> tuple[bool, float]:
        loop = virtual.current()
        task = loop.create_task(_ticks([], 9), context=context_of("a"))
        loop.call_at(0.5, loop.hold, "a", 100.0)
        await asyncio.sleep(1.0)
        loop.go_on("a")
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return task.cancelled(), loop.time()

    assert virtual.run(main()) == (True, 1.0)
