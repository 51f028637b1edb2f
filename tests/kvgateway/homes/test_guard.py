"""The guard: what it refuses, what it counts, and that nothing it lends is ever lost."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from kvgateway.homes.guard import GuardedHome, LegBounds
from kvgateway.state.switches import HomeSwitch
from tandem.backends.port import ScanPage
from tandem.core.backoff import BreakerRule, BreakerState
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.reply import Failed, Found, Missing, Reason, Side, Stored
from tandem.core.version import Version
from tests.kvgateway.two_homes import DOWN, NAMESPACE, Pair
from tests.runtime.clocks import StillClock

KEY = Key(NAMESPACE, "key")
RULE = BreakerRule(failures_to_open=3, failing_us_to_open=1, open_us=2_000_000)
OUTAGES = [Reason.TIMEOUT, Reason.UNREACHABLE, Reason.ERROR, Reason.OVERLOADED]
ANSWERS = [Reason.CORRUPT, Reason.FOREIGN, Reason.CONTENDED, Reason.NOT_STARTED]


class Guarded:
    """One guarded home, and its pair's other parts."""

    def __init__(self, bounds: LegBounds = LegBounds(), rule: BreakerRule = RULE) -> None:  # noqa: B008
        self.clock = StillClock()
        self.pair = Pair(self.clock, bounds=bounds, rule=rule)
        self.pair.admit()
        self.home = self.pair.s3
        self.guard: GuardedHome = self.pair.guards[Side.S3]

    def record(self, ahead_us: int = 0, value: bytes = b"value") -> Record:
        return seal(Version.at(self.clock.now_us() + ahead_us), value)

    def put(self, record: Record | None = None) -> "Awaitable[object]":
        return self.guard.put_if_newer(KEY, record or self.record(), 1.0)

    async def scan(self) -> ScanPage | Failed:
        return await self.guard.scan(NAMESPACE, after="", prefix="", limit=10, deadline_s=1.0)

    async def get(self) -> object:
        return await self.guard.get(KEY, 1.0)

    async def fail(self, times: int, failed: Failed = DOWN) -> None:
        """So many gets that fail, a second apart."""
        self.home.down(failed)
        for _ in range(times):
            self.clock.advance(1)
            assert await self.get() == failed
        self.home.up()

    def heartbeat(self, after_s: float) -> None:
        """The keeper hears the home."""
        self.clock.advance(after_s)
        self.guard.heard(Missing(self.clock.now_us()), 2.0)


@pytest.fixture
def guarded() -> Guarded:
    return Guarded()


async def test_each_switch_stops_its_use_and_no_other(guarded: Guarded) -> None:
    guarded.guard.switch = HomeSwitch(reads=False, writes=True)
    off = Failed(Reason.SWITCHED_OFF)
    assert [await guarded.get(), await guarded.scan()] == [off, off]
    assert isinstance(await guarded.put(), Stored)
    guarded.guard.switch = HomeSwitch(reads=True, writes=False)
    assert await guarded.put() == off
    assert isinstance(await guarded.get(), Found)
    assert isinstance(await guarded.scan(), ScanPage)
    assert guarded.home.calls == ["put", "get", "scan"]


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("writes", [True, False])
def test_repair_has_room_in_a_home_that_is_read_and_written(reads: bool, writes: bool) -> None:
    guard = Guarded().guard
    guard.switch = HomeSwitch(reads, writes)
    assert guard.room(16) == (16 if reads and writes else 0)


async def test_a_barred_home_is_not_used_at_all(guarded: Guarded) -> None:
    guarded.guard.barred = "it belongs to another store"
    for reply in (await guarded.get(), await guarded.put(), await guarded.scan()):
        assert reply == Failed(Reason.UNREACHABLE, "it belongs to another store")
    assert guarded.home.calls == []
    assert guarded.guard.room(16) == 0


async def test_a_home_that_is_reached_anew_is_not_used_before_it_has_shown_whose_it_is(
    guarded: Guarded,
) -> None:
    waits: list[str] = []
    guarded.guard.wanted = lambda: waits.append("a call")
    assert not isinstance(await guarded.get(), Failed)
    guarded.home.reached = 1
    for reply in (await guarded.get(), await guarded.put(), await guarded.scan()):
        assert isinstance(reply, Failed)
        assert reply.reason is Reason.UNREACHABLE
    assert guarded.home.calls == ["get"]
    assert guarded.guard.room(16) == 0
    assert len(waits) == 4
    guarded.guard.shown_at = 1
    assert not isinstance(await guarded.get(), Failed)


async def test_a_home_is_barred_until_somebody_has_looked() -> None:
    guard = Pair(StillClock()).guards[Side.S3]
    assert isinstance(await guard.get(KEY, 1.0), Failed)


@pytest.mark.parametrize("reason", OUTAGES)
async def test_enough_failures_open_the_breaker(guarded: Guarded, reason: Reason) -> None:
    failed = Failed(reason, "so it is")
    await guarded.fail(2, failed)
    assert guarded.guard.breaker.state is BreakerState.CLOSED
    await guarded.fail(1, failed)
    assert await guarded.get() == Failed(Reason.BREAKER_OPEN, str(failed))
    assert await guarded.put() == Failed(Reason.BREAKER_OPEN, str(failed))
    assert len(guarded.home.calls) == 3


@pytest.mark.parametrize("reason", ANSWERS)
async def test_answers_about_one_key_do_not_open_it(guarded: Guarded, reason: Reason) -> None:
    await guarded.fail(100, Failed(reason))
    assert guarded.guard.breaker.state is BreakerState.CLOSED


async def test_it_tries_again_and_twice_as_much_with_each_success(guarded: Guarded) -> None:
    await guarded.fail(3)
    rooms = []
    guarded.heartbeat(after_s=2)
    while guarded.guard.breaker.state is not BreakerState.CLOSED:
        rooms.append(guarded.guard.room(1000))
        assert isinstance(await guarded.get(), Missing)
    assert rooms == [2, 4, 8, 16, 32, 64, 128]


async def test_heartbeats_alone_close_it(guarded: Guarded) -> None:
    await guarded.fail(3)
    seconds = 0
    while guarded.guard.breaker.state is not BreakerState.CLOSED:
        seconds += 1
        guarded.heartbeat(after_s=1)
    assert seconds == 9  # a success a second, from the end of the second second
    assert guarded.home.calls == ["get"] * 3


async def test_heartbeats_alone_open_it(guarded: Guarded) -> None:
    for _ in range(3):
        guarded.clock.advance(1)
        guarded.guard.heard(DOWN, 2.0)
    assert guarded.guard.breaker.state is BreakerState.OPEN


@pytest.mark.parametrize(("reason", "hung"), [(Reason.TIMEOUT, True), (Reason.UNREACHABLE, False)])
async def test_a_heartbeat_that_timed_out_was_waited_for(reason: Reason, hung: bool) -> None:
    """One that was refused was not, however long the other home took in the same look."""
    guarded = Guarded(rule=BreakerRule())
    for _ in range(3):
        guarded.clock.advance(3)
        guarded.guard.heard(Failed(reason), 2.0)
    assert (guarded.guard.breaker.state is BreakerState.OPEN) == hung


async def test_nobody_waits_for_a_home_that_hangs_on(guarded: Guarded) -> None:
    """Heartbeats find out whether it is back, not callers, of whom each would pay a deadline."""
    await guarded.fail(3, Failed(Reason.TIMEOUT))
    for _ in range(100):
        guarded.clock.advance(3)
        guarded.guard.heard(Failed(Reason.TIMEOUT), 2.0)
        assert guarded.guard.room(16) == 0
        refused = await guarded.get()
        assert isinstance(refused, Failed)
        assert refused.reason is Reason.BREAKER_OPEN
    assert guarded.home.calls == ["get"] * 3


@pytest.mark.parametrize("reason", ANSWERS)
async def test_a_heartbeat_that_hears_of_damage_hears_the_home(
    guarded: Guarded, reason: Reason
) -> None:
    await guarded.fail(2)
    guarded.guard.heard(Failed(reason), 2.0)
    await guarded.fail(2)
    assert guarded.guard.breaker.state is BreakerState.CLOSED


async def test_a_call_that_is_cancelled_before_its_home_was_asked_leaves_nothing(
    guarded: Guarded,
) -> None:
    """Python warns of a coroutine that nobody began, which fails this test."""
    scan = asyncio.create_task(guarded.scan())
    await asyncio.sleep(0)
    scan.cancel()
    with pytest.raises(asyncio.CancelledError):
        await scan
    assert guarded.home.calls == []


async def _cancelled_scan(guarded: Guarded) -> None:
    guarded.home.delay_s = 0.5
    scan = asyncio.create_task(guarded.scan())
    while not guarded.home.calls[3:]:
        await asyncio.sleep(0)
    scan.cancel()
    await asyncio.gather(scan, return_exceptions=True)


async def _refused_leg(guarded: Guarded) -> None:
    assert isinstance(await guarded.put(guarded.record(ahead_us=10_000_000)), Failed)


async def _answer(guarded: Guarded) -> None:
    assert isinstance(await guarded.get(), Missing)


@pytest.mark.parametrize("outcome", [_cancelled_scan, _refused_leg, _answer])
async def test_no_trial_is_lost(
    guarded: Guarded, outcome: Callable[[Guarded], Awaitable[None]]
) -> None:
    await guarded.fail(3)
    guarded.heartbeat(after_s=2)
    await outcome(guarded)
    assert guarded.guard.room(2) == 2


async def test_a_leg_from_before_an_outage_does_not_prolong_it(guarded: Guarded) -> None:
    guarded.home.delay_s = 0.01
    guarded.home.write_answer = lambda: Failed(Reason.TIMEOUT)
    old = guarded.put()
    for _ in range(3):
        guarded.clock.advance(1)
        guarded.guard.heard(DOWN, 2.0)
    guarded.heartbeat(after_s=2)
    assert guarded.guard.breaker.state is BreakerState.HALF_OPEN
    assert await old == Failed(Reason.TIMEOUT)
    assert guarded.guard.breaker.state is BreakerState.HALF_OPEN


def _raise() -> Failed:
    raise KeyError("a bug")


@pytest.mark.parametrize("answer", [None, lambda: DOWN, lambda: Failed(Reason.CONTENDED), _raise])
@pytest.mark.parametrize("bounds", [LegBounds(legs_max=2), LegBounds(bytes_max=40)])
async def test_bounds_are_given_back_whatever_comes(
    answer: Callable[[], Failed] | None, bounds: LegBounds
) -> None:
    guarded = Guarded(bounds, BreakerRule(failures_to_open=1000))
    guarded.home.delay_s = 0.001
    guarded.home.write_answer = answer
    for _ in range(3):
        two = [guarded.put() for _ in range(2)]
        third = await guarded.put()
        assert isinstance(third, Failed)
        assert third.reason is Reason.NOT_STARTED
        assert not any(isinstance(r, Failed) and r.reason is Reason.NOT_STARTED
                       for r in await asyncio.gather(*two))  # fmt: skip


@pytest.mark.parametrize("call", [Guarded.get, Guarded.put, Guarded.scan])
async def test_a_home_that_raises_has_failed(
    guarded: Guarded, call: Callable[[Guarded], Awaitable[object]]
) -> None:
    guarded.home.answer = _raise
    for _ in range(3):
        guarded.clock.advance(1)
        assert await call(guarded) == Failed(Reason.ERROR, "KeyError('a bug')")
    assert guarded.guard.breaker.state is BreakerState.OPEN
    assert guarded.pair.observer.broken == 3
    assert {reply[2] for reply in guarded.pair.observer.replies} == {Reason.ERROR}


class RaisingHome:
    """A home whose methods raise before they have returned anything to wait for."""

    side = Side.S3
    clock_skew_max_us = 0

    def get(self, *_: object) -> Awaitable[Missing]:
        raise KeyError("a bug")

    def put_if_newer(self, *_: object) -> Awaitable[Stored]:
        raise KeyError("a bug")

    def scan(self, *_: object, **__: object) -> Awaitable[ScanPage]:
        raise KeyError("a bug")

    async def aclose(self) -> None:
        raise AssertionError


async def test_a_home_that_raises_at_once_has_failed_too(guarded: Guarded) -> None:
    guard = GuardedHome(
        RaisingHome(),  # type: ignore[arg-type]  # this home breaks its promise
        clock=guarded.clock, time=guarded.pair.time, observer=guarded.pair.observer,
        bounds=LegBounds(legs_max=1), rule=BreakerRule(failures_to_open=1000),
    )  # fmt: skip
    guard.barred = ""
    broken = Failed(Reason.ERROR, "KeyError('a bug')")
    for _ in range(3):
        assert await guard.put_if_newer(KEY, guarded.record(), 1.0) == broken
        await asyncio.sleep(0)
        assert await guard.get(KEY, 1.0) == broken
        assert await guard.scan(NAMESPACE, after="", prefix="", limit=1, deadline_s=1.0) == broken
    assert guarded.pair.observer.broken == 9


async def test_a_version_ahead_of_the_homes_is_not_sent(guarded: Guarded) -> None:
    skew_us = guarded.guard.clock_skew_max_us
    refused = await guarded.put(guarded.record(ahead_us=skew_us + 1))
    assert isinstance(refused, Failed)
    assert refused.reason is Reason.NOT_STARTED
    assert guarded.home.calls == []
    assert isinstance(await guarded.put(guarded.record(ahead_us=skew_us)), Stored)


@pytest.mark.parametrize(
    "reason", [None, *(reason for reason in Reason if reason is not Reason.SWITCHED_OFF)]
)
async def test_whoever_tells_the_time_is_heard(guarded: Guarded, reason: Reason | None) -> None:
    """A failure that carries the home's time, as a corrupt copy or a status 500 does, counts."""
    guarded.clock.advance(100)  # what was heard before is forgotten
    assert not guarded.pair.time.known()
    if reason is not None:
        guarded.home.answer = lambda: replace(Failed(reason), home_time_us=guarded.clock.now_us())
    await guarded.get()
    assert guarded.pair.time.known()


async def test_what_does_not_tell_the_time_is_no_time(guarded: Guarded) -> None:
    guarded.clock.advance(100)
    await guarded.fail(1)
    assert not guarded.pair.time.known()


async def test_every_call_is_counted_with_its_time(guarded: Guarded) -> None:
    await guarded.get()
    await guarded.put()
    await guarded.scan()
    guarded.home.down()
    await guarded.get()
    assert guarded.pair.observer.replies == [
        (Side.S3, "get", None), (Side.S3, "put", None), (Side.S3, "scan", None),
        (Side.S3, "get", Reason.UNREACHABLE),
    ]  # fmt: skip


async def test_a_failure_is_shown_while_it_matters(guarded: Guarded) -> None:
    assert guarded.guard.last_failure == ""
    await guarded.fail(3)
    guarded.clock.advance(1000)
    assert guarded.guard.last_failure == str(DOWN), "it is not known to be back"
    while guarded.guard.breaker.state is not BreakerState.CLOSED:
        guarded.heartbeat(after_s=1)
    assert guarded.guard.last_failure == ""
    await guarded.fail(1)
    guarded.clock.advance(60)
    assert guarded.guard.last_failure == str(DOWN)
    guarded.clock.advance(0.001)
    assert guarded.guard.last_failure == ""
