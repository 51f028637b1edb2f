"""Groups through the guard: whole, or one by one, and the same outcome either way."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from kvgateway.homes.guard import GuardedHome, LegBounds
from kvgateway.state.switches import HomeSwitch
from tandem.backends.port import AnswersGroups, Gets, Got, Puts, Replied, TakesGroups
from tandem.core.backoff import BreakerRule, BreakerState
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.reply import (
    Failed,
    Found,
    Missing,
    ReadReply,
    Reason,
    Side,
    Stored,
    Superseded,
    WriteReply,
)
from tandem.core.version import Version
from tandem.runtime.clock import Clock
from tests.kvgateway.two_homes import DOWN, NAMESPACE, Pair, ScriptedHome
from tests.runtime.clocks import StillClock

RULE = BreakerRule(failures_to_open=3, failing_us_to_open=1, open_us=2_000_000)


class GroupHome(ScriptedHome):
    """A scripted home that takes groups, and answers each in as many parts as a test wants."""

    def __init__(self, side: Side, clock: Clock) -> None:
        super().__init__(side, clock)
        self.groups: list[int] = []
        self.parts = 1
        self.broken = False

    def put_all(self, puts: Puts, deadline_s: float, replied: Replied) -> None:
        if self.broken:
            raise KeyError("a bug")
        self.groups.append(len(puts))
        loop = asyncio.get_running_loop()
        for part in range(self.parts):
            loop.call_soon(self._answer, puts, range(part, len(puts), self.parts), replied)

    def get_all(self, gets: Gets, deadline_s: float, got: Got) -> None:
        if self.broken:
            raise KeyError("a bug")
        self.groups.append(len(gets))
        loop = asyncio.get_running_loop()
        for part in range(self.parts):
            loop.call_soon(self._tell, gets, range(part, len(gets), self.parts), got)

    def _tell(self, gets: Gets, positions: Sequence[int], got: Got) -> None:
        failed = self.answer() if self.answer is not None else None
        got([(at, failed or self.memory.get(gets[at][0], 1.0).result()) for at in positions])

    def _answer(self, puts: Puts, positions: Sequence[int], replied: Replied) -> None:
        failed = self.write_answer() if self.write_answer is not None else None
        replied(
            [
                (at, failed or self.memory.put_if_newer(*puts[at], 1.0).result())
                for at in reversed(positions)
            ]
        )


class Legs:
    """A guard before a home that takes groups, or before one that does not."""

    def __init__(
        self,
        home: Callable[[Side, Clock], ScriptedHome] = GroupHome,
        bounds: LegBounds = LegBounds(),  # noqa: B008
        rule: BreakerRule = RULE,
    ) -> None:
        self.clock = StillClock()
        self.pair = Pair(self.clock)
        self.home = home(Side.S3, self.clock)
        self.guard = GuardedHome(
            self.home, clock=self.clock, time=self.pair.time, observer=self.pair.observer,
            bounds=bounds, rule=rule,
        )  # fmt: skip
        self.guard.barred = ""
        for side in Side:
            self.pair.time.observe(side, self.clock.now_us())

    @property
    def groups(self) -> list[int]:
        assert isinstance(self.home, GroupHome)
        return self.home.groups

    def record(self, ahead_us: int = 0) -> Record:
        return seal(Version.at(self.clock.now_us() + ahead_us), b"value")

    def puts(self, count: int, ahead_us: int = 0) -> list[tuple[Key, Record]]:
        return [(Key(NAMESPACE, f"{n}"), self.record(ahead_us)) for n in range(count)]

    async def replies_to(self, puts: Puts) -> Sequence[WriteReply]:
        replies: dict[int, WriteReply] = {}
        complete = asyncio.Event()

        def replied(some: Sequence[tuple[int, WriteReply]]) -> None:
            assert not replies.keys() & dict(some).keys()
            replies.update(some)
            if len(replies) == len(puts):
                complete.set()

        self.guard.put_all(puts, 1.0, replied)
        await complete.wait()
        return [replies[position] for position in range(len(puts))]

    async def answers_to(self, names: Sequence[str]) -> Sequence[ReadReply]:
        replies: dict[int, ReadReply] = {}
        complete = asyncio.Event()

        def got(some: Sequence[tuple[int, ReadReply]]) -> None:
            assert not replies.keys() & dict(some).keys()
            replies.update(some)
            if len(replies) == len(names):
                complete.set()

        self.guard.get_all([(Key(NAMESPACE, name), None) for name in names], 1.0, got)
        await complete.wait()
        return [replies[position] for position in range(len(names))]

    async def open(self) -> None:
        """Opens the breaker, and has it admit trials."""
        for _ in range(3):
            self.clock.advance(1)
            self.guard.heard(DOWN, 2.0)
        assert self.guard.breaker.state is BreakerState.OPEN
        self.heartbeat()

    def heartbeat(self) -> None:
        """The home is heard again, late enough for its breaker to admit trials."""
        self.clock.advance(2)
        self.guard.heard(Missing(self.clock.now_us()), 2.0)


@pytest.fixture(params=[GroupHome, ScriptedHome])
def legs(request: pytest.FixtureRequest) -> Legs:
    return Legs(request.param)


def reasons(replies: Sequence[WriteReply] | Sequence[ReadReply]) -> list[Reason | None]:
    return [reply.reason if isinstance(reply, Failed) else None for reply in replies]


def test_a_guard_takes_groups_whatever_its_home_does(legs: Legs) -> None:
    home = ScriptedHome(Side.S3, legs.clock)
    assert isinstance(legs.guard, TakesGroups)
    assert isinstance(legs.guard, AnswersGroups)
    assert not isinstance(home, TakesGroups)
    assert not isinstance(home, AnswersGroups)


async def test_each_leg_has_its_own_answer_and_is_counted(legs: Legs) -> None:
    newer = seal(Version.at(legs.clock.now_us() + 1), b"newer")
    await legs.home.memory.put_if_newer(Key(NAMESPACE, "1"), newer, 1.0)
    replies = await legs.replies_to(legs.puts(3))
    assert [type(reply) for reply in replies] == [Stored, Superseded, Stored]
    assert legs.pair.observer.replies == [(Side.S3, "put", None)] * 3


@pytest.mark.parametrize("parts", [1, 2, 5])
async def test_a_group_may_be_answered_in_parts(parts: int) -> None:
    legs = Legs(bounds=LegBounds(legs_max=5))
    assert isinstance(legs.home, GroupHome)
    legs.home.parts = parts
    for _ in range(3):
        assert reasons(await legs.replies_to(legs.puts(5))) == [None] * 5
    assert legs.groups == [5, 5, 5]


async def test_a_group_goes_whole_only_while_nothing_speaks_against_it() -> None:
    legs = Legs()
    assert reasons(await legs.replies_to(legs.puts(2))) == [None] * 2
    assert legs.groups == [2]
    legs.guard.switch = HomeSwitch(reads=True, writes=False)
    assert reasons(await legs.replies_to(legs.puts(2))) == [Reason.SWITCHED_OFF] * 2
    legs.guard.switch = HomeSwitch()
    legs.guard.barred = "it belongs to another store"
    assert reasons(await legs.replies_to(legs.puts(2))) == [Reason.UNREACHABLE] * 2
    assert legs.groups == [2]
    assert legs.home.calls == []


async def test_a_leg_ahead_of_the_homes_is_not_sent_and_the_others_are(legs: Legs) -> None:
    skew_us = legs.guard.clock_skew_max_us
    puts = legs.puts(3, ahead_us=skew_us)
    puts[1] = (puts[1][0], legs.record(ahead_us=skew_us + 1))
    assert reasons(await legs.replies_to(puts)) == [None, Reason.NOT_STARTED, None]
    assert reasons(await legs.replies_to(legs.puts(3, ahead_us=skew_us))) == [None] * 3


@pytest.mark.parametrize("bounds", [LegBounds(legs_max=2), LegBounds(bytes_max=40)])
@pytest.mark.parametrize("home", [GroupHome, ScriptedHome])
async def test_legs_above_a_bound_are_not_started_and_the_bound_is_given_back(
    bounds: LegBounds, home: Callable[[Side, Clock], ScriptedHome]
) -> None:
    legs = Legs(home, bounds)
    for _ in range(3):
        replies = await legs.replies_to(legs.puts(3))
        assert reasons(replies) == [None, None, Reason.NOT_STARTED]


@pytest.mark.parametrize("failed", [DOWN, Failed(Reason.CONTENDED)])
@pytest.mark.parametrize("home", [GroupHome, ScriptedHome])
async def test_failures_are_counted_one_by_one(
    failed: Failed, home: Callable[[Side, Clock], ScriptedHome]
) -> None:
    legs = Legs(home, LegBounds(legs_max=3), BreakerRule(failures_to_open=1000))
    legs.home.write_answer = lambda: failed
    for _ in range(3):
        assert await legs.replies_to(legs.puts(3)) == [failed] * 3
    assert legs.pair.observer.replies == [(Side.S3, "put", failed.reason)] * 9


async def test_a_group_of_failures_opens_the_breaker(legs: Legs) -> None:
    legs.home.write_answer = lambda: DOWN
    for _ in range(2):
        legs.clock.advance(1)
        await legs.replies_to(legs.puts(2))
    assert legs.guard.breaker.state is BreakerState.OPEN
    assert reasons(await legs.replies_to(legs.puts(2))) == [Reason.BREAKER_OPEN] * 2


async def test_a_breaker_that_is_half_open_admits_of_a_group_as_many_as_it_tries(
    legs: Legs,
) -> None:
    await legs.open()
    admitted = []
    while legs.guard.breaker.state is not BreakerState.CLOSED:
        replies = await legs.replies_to(legs.puts(1000))
        admitted.append(reasons(replies).count(None))
        assert set(reasons(replies)) <= {None, Reason.BREAKER_OPEN}
    assert admitted == [2, 8]


async def test_a_home_that_raises_has_failed_the_whole_group() -> None:
    legs = Legs(bounds=LegBounds(legs_max=2), rule=BreakerRule(failures_to_open=1000))
    assert isinstance(legs.home, GroupHome)
    legs.home.broken = True
    broken = Failed(Reason.ERROR, "KeyError('a bug')")
    for _ in range(3):
        assert await legs.replies_to(legs.puts(2)) == [broken] * 2
    assert legs.pair.observer.broken == 3
    legs.home.broken = False
    assert reasons(await legs.replies_to(legs.puts(2))) == [None] * 2


async def test_a_group_tells_the_homes_time(legs: Legs) -> None:
    legs.clock.advance(100)
    assert not legs.pair.time.known()
    await legs.replies_to(legs.puts(2))
    assert legs.pair.time.known()


async def test_each_read_has_its_own_answer_and_is_counted(legs: Legs) -> None:
    await legs.home.memory.put_if_newer(Key(NAMESPACE, "1"), legs.record(), 1.0)
    replies = await legs.answers_to(["0", "1", "2"])
    assert [type(reply) for reply in replies] == [Missing, Found, Missing]
    assert legs.pair.observer.replies == [(Side.S3, "get", None)] * 3


@pytest.mark.parametrize("parts", [1, 2, 5])
async def test_reads_may_be_answered_in_parts(parts: int) -> None:
    legs = Legs()
    assert isinstance(legs.home, GroupHome)
    legs.home.parts = parts
    assert [type(reply) for reply in await legs.answers_to("01234")] == [Missing] * 5
    assert legs.groups == [5]
    assert len(legs.pair.observer.replies) == 5


async def test_reads_go_together_only_while_nothing_speaks_against_them() -> None:
    legs = Legs()
    assert reasons(await legs.answers_to("01")) == [None] * 2
    assert legs.groups == [2]
    legs.guard.switch = HomeSwitch(reads=False, writes=True)
    assert reasons(await legs.answers_to("01")) == [Reason.SWITCHED_OFF] * 2
    legs.guard.switch = HomeSwitch()
    legs.guard.barred = "it belongs to another store"
    assert reasons(await legs.answers_to("01")) == [Reason.UNREACHABLE] * 2
    assert legs.groups == [2]
    assert legs.home.calls == []


async def test_reads_that_fail_open_the_breaker_which_then_tries_them_one_by_one(
    legs: Legs,
) -> None:
    legs.home.down()
    for _ in range(2):
        legs.clock.advance(1)
        assert await legs.answers_to("01") == [DOWN] * 2
    assert reasons(await legs.answers_to("01")) == [Reason.BREAKER_OPEN] * 2
    legs.home.up()
    legs.heartbeat()
    admitted = []
    while legs.guard.breaker.state is not BreakerState.CLOSED:
        replies = await legs.answers_to([f"{n}" for n in range(1000)])
        admitted.append(reasons(replies).count(None))
    assert admitted == [2, 8]


async def test_a_home_that_raises_has_failed_all_reads_of_the_group() -> None:
    legs = Legs(rule=BreakerRule(failures_to_open=1000))
    assert isinstance(legs.home, GroupHome)
    legs.home.broken = True
    assert await legs.answers_to("012") == [Failed(Reason.ERROR, "KeyError('a bug')")] * 3
    assert legs.pair.observer.broken == 1
    legs.home.broken = False
    assert reasons(await legs.answers_to("012")) == [None] * 3


async def test_reads_tell_the_homes_time(legs: Legs) -> None:
    legs.clock.advance(100)
    assert not legs.pair.time.known()
    await legs.answers_to("01")
    assert legs.pair.time.known()
