"""What a machine's memory may say of a key: by itself, against the homes, and in their place."""

from dataclasses import replace

import pytest

from kvgateway.data_path.remembered import Answered, Remembered, result_of
from kvgateway.state.ports import Known, Seen
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.read_race import Answer
from tandem.core.record import Record
from tandem.core.request import Read, ReadResult
from tandem.core.version import NO_VERSION, Version
from tests.kvgateway.one_gateway import NAMESPACE, Counting
from tests.memory.machine import MemoryMachine

KEY = Key(NAMESPACE, "key")
NOW_US = 1_700_000_000_000_000
SECOND_US = 1_000_000
OLD, NEW = (seal(Version.at(NOW_US - age_s * SECOND_US), b"v") for age_s in (20, 10))


@pytest.fixture
def machine() -> MemoryMachine:
    return MemoryMachine(gateway_id=b"gate", random=Counting().token, clock_bound_us=2**51)


@pytest.fixture
def remembered(machine: MemoryMachine) -> Remembered:
    return Remembered(machine, cache_ttl_s=60, miss_ttl_us=SECOND_US, remembered_s=90)


def known(record: Record | None, version: Version = NO_VERSION, age_s: float = 0.5) -> Known:
    seen_us = NOW_US - int(age_s * SECOND_US)
    return Known(record.version if record else version, False, record, seen_us)


@pytest.mark.parametrize(
    ("read", "what", "serves"),
    [
        (Read(KEY), known(OLD), True),
        (Read(KEY), known(OLD, age_s=61), False),
        (Read(KEY, cache_ttl_s=120), known(OLD, age_s=61), True),
        (Read(KEY, cache_ttl_s=0), known(OLD), False),
        (Read(KEY, OLD.version), known(OLD), True),
        (Read(KEY, NEW.version), known(OLD), False),
        (Read(KEY), known(None), True),
        (Read(KEY), known(None, age_s=1.1), False),
        (Read(KEY, cache_ttl_s=120), known(None, age_s=1.1), False),
        (Read(KEY), known(None, OLD.version), False),
    ],
)
def test_what_serves_a_read(remembered: Remembered, read: Read, what: Known, serves: bool) -> None:
    assert remembered.serves(read, what, NOW_US) is serves


@pytest.mark.parametrize("shown", [OLD, None], ids=["older", "nothing"])
def test_homes_that_show_less_are_overruled_for_a_while(
    machine: MemoryMachine, remembered: Remembered, shown: Record | None
) -> None:
    machine.fill([Seen(KEY, NEW, NOW_US)], NOW_US)
    doubtful = Answer(shown, unconfirmed=True, stale=False)
    (told,) = remembered.told([Answered(KEY, doubtful, NOW_US)], NOW_US)
    assert told == result_of(NEW, NOW_US, version=NEW.version, stale=True)
    later_us = NOW_US + 91 * SECOND_US
    surely = Answered(KEY, replace(doubtful, unconfirmed=False), later_us)
    (told,) = remembered.told([surely], later_us)
    assert told == result_of(shown, later_us)


def test_a_stale_record_is_never_served_again_but_nobody_goes_back_behind_it(
    machine: MemoryMachine, remembered: Remembered
) -> None:
    stale = Answer(NEW, unconfirmed=False, stale=True)
    (told,) = remembered.told([Answered(KEY, stale, NOW_US)], NOW_US)
    assert told.stale
    kept = machine.lookup([KEY], NOW_US)[0]
    assert kept is not None
    assert not remembered.serves(Read(KEY), kept, NOW_US)
    older = Answer(OLD, unconfirmed=False, stale=False)
    (told,) = remembered.told([Answered(KEY, older, NOW_US)], NOW_US)
    assert told.record == NEW


def test_what_came_together_is_told_each_with_its_own(
    machine: MemoryMachine, remembered: Remembered
) -> None:
    """A miss in doubt among them is no news, and nothing is put in its place."""
    known_before, missed, in_doubt = (Key(NAMESPACE, name) for name in ("known", "missed", "doubt"))
    machine.fill([Seen(known_before, NEW, NOW_US)], NOW_US)
    answers = [
        Answered(in_doubt, Answer(None, unconfirmed=True), NOW_US),
        Answered(KEY, Answer(OLD), NOW_US),
        Answered(missed, Answer(None), NOW_US),
        Answered(known_before, Answer(OLD), NOW_US),
    ]
    told = remembered.told(answers, NOW_US)
    assert [(one.record, one.unconfirmed) for one in told] == [
        (None, True), (OLD, False), (None, False), (NEW, False),
    ]  # fmt: skip
    in_memory = machine.lookup([in_doubt, KEY, missed, known_before], NOW_US)
    assert [known and known.record for known in in_memory] == [None, OLD, None, NEW]
    assert in_memory[0] is None
    assert in_memory[2] is not None


@pytest.mark.parametrize(
    ("pinned", "wanted", "age_s", "instead"),
    [
        (False, NO_VERSION, 0, ReadResult(NEW, NEW.version, cached=True, stale=True)),
        (True, NO_VERSION, 0, ReadResult(NEW, NEW.version, cached=True)),
        (True, NEW.version, 0, ReadResult(NEW, NEW.version, cached=True)),
        (True, NO_VERSION, 91, ReadResult(NEW, NEW.version, cached=True)),
        (False, NO_VERSION, 91, None),
        (False, Version.at(NOW_US), 0, None),
    ],
)
def test_what_is_told_when_no_home_answers(
    machine: MemoryMachine, remembered: Remembered, pinned: bool, wanted: Version, age_s: int,
    instead: ReadResult | None,
) -> None:  # fmt: skip
    if pinned:
        machine.install([(KEY, NEW)], NOW_US)
    else:
        machine.fill([Seen(KEY, NEW, NOW_US)], NOW_US)
    assert remembered.instead(KEY, wanted, NOW_US + age_s * SECOND_US) == instead


def test_nothing_is_told_of_a_miss_when_no_home_answers(
    machine: MemoryMachine, remembered: Remembered
) -> None:
    assert remembered.instead(KEY, NO_VERSION, NOW_US) is None
    machine.fill([Seen(KEY, None, NOW_US)], NOW_US)
    assert remembered.instead(KEY, NO_VERSION, NOW_US) is None
