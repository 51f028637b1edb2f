"""Operations that wait for their turn begin on a beat, together; each hears what became of it."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from kvgateway.access import throttle
from kvgateway.access.throttle import Throttle
from tandem.core.key import Key
from tandem.core.request import Read, ReadResult
from tandem.errors import Overloaded, TandemError, Unavailable
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.timed import in_virtual_time

BEAT_US = 10_000
FOUND = ReadResult(None)
Outcome = ReadResult | TandemError | asyncio.Future[ReadResult]


def read(number: int) -> Read:
    return Read(Key(NAMESPACE, f"k{number}"))


def now_us() -> int:
    return round(asyncio.get_running_loop().time() * 1e6)


class Inner:
    """Answers every read alike, and knows when which ones began."""

    def __init__(self, answer: Callable[[], Outcome] = lambda: FOUND) -> None:
        self.groups: list[tuple[int, int]] = []
        self._answer = answer

    def read(self, reads: Sequence[Read]) -> Sequence[Outcome]:
        self.groups.append((now_us(), len(reads)))
        return [self._answer() for _ in reads]


def waiting(inner: Inner) -> Throttle[Read, ReadResult]:
    return Throttle(inner.read, BEAT_US, now_us)


def entered(
    to: Throttle[Read, ReadResult], moments_us: Sequence[int]
) -> list[asyncio.Future[ReadResult]]:
    answers = [to.wait(read(at), moment_us) for at, moment_us in enumerate(moments_us)]
    return [one for one in answers if isinstance(one, asyncio.Future)]


@in_virtual_time
async def test_those_of_one_beat_begin_together_and_none_before_its_moment() -> None:
    inner = Inner()
    answers = entered(waiting(inner), [1, 2000, 9999, 10_000, 10_001, 35_000])
    assert await asyncio.gather(*answers) == [FOUND] * 6
    assert inner.groups == [(10_000, 4), (20_000, 1), (40_000, 1)]


@in_virtual_time
async def test_a_moment_that_has_passed_is_the_next_turn_of_the_loop() -> None:
    inner = Inner()
    await asyncio.sleep(1.0)
    to = waiting(inner)
    for _ in range(2):  # the second time, those beats are over
        assert await asyncio.gather(*entered(to, [990_000, 1_000_000])) == [FOUND] * 2
    assert {at_us for at_us, _ in inner.groups} == {1_000_000}


@in_virtual_time
async def test_a_large_beat_begins_in_parts_and_others_have_their_turn_between() -> None:
    inner = Inner()
    groups_seen: list[int] = []

    def answer() -> Outcome:
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: groups_seen.append(len(inner.groups)))
        return FOUND

    inner._answer = answer
    await asyncio.gather(*entered(waiting(inner), [BEAT_US] * (3 * throttle.BEGUN_AT_ONCE + 1)))
    assert [size for _, size in inner.groups] == [throttle.BEGUN_AT_ONCE] * 3 + [1]
    assert min(groups_seen) < 4


@in_virtual_time
async def test_outcomes_that_come_later_are_passed_on() -> None:
    later: list[asyncio.Future[ReadResult]] = []

    def answer() -> asyncio.Future[ReadResult]:
        later.append(asyncio.get_running_loop().create_future())
        return later[-1]

    answers = entered(waiting(Inner(answer)), [1, 1, 1])
    await asyncio.sleep(0.02)
    later[0].set_result(FOUND)
    later[1].set_exception(Unavailable("both are down"))
    later[2].cancel()
    await asyncio.sleep(0)
    assert answers[0].result() == FOUND
    with pytest.raises(Unavailable, match="both are down"):
        await answers[1]
    assert answers[2].cancelled()


@in_virtual_time
async def test_who_has_gone_is_not_begun() -> None:
    inner = Inner()
    answers = entered(waiting(inner), [1, 1])
    answers[0].cancel()
    assert await answers[1] == FOUND
    assert inner.groups == [(10_000, 1)]


@in_virtual_time
async def test_a_fault_is_told_to_all_of_its_group_and_to_no_other() -> None:
    fault = RuntimeError("a fault of ours")
    inner = Inner()
    to = waiting(inner)

    def answer() -> Outcome:
        if now_us() == BEAT_US:
            raise fault
        return FOUND

    inner._answer = answer
    answers = entered(to, [1, 1, BEAT_US + 1])
    results = await asyncio.gather(*answers, return_exceptions=True)
    assert results == [fault, fault, FOUND]


@in_virtual_time
async def test_an_error_in_place_of_an_answer_is_that_answers() -> None:
    [answer] = entered(waiting(Inner(lambda: Unavailable("it is down"))), [1])
    with pytest.raises(Unavailable, match="it is down"):
        await answer


@in_virtual_time
async def test_more_than_may_wait_are_refused_and_the_room_comes_back() -> None:
    to = waiting(Inner())
    answers = entered(to, [1] * (throttle.WAITING_MAX + 1))
    assert len(answers) == throttle.WAITING_MAX
    assert isinstance(to.wait(read(0), 1), Overloaded)
    await asyncio.gather(*answers)
    assert isinstance(to.wait(read(0), 1), asyncio.Future)
