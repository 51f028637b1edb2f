"""The write race: every pair of legs, with and without an intent, in every order, by every policy.

The oracle looks at all that has happened so far, and asks whether the policy's words hold of it.
"""

from collections.abc import Iterator, Sequence
from itertools import permutations, product
from typing import NamedTuple

import pytest

from tandem.core.limits import (
    ACK_WINDOW_US,
    CLOCK_SKEW_MAX_US,
    WHOLE_SECOND_CLOCK_SKEW_MAX_US,
)
from tandem.core.reply import (
    Failed,
    GiveUp,
    Reason,
    Refusal,
    Refused,
    Side,
    Stored,
    Superseded,
    WriteReply,
)
from tandem.core.version import Version
from tandem.core.write_race import Ack, AckPolicy, WriteRace

MINTED_US = 1_700_000_000_000_000
VERSION = Version.at(MINTED_US)
NEWER, NEWEST = Version.at(MINTED_US + 1), Version.at(MINTED_US + 2)
SKEW_MAX_US = {Side.KVSP: CLOCK_SKEW_MAX_US, Side.S3: WHOLE_SECOND_CLOCK_SKEW_MAX_US}


class Leg(NamedTuple):
    """What a home replied, whether that holds the record, and whether it is in time for an ack."""

    reply: WriteReply
    holds: bool
    confirms: bool


def _legs(skew_max_us: int) -> Iterator[Leg]:
    in_time = (-skew_max_us, 0, ACK_WINDOW_US)
    out_of_time = (-skew_max_us - 1, ACK_WINDOW_US + 1)
    for age_us in in_time:
        yield Leg(Stored(MINTED_US + age_us), holds=True, confirms=True)
    for age_us in out_of_time:
        yield Leg(Stored(MINTED_US + age_us), holds=True, confirms=False)
    yield Leg(Superseded(NEWER, MINTED_US), holds=True, confirms=True)
    yield Leg(Superseded(NEWEST, MINTED_US), holds=True, confirms=True)
    yield Leg(Superseded(NEWEST, MINTED_US + out_of_time[1]), holds=True, confirms=False)
    for refusal in Refusal:
        yield Leg(Refused(refusal, MINTED_US), holds=False, confirms=False)
    yield Leg(Failed(Reason.TIMEOUT), holds=False, confirms=False)
    yield Leg(Failed(Reason.NOT_STARTED), holds=False, confirms=False)


Event = tuple[Side, Leg] | bool
"""A leg that has replied, or the journal's word on the intent."""


def _write(*sides: Side) -> Iterator[list[Event]]:
    """Every way in which a write to these homes can go, with and without word from the journal."""
    for legs in product(*(_legs(SKEW_MAX_US[side]) for side in sides)):
        events: list[Event] = list(zip(sides, legs, strict=True))
        for intent in ([], [True], [False]):
            yield from map(list, permutations([*events, *intent]))


WRITES = [(sides, events) for sides in ((Side.KVSP, Side.S3), (Side.KVSP,), (Side.S3,))
          for events in _write(*sides)]  # fmt: skip


class Seen:
    """What has happened so far, in the words of the policies."""

    def __init__(self, sides: Sequence[Side], events: Sequence[Event]) -> None:
        legs = [event for event in events if not isinstance(event, bool)]
        self.confirmed = [side for side, leg in legs if leg.confirms]
        self.newest = max(
            (leg.reply.newest for _, leg in legs if isinstance(leg.reply, Superseded)), default=None
        )
        self.one_confirmed = len(self.confirmed) > 0
        self.all_confirmed = len(self.confirmed) == len(sides)
        self.all_replied = len(legs) == len(sides)
        self.intent_durable = True in events
        self.intent_open = True not in events and False not in events

    def acknowledged(self, policy: AckPolicy, *, intent_durable: bool | None = None) -> bool:
        durable = self.intent_durable if intent_durable is None else intent_durable
        match policy:
            case AckPolicy.FIRST:
                return self.one_confirmed
            case AckPolicy.FIRST_INTENT:
                return (self.one_confirmed and durable) or self.all_confirmed
            case AckPolicy.BOTH:
                return self.all_confirmed

    def hopeless(self, policy: AckPolicy) -> bool:
        """Whether nothing more can come that would acknowledge the write."""
        best = self.intent_durable or self.intent_open
        return self.all_replied and not self.acknowledged(policy, intent_durable=best)


def _start(sides: Sequence[Side], policy: AckPolicy, alone: Side | None = None) -> WriteRace:
    return WriteRace(VERSION, policy, {side: SKEW_MAX_US[side] for side in sides}, alone)


def _feed(race: WriteRace, event: Event) -> Ack | GiveUp | None:
    if isinstance(event, bool):
        return race.on_intent(event)
    side, leg = event
    return race.on_leg(side, leg.reply)


@pytest.mark.parametrize("policy", AckPolicy)
def test_a_write_is_acknowledged_exactly_when_its_policy_says_so(policy: AckPolicy) -> None:
    for sides, events in WRITES:
        race, over = _start(sides, policy), False
        for count, event in enumerate(events, 1):
            outcome = _feed(race, event)
            seen = Seen(sides, events[:count])
            if not over and seen.acknowledged(policy):
                assert outcome == Ack(seen.confirmed[0], seen.newest), events
            elif not over and seen.hopeless(policy):
                assert isinstance(outcome, GiveUp), events
            else:
                assert outcome is None, events
            over = over or outcome is not None
            assert race.answered == over
            assert race.complete() == seen.all_replied


@pytest.mark.parametrize("policy", AckPolicy)
def test_every_write_has_an_outcome_once_all_is_in(policy: AckPolicy) -> None:
    for sides, events in WRITES:
        if len(events) == len(sides) + 1:
            race = _start(sides, policy)
            assert sum(_feed(race, event) is not None for event in events) == 1, events


def test_the_homes_left_to_repair_are_those_that_do_not_hold_the_write() -> None:
    for sides, events in WRITES:
        race = _start(sides, AckPolicy.FIRST)
        left = list(sides)
        assert race.unconfirmed() == tuple(left)
        for event in events:
            _feed(race, event)
            if not isinstance(event, bool) and event[1].holds:
                left.remove(event[0])
            assert race.unconfirmed() == tuple(left), events


@pytest.mark.parametrize(("side", "skew_max_us"), SKEW_MAX_US.items())
@pytest.mark.parametrize("policy", AckPolicy)
def test_each_home_has_its_own_window(side: Side, skew_max_us: int, policy: AckPolicy) -> None:
    for age_us, counts in (
        (-skew_max_us - 1, False),
        (-skew_max_us, True),
        (ACK_WINDOW_US, True),
        (ACK_WINDOW_US + 1, False),
    ):
        outcome = _start([side], policy).on_leg(side, Stored(MINTED_US + age_us))
        expected = Ack(side) if counts else GiveUp((f"{side.value}: confirmed out of time",))
        assert outcome == expected, age_us


def test_whoever_gives_up_says_why_of_each_home() -> None:
    race = _start([Side.KVSP, Side.S3], AckPolicy.FIRST_INTENT)
    assert race.on_intent(True) is None
    assert race.on_leg(Side.S3, Failed(Reason.TIMEOUT, "30 s")) is None
    assert race.on_leg(Side.KVSP, Refused(Refusal.FLOOR, MINTED_US)) == GiveUp(
        ("s3: timeout: 30 s", "kvsp: refused: at or below the floor of its range")
    )


def test_an_intent_that_is_not_durable_is_named() -> None:
    race = _start([Side.KVSP, Side.S3], AckPolicy.FIRST_INTENT)
    assert race.on_leg(Side.KVSP, Stored(MINTED_US)) is None
    assert race.on_leg(Side.S3, Failed(Reason.ERROR)) is None, "the intent may yet be durable"
    assert race.on_intent(False) == GiveUp(
        ("kvsp: confirmed", "s3: error", "journal: the intent is not durable")
    )


def test_a_leg_and_the_journal_speak_once() -> None:
    race = _start([Side.KVSP, Side.S3], AckPolicy.BOTH)
    race.on_leg(Side.KVSP, Stored(MINTED_US))
    race.on_intent(True)
    with pytest.raises(AssertionError):
        race.on_leg(Side.KVSP, Stored(MINTED_US))
    with pytest.raises(AssertionError):
        race.on_intent(True)


@pytest.mark.parametrize("alone", Side)
@pytest.mark.parametrize("policy", AckPolicy)
def test_where_one_home_answers_alone_no_write_is_acknowledged_without_it(
    policy: AckPolicy, alone: Side
) -> None:
    """The other's leg counts only where it makes the second copy that an intent stands for."""
    for sides, events in WRITES:
        if len(sides) < 2:
            continue
        race = _start(sides, policy, alone)
        told = None
        for count, event in enumerate(events, 1):
            outcome = _feed(race, event)
            assert told is None or outcome is None, "a client is told once"
            told = told or outcome
            seen = Seen(sides, events[:count])
            own = alone in seen.confirmed
            durable = seen.intent_durable or seen.all_confirmed or policy is AckPolicy.FIRST
            assert isinstance(told, Ack) == (own and durable)
            if isinstance(told, Ack):
                assert told.first is alone
            failed = any(event[0] is alone for event in events[:count] if isinstance(event, tuple))
            if failed and not own:
                assert isinstance(told, GiveUp), "nobody waits for the home that has no say"
        if len(events) == 3:
            assert told is not None
