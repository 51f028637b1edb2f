"""Small groups of writes that wait for each other: which begin together, and when."""

import asyncio
from collections.abc import Sequence

import pytest

from kvgateway.data_path.gathering import (
    GATHERED_MAX,
    SMALL,
    WAIT_S,
    Answers,
    Gatherer,
)
from tandem.core.key import Key
from tandem.core.request import Put, Write, Written
from tandem.core.version import Version
from tandem.errors import Overloaded
from tests.kvgateway.one_gateway import NAMESPACE
from tests.kvgateway.timed import TimedGateway, in_virtual_time

HOME_S = 0.010
AT_ONCE = 0.0


def puts(count: int, name: str = "key") -> list[Put]:
    return [Put(Key(NAMESPACE, f"{name} {number}"), b"value") for number in range(count)]


class Watched:
    """A gateway whose groups are written down: when each began, and of how many writes."""

    def __init__(self) -> None:
        self.gateway = TimedGateway()
        self.began: list[tuple[float, int]] = []
        self.waiting = Gatherer(self._begin)

    def _begin(self, writes: Sequence[Write], answers: Answers) -> None:
        self.began.append((round(self.gateway.loop.time(), 6), len(writes)))
        self.gateway.writer.begin(writes, answers)

    def slow(self, home_s: float) -> None:
        for home in (self.gateway.kvsp, self.gateway.s3):
            home.takes(home_s)

    async def answered(self, answers: Answers) -> None:
        for answer in answers:
            assert isinstance(await answer, Written)


@in_virtual_time
async def test_a_write_on_an_idle_gateway_does_not_wait() -> None:
    watched = Watched()
    await watched.answered(watched.waiting.write(puts(1)))
    await watched.answered(watched.waiting.write(puts(1)))
    (first, second) = watched.began
    assert first == (AT_ONCE, 1)
    assert second[0] == round(watched.gateway.loop.time() - 0.005, 6)


@in_virtual_time
async def test_writes_of_one_turn_begin_together() -> None:
    watched = Watched()
    answers = [answer for put in puts(5) for answer in watched.waiting.write([put])]
    await watched.answered(answers)
    assert watched.began == [(AT_ONCE, 5)]
    versions = [answer.result().version for answer in answers]
    assert versions == sorted(versions)


@in_virtual_time
async def test_writes_that_are_read_in_turn_after_turn_begin_together() -> None:
    watched = Watched()
    answers: list[asyncio.Future[Written]] = []
    for put in puts(5):
        answers += watched.waiting.write([put])
        await asyncio.sleep(0)
    await watched.answered(answers)
    assert watched.began == [(AT_ONCE, 5)]


@pytest.mark.parametrize("home_s", [0.0005, 0.001, 0.0015, 0.010])
@in_virtual_time
async def test_what_comes_while_a_group_is_under_way_waits_for_it_and_for_those_it_answers(
    home_s: float,
) -> None:
    watched = Watched()
    watched.slow(home_s)
    first = watched.waiting.write(puts(1))
    await asyncio.sleep(home_s / 5)
    rest = [answer for put in puts(3) for answer in watched.waiting.write([put])]
    assert len(watched.waiting) == 3
    await watched.answered([*first, *rest])
    assert watched.began == [(AT_ONCE, 1), (round(home_s / 5 + WAIT_S, 6), 3)]


@in_virtual_time
async def test_nothing_waits_for_a_slow_home() -> None:
    watched = Watched()
    watched.slow(3.0)
    answers = list(watched.waiting.write(puts(1)))
    await asyncio.sleep(HOME_S)
    for put in puts(4):
        answers += watched.waiting.write([put])
        await asyncio.sleep(WAIT_S / 5)
    await asyncio.sleep(WAIT_S)
    assert watched.began == [(AT_ONCE, 1), (round(HOME_S + WAIT_S, 6), 4)]
    await watched.answered(answers)


@in_virtual_time
async def test_many_that_wait_begin_at_once() -> None:
    watched = Watched()
    watched.slow(3.0)
    answers = list(watched.waiting.write(puts(1)))
    await asyncio.sleep(HOME_S)
    for put in puts(GATHERED_MAX + 1):
        answers += watched.waiting.write([put])
    assert watched.began[1:] == [(HOME_S, GATHERED_MAX)]
    assert len(watched.waiting) == 1
    await watched.answered(answers)


@pytest.mark.parametrize(("size", "straight_on"), [(SMALL, False), (SMALL + 1, True)])
@in_virtual_time
async def test_a_large_group_goes_straight_on(size: int, straight_on: bool) -> None:
    watched = Watched()
    answers = list(watched.waiting.write(puts(size)))
    assert bool(watched.began) is straight_on
    await watched.answered(answers)


@in_virtual_time
async def test_a_large_group_does_not_overtake_what_waits() -> None:
    watched = Watched()
    watched.slow(3.0)
    answers = list(watched.waiting.write(puts(1)))
    await asyncio.sleep(HOME_S)
    answers += watched.waiting.write(puts(1, "earlier"))
    answers += watched.waiting.write(puts(SMALL + 1, "later"))
    assert watched.began[1:] == [(HOME_S, 1), (HOME_S, SMALL + 1)]
    await watched.answered(answers)


@in_virtual_time
async def test_each_write_has_its_own_answer() -> None:
    def begin(writes: Sequence[Write], answers: Answers) -> None:
        answers[0].set_result(Written(Version.at(7), None))
        answers[1].set_exception(Overloaded("full"))

    waiting = Gatherer(begin)
    good, refused = (future for put in puts(2) for future in waiting.write([put]))
    with pytest.raises(Overloaded):
        await refused
    assert (await good).version == Version.at(7)
    assert len(waiting) == 0


@in_virtual_time
async def test_the_next_group_waits_for_the_last_of_the_one_before() -> None:
    begun: list[Answers] = []
    waiting = Gatherer(lambda _, answers: begun.append(answers))
    waiting.write(puts(2))
    waiting.flush()
    waiting.write(puts(6, "next"))
    begun[0][0].set_result(Written(Version.at(7), None))
    await asyncio.sleep(WAIT_S / 2)
    assert len(waiting) == 6
    begun[0][1].set_result(Written(Version.at(8), None))
    await asyncio.sleep(WAIT_S * 1.1)
    assert len(begun) == 2


class Homes:
    """Answers groups when a test says so; `sizes` are those of the groups that have begun."""

    def __init__(self) -> None:
        self.begun: list[Answers] = []
        self.waiting = Gatherer(lambda _, answers: self.begun.append(answers))

    @property
    def sizes(self) -> list[int]:
        return [len(answers) for answers in self.begun]

    def put(self, count: int) -> None:
        for put in puts(count):
            self.waiting.write([put])

    async def answer(self) -> None:
        for answer in self.begun[-1]:
            answer.set_result(Written(Version.at(7), None))
        await asyncio.sleep(0)

    async def one_answered_while(self, others: int, wait: int) -> None:
        """A group of `others` writes is answered when `wait` wait already."""
        self.put(others)
        await asyncio.sleep(WAIT_S / 10)
        self.put(wait)
        await self.answer()


AT_ONCE_S = WAIT_S / 20
CIRCULATING = [(1, 1), (2, 1), (4, 2), (6, 2), (7, 1), (8, 3), (31, 1)]


@pytest.mark.parametrize(("others", "wait"), CIRCULATING)
@in_virtual_time
async def test_the_next_group_begins_at_once_when_all_have_come_back(
    others: int, wait: int
) -> None:
    homes = Homes()
    await homes.one_answered_while(others, wait)
    homes.put(others - 1)
    await asyncio.sleep(AT_ONCE_S)
    assert homes.sizes == [others]
    homes.put(1)
    await asyncio.sleep(AT_ONCE_S)
    assert homes.sizes == [others, others + wait]


@pytest.mark.parametrize(("others", "wait"), CIRCULATING)
@in_virtual_time
async def test_one_that_does_not_come_back_is_not_waited_for_any_longer(
    others: int, wait: int
) -> None:
    homes = Homes()
    await homes.one_answered_while(others, wait)
    homes.put(others - 1)
    await asyncio.sleep(WAIT_S - AT_ONCE_S)
    assert homes.sizes == [others]
    await asyncio.sleep(2 * AT_ONCE_S)
    assert homes.sizes == [others, wait + others - 1]


@in_virtual_time
async def test_who_comes_one_after_the_other_is_not_waited_for_any_longer_either() -> None:
    homes = Homes()
    await homes.one_answered_while(60, 1)
    for _ in range(12):
        await asyncio.sleep(WAIT_S / 10 + 1e-6)
        homes.put(1)
    assert homes.sizes == [60, 1 + 9]


@in_virtual_time
async def test_what_came_in_vain_after_a_large_group_is_not_waited_for_again() -> None:
    homes = Homes()
    await homes.one_answered_while(30, 2)
    await asyncio.sleep(WAIT_S + AT_ONCE_S)
    assert homes.sizes == [30, 2]
    await homes.answer()
    homes.put(1)
    await asyncio.sleep(AT_ONCE_S)
    assert homes.sizes == [30, 2], "two circulate"
    homes.put(1)
    await asyncio.sleep(AT_ONCE_S)
    assert homes.sizes == [30, 2, 2]


@in_virtual_time
async def test_nobody_is_waited_for_when_all_were_answered_a_while_ago() -> None:
    homes = Homes()
    await homes.one_answered_while(30, 0)
    await asyncio.sleep(WAIT_S)
    homes.put(1)
    await asyncio.sleep(AT_ONCE_S)
    assert homes.sizes == [30, 1]


async def test_what_is_read_in_turn_after_turn_begins_together_then_too() -> None:
    """On a real loop: in virtual time no timer is due while anything else is."""
    homes = Homes()
    homes.put(30)
    homes.waiting.flush()
    await homes.answer()
    await asyncio.sleep(2 * WAIT_S)
    for _ in range(3):
        homes.put(1)
        await asyncio.sleep(0)
    while len(homes.waiting):
        await asyncio.sleep(0)
    assert homes.sizes == [30, 3]


@pytest.mark.parametrize("callers", [1, 2, 3, 4, 8, 32])
@in_virtual_time
async def test_callers_that_write_again_and_again_settle_in_large_groups(callers: int) -> None:
    """However they begin: here one after the other, so that small groups stand beside large."""
    sizes: list[int] = []

    def begin(writes: Sequence[Write], answers: Answers) -> None:
        sizes.append(len(writes))
        asyncio.get_running_loop().call_later(0.003, answer, answers)

    def answer(answers: Answers) -> None:
        for one in answers:
            one.set_result(Written(Version.at(7), None))

    waiting = Gatherer(begin)

    async def caller(number: int) -> None:
        await asyncio.sleep(0.0001 * number)
        for _ in range(50):
            (answer,) = waiting.write(puts(1))
            await answer
            await asyncio.sleep(0.0002 + 0.0001 * number)

    async with asyncio.TaskGroup() as tasks:
        for number in range(callers):
            tasks.create_task(caller(number))
    settled = sizes[10:-10]
    assert min(settled) >= max(1, callers // 4)
    assert sum(settled) / len(settled) >= callers * 0.9


@pytest.mark.parametrize("homes_s", [WAIT_S / 2, WAIT_S * 2, WAIT_S * 20])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 2.0])
@in_virtual_time
async def test_who_comes_at_its_own_pace_waits_for_a_bounded_time(
    homes_s: float, share: float
) -> None:
    waits_s, came_at_s = list[float](), list[float]()
    loop = asyncio.get_running_loop()

    def begin(writes: Sequence[Write], answers: Answers) -> None:
        waits_s.extend(loop.time() - came_at_s.pop(0) for _ in writes)
        for answer in answers:
            loop.call_later(homes_s, answer.set_result, Written(Version.at(7), None))

    waiting = Gatherer(begin)
    for _ in range(200):
        came_at_s.append(loop.time())
        waiting.write(puts(1))
        await asyncio.sleep(WAIT_S * share)
    assert max(waits_s) <= WAIT_S + 1e-9


@in_virtual_time
async def test_a_caller_that_goes_away_ends_nobody_elses_wait() -> None:
    watched = Watched()
    gone, kept = (answer for put in puts(2) for answer in watched.waiting.write([put]))
    gone.cancel()
    await watched.answered([kept])
    assert watched.began == [(AT_ONCE, 2)]


@in_virtual_time
async def test_a_group_that_cannot_begin_fails_its_callers_and_no_other() -> None:
    errors = [Overloaded("full"), RuntimeError("cannot begin")]

    def begin(writes: Sequence[Write], answers: Answers) -> None:
        raise errors.pop() if len(errors) > 1 else errors[0]

    waiting = Gatherer(begin)
    for expected in (RuntimeError, Overloaded):
        (answer,) = waiting.write(puts(1))
        with pytest.raises(expected):
            await answer


@in_virtual_time
async def test_flush_begins_what_waits() -> None:
    watched = Watched()
    answers = watched.waiting.write(puts(2))
    watched.waiting.flush()
    assert watched.began == [(AT_ONCE, 2)]
    watched.waiting.flush()
    assert len(watched.began) == 1
    await watched.answered(answers)
