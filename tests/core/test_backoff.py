"""Backoff, retry budget and breaker: bounds and laws, and every short history of a breaker."""

import enum
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.core.backoff import Breaker, BreakerRule, BreakerState, RetryBudget, delay_s

JUST_BELOW_1 = 1 - 2**-53


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_pause_lies_between_a_tenth_of_its_step_and_its_step(
    attempt: int, unit_random: float
) -> None:
    step_s = min(30.0, 0.1 * 2 ** min(attempt - 1, 100))
    pause_s = delay_s(attempt, first_s=0.1, most_s=30.0, unit_random=unit_random)
    assert step_s * 0.1 <= pause_s <= step_s


def test_steps_double_up_to_the_most_and_the_jitter_fills_them() -> None:
    attempts = (1, 2, 3, 4, 5, 6, 1_000_000)
    longest = [
        delay_s(attempt, first_s=1, most_s=10, unit_random=JUST_BELOW_1) for attempt in attempts
    ]
    shortest = [delay_s(attempt, first_s=1, most_s=10, unit_random=0) for attempt in attempts]
    assert longest == pytest.approx([1, 2, 4, 8, 10, 10, 10])
    assert shortest == pytest.approx([0.1, 0.2, 0.4, 0.8, 1, 1, 1])


def test_attempts_count_from_one() -> None:
    with pytest.raises(AssertionError):
        delay_s(0, first_s=1, most_s=10, unit_random=0)


@given(st.lists(st.booleans()), st.integers(1, 5))
def test_retries_stay_a_share_of_the_successes(successes: list[bool], tokens_max: int) -> None:
    budget = RetryBudget(tokens_max=tokens_max, earned_per_success=0.25)
    retries = 0
    for count, success in enumerate(successes, 1):
        before = budget.tokens
        if success:
            budget.succeeded()
            assert budget.tokens == min(before + 0.25, tokens_max)
        else:
            allowed = budget.spend()
            assert allowed == (before >= 1)
            assert budget.tokens == before - allowed
            retries += allowed
        assert 0 <= budget.tokens <= tokens_max
        assert retries <= tokens_max + 0.25 * count


def test_an_empty_budget_allows_a_retry_per_four_successes() -> None:
    budget = RetryBudget(tokens_max=2, earned_per_success=0.25)
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    for _ in range(3):
        budget.succeeded()
    assert not budget.spend()
    budget.succeeded()
    assert budget.spend()


def test_a_budget_that_earns_by_the_second_lets_a_retry_through_without_any_success() -> None:
    budget = RetryBudget(tokens_max=2, earned_per_success=0, earned_per_s=0.25)
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    budget.elapsed(3)
    assert not budget.spend()
    budget.elapsed(1)
    assert budget.spend()
    budget.elapsed(1_000)
    assert budget.tokens == 2, "time alone fills it no further than its bound"


RULE = BreakerRule(
    failures_to_open=3, waits_to_open=2, wait_us=5, failing_us_to_open=1, open_us=2,
    successes_to_close=2,
)  # fmt: skip


class Event(enum.Enum):
    """What happens around a breaker."""

    ASK = enum.auto()
    OK = enum.auto()
    BEAT = enum.auto()
    FAIL = enum.auto()
    HANG = enum.auto()
    WAIT = enum.auto()


FAILURES = (Event.FAIL, Event.HANG)


class Story:
    """A breaker's history and the rules in words: each state is found from what was noted in it."""

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        self.now_us = 0
        self._since_us = 0
        self._opened_us = 0
        self._noted: list[tuple[Event, int]] = []

    def _enter(self, state: BreakerState) -> None:
        self.state, self._since_us, self._noted = state, self.now_us, []
        if state is BreakerState.OPEN:
            self._opened_us = self.now_us

    def _successes(self) -> int:
        return sum(event is Event.OK for event, _ in self._noted)

    def _failing(self) -> list[tuple[Event, int]]:
        """The failures since the last success, and when they were."""
        failing: list[tuple[Event, int]] = []
        for event, at_us in self._noted:
            failing = [*failing, (event, at_us)] if event in FAILURES else []
        return failing

    def tell(self, event: Event) -> bool | None:
        """What happens next; says whether a call is admitted when asked."""
        match event, self.state:
            case Event.WAIT, _:
                self.now_us += 1
            case Event.ASK, BreakerState.CLOSED:
                return True
            case Event.ASK, BreakerState.OPEN:
                return False
            case Event.ASK, BreakerState.HALF_OPEN:
                return self._ask_for_a_trial()
            case Event.BEAT, BreakerState.OPEN:
                if self.now_us - self._since_us >= RULE.open_us:
                    self._enter(BreakerState.HALF_OPEN)
                    self._note(Event.OK)
            case _, BreakerState.OPEN:
                pass  # a call from before it opened tells nothing new
            case Event.BEAT, _:
                self._note(Event.OK)
            case Event.FAIL, BreakerState.HALF_OPEN:
                self._enter(BreakerState.OPEN)
            case Event.HANG, BreakerState.HALF_OPEN:
                if self.now_us - RULE.wait_us >= self._opened_us:
                    self._enter(BreakerState.OPEN)
            case _:
                self._note(event)
        return None

    def _note(self, event: Event) -> None:
        self._noted.append((event, self.now_us))
        failing = self._failing()
        if self.state is BreakerState.HALF_OPEN:
            if self._successes() == RULE.successes_to_close:
                self._enter(BreakerState.CLOSED)
            return
        hung = [event for event, _ in failing].count(Event.HANG)
        enough = len(failing) >= RULE.failures_to_open or hung >= RULE.waits_to_open
        if enough and self.now_us - failing[0][1] >= RULE.failing_us_to_open:
            self._enter(BreakerState.OPEN)

    def _ask_for_a_trial(self) -> bool:
        under_way = 0
        for event, _ in self._noted:
            under_way = max(0, under_way + (1 if event is Event.ASK else -1))
        admitted = under_way < 1 << self._successes()
        if admitted:
            self._noted.append((Event.ASK, self.now_us))
        return admitted


def test_every_short_history_of_a_breaker_goes_as_told() -> None:
    met = set()
    for events in product(Event, repeat=7):
        breaker, story = Breaker(RULE), Story()
        for event in events:
            met.add((story.state, event))
            expected = story.tell(event)
            assert _play(breaker, event, story.now_us) == expected, events
            assert breaker.state is story.state, events
    assert met == set(product(BreakerState, Event))


def _play(breaker: Breaker, event: Event, now_us: int) -> bool | None:
    match event:
        case Event.ASK:
            room = breaker.room(most=3)
            assert breaker.admits() == (room > 0)
            if breaker.state is BreakerState.HALF_OPEN and room:
                assert breaker.room(most=3) in {room - 1, 3}
            return room > 0
        case Event.BEAT:
            breaker.heard(now_us)
        case Event.OK:
            breaker.succeeded()
        case Event.FAIL:
            breaker.failed(now_us, now_us)
        case Event.HANG:
            breaker.failed(now_us, now_us - RULE.wait_us)
        case Event.WAIT:
            pass
    return None


def _opened(rule: BreakerRule) -> Breaker:
    breaker = Breaker(rule)
    for failure in range(rule.failures_to_open):
        now_us = failure * rule.failing_us_to_open
        breaker.failed(now_us, now_us)
    assert breaker.state is BreakerState.OPEN
    return breaker


def _tried(rule: BreakerRule, now_us: int = 10**12) -> Breaker:
    """One that has opened, and of whose home a heartbeat was heard again."""
    breaker = _opened(rule)
    breaker.heard(now_us)
    assert breaker.state is BreakerState.HALF_OPEN
    return breaker


@pytest.mark.parametrize(
    ("failed_us", "state"),
    [
        ([0] * 1_000, BreakerState.CLOSED),
        ([0] * 1_000 + [999_999], BreakerState.CLOSED),
        ([0] * 1_000 + [1_000_000], BreakerState.OPEN),
        ([0] + [10**9] * 18, BreakerState.CLOSED),
        ([0] + [10**9] * 19, BreakerState.OPEN),
    ],
    ids=["a burst", "too soon", "in time", "too few", "enough"],
)
def test_it_opens_after_enough_failures_over_long_enough(
    failed_us: list[int], state: BreakerState
) -> None:
    breaker = Breaker(BreakerRule(failures_to_open=20, failing_us_to_open=1_000_000))
    for now_us in failed_us:
        breaker.failed(now_us, now_us)
    assert breaker.state is state


@pytest.mark.parametrize(
    ("hung_us", "state"),
    [
        ([0, 0, 0], BreakerState.CLOSED),
        ([0, 0, 999_999], BreakerState.CLOSED),
        ([0, 10**9], BreakerState.CLOSED),
        ([0, 0, 1_000_000], BreakerState.OPEN),
        ([0, 3_000_000, 6_000_000], BreakerState.OPEN),
    ],
    ids=["a pause of ours", "too soon", "too few", "callers", "heartbeats"],
)
def test_a_few_that_were_waited_for_open_it(hung_us: list[int], state: BreakerState) -> None:
    breaker = Breaker(BreakerRule())
    for now_us in hung_us:
        breaker.failed(now_us, now_us - 1_000_000)
    assert breaker.state is state


@pytest.mark.parametrize("pauses", range(1, 5))
def test_pauses_of_this_process_do_not_open_it_while_the_home_answers(pauses: int) -> None:
    """After each, all that was under way has timed out at once; then the home is asked anew."""
    breaker = Breaker(BreakerRule())
    for resumed_us in range(10_000_000, 10_000_000 * (pauses + 1), 10_000_000):
        for _ in range(1_000):
            breaker.failed(resumed_us, resumed_us - 9_000_000)
        breaker.heard(resumed_us + 1_000)
    assert breaker.openings == 0


def test_who_asks_is_never_the_first_to_try_a_home_again() -> None:
    breaker = _opened(BreakerRule())
    assert [breaker.admits(), breaker.room(10)] == [False, 0]
    breaker.heard(10**12)
    assert [breaker.admits(), breaker.room(10)] == [True, 1]


def test_it_lets_twice_as_many_through_with_each_success() -> None:
    rule = BreakerRule()
    breaker = _tried(rule)
    admitted = []
    for _ in range(rule.successes_to_close - 1):
        batch = 0
        while breaker.admits():
            batch += 1
        admitted.append(batch)
        breaker.succeeded()
    assert admitted == [2, 3, 5, 9, 17, 33, 65]
    assert breaker.state is BreakerState.CLOSED


def test_a_failed_trial_starts_all_over() -> None:
    now_us = 10**12
    breaker = _tried(BreakerRule(), now_us)
    for _ in range(3):
        assert breaker.admits()
        breaker.succeeded()
    breaker.failed(now_us, now_us)
    assert not breaker.admits()
    breaker.heard(now_us + BreakerRule().open_us)
    assert [breaker.admits() for _ in range(3)] == [True, True, False]


def test_late_successes_count_but_free_no_trial() -> None:
    breaker = _tried(BreakerRule())
    assert breaker.admits()
    breaker.succeeded()
    breaker.succeeded()  # of a call from before it opened
    assert [breaker.admits() for _ in range(9)] == [True] * 8 + [False]


def test_late_failures_do_not_keep_it_open_longer() -> None:
    rule = BreakerRule()
    breaker = _opened(rule)
    opened_us = (rule.failures_to_open - 1) * rule.failing_us_to_open
    for late in range(100):
        breaker.failed(opened_us + late * rule.open_us // 100, began_us=0)
    breaker.heard(opened_us + rule.open_us - 1)
    assert not breaker.admits()
    breaker.heard(opened_us + rule.open_us)
    assert breaker.admits()


def test_calls_from_before_it_opened_do_not_end_a_trial() -> None:
    opened_us = BreakerRule().failing_us_to_open * 19
    later_us = opened_us + BreakerRule().open_us
    breaker = _tried(BreakerRule(), later_us)
    assert breaker.admits()
    states = []
    for began_us in (opened_us - 1, later_us):
        breaker.failed(later_us, began_us)
        states.append(breaker.state)
    assert states == [BreakerState.HALF_OPEN, BreakerState.OPEN]


def test_a_trial_that_is_abandoned_may_be_made_again() -> None:
    breaker = _tried(BreakerRule())
    assert [breaker.admits() for _ in range(3)] == [True, True, False]
    breaker.abandoned()
    assert [breaker.admits() for _ in range(2)] == [True, False]


@pytest.mark.parametrize("calls", range(1, 12))
@pytest.mark.parametrize("admitted", [False, True])
def test_successes_noted_together_count_like_as_many_single_ones(
    calls: int, admitted: bool
) -> None:
    rule = BreakerRule(failures_to_open=1, failing_us_to_open=0, open_us=1, successes_to_close=8)
    together, singly = Breaker(rule), Breaker(rule)
    for breaker in (together, singly):
        breaker.failed(0, 0)
        assert breaker.state is BreakerState.OPEN
        if admitted:
            breaker.heard(2)
            assert breaker.admits()
    together.succeeded(calls)
    for _ in range(calls):
        singly.succeeded()
    assert together.state is singly.state
    assert together.room(10_000) == singly.room(10_000)
