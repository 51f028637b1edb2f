"""The read race: every pair of replies, in both orders, against the table of `core/read_race.py`.

The oracle knows numbers and words only. The words are those of the table, and each of the two
tables below reads as it does.
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import pytest

from tandem.core.read_race import Answer, ReadRace, in_sync
from tandem.core.reply import Failed, GiveUp, Missing, Reason, Side
from tests.core.examples import GLIMPSES, VALUES, Said, Saying, record, sayings, version

KVSP, S3 = Side.KVSP, Side.S3
NOTHING = 0
WANTED = 2


class Word(enum.Enum):
    """A reply in the words of the table."""

    GOOD = "record at or above wanted"
    BELOW = "below wanted"
    MISSING = "missing"
    FAILED = "failed"
    GLIMPSE = "glimpse"
    ZOMBIE = "value on S3 up to the floor"


class Sees(enum.Enum):
    """What the client sees."""

    FIRST = "the first, at once"
    SECOND = "the second"
    NOT_FOUND = "not found"
    UNCONFIRMED = "not found, unconfirmed"
    NOT_FOUND_AT_ONCE = "not found, unconfirmed unless both have missed by then"
    UNCONFIRMED_AND_STALE = "not found, unconfirmed, stale"
    STALE = "the second, stale"
    GIVE_UP = "give up"


GOOD, BELOW, MISSING, FAILED, GLIMPSE, ZOMBIE = Word

Table = Mapping[tuple[object, object], Sees]

RACE: Table = {
    (GOOD, ...): Sees.FIRST,
    (MISSING, GOOD): Sees.SECOND,
    (MISSING, MISSING): Sees.NOT_FOUND,
    (MISSING, FAILED): Sees.UNCONFIRMED,
    (MISSING, ZOMBIE): Sees.NOT_FOUND,
    (BELOW, GOOD): Sees.SECOND,
    (BELOW, BELOW): Sees.GIVE_UP,
    (BELOW, FAILED): Sees.GIVE_UP,
    (FAILED, GOOD): Sees.SECOND,
    (FAILED, MISSING): Sees.UNCONFIRMED,
    (FAILED, BELOW): Sees.GIVE_UP,
    (FAILED, FAILED): Sees.GIVE_UP,
    (GLIMPSE, GOOD): Sees.SECOND,
    (GLIMPSE, ...): Sees.GIVE_UP,
    (..., GLIMPSE): Sees.GIVE_UP,
}
"""By the first reply and the second, where no home is behind."""

RACE_WITH_ONE_BEHIND: Table = {
    (GOOD, ...): Sees.FIRST,
    (MISSING, ...): Sees.NOT_FOUND_AT_ONCE,
    (BELOW, GOOD): Sees.SECOND,
    (BELOW, ...): Sees.GIVE_UP,
    (FAILED, GOOD): Sees.STALE,
    (FAILED, MISSING): Sees.UNCONFIRMED_AND_STALE,
    (FAILED, ...): Sees.GIVE_UP,
    (GLIMPSE, GOOD): Sees.SECOND,
    (GLIMPSE, ...): Sees.GIVE_UP,
}
"""By the reply of the home to be trusted and the one of the home that is behind."""


class Case(NamedTuple):
    """One race of two homes: what each says, in which order, what is wanted, who is behind."""

    first: Side
    sayings: dict[Side, Saying]
    wanted: int
    behind: tuple[Side, ...]

    def said(self, side: Side) -> Saying:
        return self.sayings[side]

    def __str__(self) -> str:
        said = " then ".join(f"{s.value}: {self.said(s)}" for s in (self.first, self.first.other))
        return f"{said}; wanted {self.wanted}, behind {[side.value for side in self.behind]}"


def _cases() -> Iterator[Case]:
    kvsp_sayings, s3_sayings = list(sayings(floors=True)), list(sayings(floors=False))
    for kvsp, s3, first, wanted, behind in product(
        kvsp_sayings, s3_sayings, Side, (NOTHING, WANTED), ((), (KVSP,), (S3,), (KVSP, S3))
    ):
        yield Case(first, {KVSP: kvsp, S3: s3}, wanted, behind)


CASES = list(_cases())


def _race(case: Case) -> tuple[ReadRace, list[Answer | GiveUp | None]]:
    race = ReadRace(version(case.wanted), behind=case.behind)
    outcomes = [race.on_reply(s, case.said(s).reply()) for s in (case.first, case.first.other)]
    return race, outcomes


def _word(side: Side, saying: Saying, wanted: int) -> Word:
    if saying.said in GLIMPSES:
        return GLIMPSE
    if saying.said in {Said.FAILED, Said.CORRUPT}:
        return FAILED
    if saying.said is Said.MISSING:
        if wanted == NOTHING:
            return MISSING
        return GOOD if side is KVSP and saying.number >= wanted else BELOW
    return GOOD if saying.number >= wanted else BELOW


def _is_zombie(kvsp: Saying, s3: Saying) -> bool:
    return kvsp.said is Said.MISSING and s3.said in VALUES and s3.number <= kvsp.number


def _look_up(table: Table, one: Word, two: Word) -> Sees:
    return next(table[row] for row in ((one, two), (one, ...), (..., two)) if row in table)


def _expected(case: Case) -> list[Answer | GiveUp | None]:
    """What the race says after the first and after the second reply, by the tables."""
    if len(case.behind) == len(Side):
        return [None, _compared(case)]
    if case.behind:
        (behind,) = case.behind
        one, two, table = behind.other, behind, RACE_WITH_ONE_BEHIND
    else:
        one, two, table = case.first, case.first.other, RACE
    word_one = _word(one, case.said(one), case.wanted)
    word_two = _word(two, case.said(two), case.wanted)
    if not case.behind and two is S3 and _is_zombie(case.said(KVSP), case.said(S3)):
        word_two = ZOMBIE if word_one is MISSING else word_two
    match _look_up(table, word_one, word_two):
        case Sees.FIRST:
            return _when(case, one, _shown(one, case.said(one)))
        case Sees.SECOND:
            return [None, _shown(two, case.said(two))]
        case Sees.STALE:
            return [None, _shown(two, case.said(two), stale=True)]
        case Sees.NOT_FOUND:
            return [None, Answer(None)]
        case Sees.UNCONFIRMED:
            return [None, Answer(None, unconfirmed=True)]
        case Sees.NOT_FOUND_AT_ONCE:
            both_missed = case.first is two and word_two is MISSING
            return _when(case, one, Answer(None, unconfirmed=not both_missed))
        case Sees.UNCONFIRMED_AND_STALE:
            return [None, Answer(None, unconfirmed=True, stale=True)]
        case Sees.GIVE_UP:
            return [None, GiveUp(())]


def _compared(case: Case) -> Answer | GiveUp:
    """What is said where both homes are behind and both have replied: the newest record that will
    do, unless something newer is known to be there; stale, where the other home failed."""
    words = {side: _word(side, case.said(side), case.wanted) for side in Side}
    if _is_zombie(case.said(KVSP), case.said(S3)):
        words[S3] = ZOMBIE
    good = [side for side in Side if words[side] is GOOD]
    if good:
        newest = max(good, key=lambda side: case.said(side).number)
        newer_glimpsed = case.said(newest.other).number > case.said(newest).number
        if words[newest.other] is GLIMPSE and newer_glimpsed:
            return GiveUp(())
        return _shown(newest, case.said(newest), stale=words[newest.other] is FAILED)
    if MISSING in words.values() and not {GLIMPSE, BELOW} & set(words.values()):
        failed = FAILED in words.values()
        return Answer(None, unconfirmed=failed, stale=failed)
    return GiveUp(())


def _when(case: Case, side: Side, answer: Answer) -> list[Answer | GiveUp | None]:
    """The answer as soon as this side has replied."""
    return [answer, None] if case.first is side else [None, answer]


def _shown(side: Side, saying: Saying, *, stale: bool = False) -> Answer:
    if saying.said is Said.MISSING:
        return Answer(None, stale=stale)
    return Answer(record(saying), side, stale=stale)


def _without_reasons(outcome: Answer | GiveUp | None) -> Answer | GiveUp | None:
    return GiveUp(()) if isinstance(outcome, GiveUp) else outcome


def test_the_enumeration_meets_every_row_of_both_tables() -> None:
    words = {
        tuple(_word(side, case.said(side), case.wanted) for side in (case.first, case.first.other))
        for case in CASES
    }
    never = {(MISSING, BELOW), (BELOW, MISSING)}  # with something wanted, a miss is below it
    assert words == set(product(set(Word) - {ZOMBIE}, repeat=2)) - never
    assert any(_is_zombie(case.said(KVSP), case.said(S3)) for case in CASES)
    assert len(CASES) == 24 * 21 * 2 * 2 * 4


def test_every_race_ends_as_the_table_says() -> None:
    for case in CASES:
        _, outcomes = _race(case)
        assert list(map(_without_reasons, outcomes)) == _expected(case), str(case)


def test_every_race_answers_exactly_once() -> None:
    for case in CASES:
        race, outcomes = _race(case)
        assert sum(outcome is not None for outcome in outcomes) == 1, str(case)
        assert race.answered
        assert race.complete()
        assert race.over_both()


def test_no_answer_is_below_wanted() -> None:
    for case in CASES:
        for outcome in filter(None, _race(case)[1]):
            if case.wanted and isinstance(outcome, Answer):
                if outcome.record is not None:
                    assert outcome.record.version >= version(case.wanted), str(case)
                else:
                    assert case.said(KVSP).said is Said.MISSING, str(case)
                    assert case.said(KVSP).number >= case.wanted, str(case)


def test_a_home_that_is_behind_never_gives_the_first_answer() -> None:
    for case in CASES:
        if case.first in case.behind:
            assert _race(case)[1][0] is None, str(case)


def test_whoever_gives_up_names_both_homes() -> None:
    for case in CASES:
        for outcome in filter(None, _race(case)[1]):
            if isinstance(outcome, GiveUp):
                homes = [reason.split(": ")[0] for reason in outcome.reasons]
                assert homes == [case.first.value, case.first.other.value], str(case)


@pytest.mark.parametrize(
    ("saying", "reason"),
    [
        (Saying(Said.FAILED), "s3: timeout"),
        (Saying(Said.VALUE, 1), "s3: holds only an older version"),
        (Saying(Said.MISSING), "s3: misses a version that was written"),
        (Saying(Said.GLIMPSED_VALUE, 2), "s3: was not read to its end"),
    ],
    ids=str,
)
def test_whoever_gives_up_says_why(saying: Saying, reason: str) -> None:
    race = ReadRace(version(WANTED), (S3,))
    assert race.on_reply(S3, saying.reply()) == GiveUp((reason,))


def _sides_alone() -> Iterator[tuple[Side, Saying, int, tuple[Side, ...]]]:
    for side, wanted, behind in product(Side, (NOTHING, WANTED), ((), (KVSP,), (S3,), (KVSP, S3))):
        for saying in sayings(floors=side is KVSP):
            yield side, saying, wanted, behind


def test_a_read_of_one_home_is_what_that_home_says() -> None:
    for side, saying, wanted, behind in _sides_alone():
        race = ReadRace(version(wanted), (side,), behind)
        stale = side in behind
        expected: Answer | GiveUp
        match _word(side, saying, wanted):
            case Word.GOOD:
                expected = _shown(side, saying, stale=stale)
            case Word.MISSING:
                expected = Answer(None, unconfirmed=True, stale=stale)
            case _:
                expected = GiveUp(())
        assert _without_reasons(race.on_reply(side, saying.reply())) == expected
        assert race.complete()
        assert not race.over_both()


def test_a_home_that_is_filled_has_no_say() -> None:
    """What is told is what the other one, read alone, would say; but its misses are sure, unless it
    may lack something itself."""
    for side, saying, wanted, behind in _sides_alone():
        alone = ReadRace(version(wanted), (side,), behind).on_reply(side, saying.reply())
        for other, before in product(sayings(floors=side is not KVSP), (False, True)):
            race = ReadRace(version(wanted), behind=behind, filled=side.other)
            if before:
                assert race.on_reply(side.other, other.reply()) is None
            told = race.on_reply(side, saying.reply())
            if not before:
                assert race.on_reply(side.other, other.reply()) is None
            assert race.complete()
            if isinstance(alone, Answer) and alone.unconfirmed:
                assert told == replace(alone, unconfirmed=False)
            else:
                assert told == alone
            assert race.reply_of(side.other) == other.reply()


def _holds(saying: Saying) -> tuple[int, str] | None:
    """What a home holds by its own words; None for nothing, or nothing that it can tell."""
    match saying.said:
        case Said.GLIMPSED_VALUE:
            return saying.number, Said.VALUE.value
        case Said.GLIMPSED_TOMBSTONE:
            return saying.number, Said.TOMBSTONE.value
        case Said.MISSING | Said.FAILED | Said.CORRUPT:
            return None
        case said:
            return saying.number, said.value


def _is_retired(kvsp: Saying, s3: Saying) -> bool:
    """Whether S3 keeps the tombstone of a key that SQL has dropped below its floor."""
    gone = kvsp.said is Said.MISSING and s3.number <= kvsp.number
    return gone and s3.said in {Said.TOMBSTONE, Said.GLIMPSED_TOMBSTONE}


def _wants_repair(kvsp: Saying, s3: Saying, wanted: int) -> bool:
    if Said.CORRUPT in {kvsp.said, s3.said}:
        return True
    both_read = Said.FAILED not in {kvsp.said, s3.said}
    if both_read and _holds(kvsp) != _holds(s3) and not _is_retired(kvsp, s3):
        return True
    if kvsp.said is Said.MISSING and kvsp.number >= wanted:
        return False  # deleted for good, so S3 need not have what was wanted
    read = [saying for saying in (kvsp, s3) if saying.said is not Said.FAILED]
    return any((_holds(saying) or (NOTHING, ""))[0] < wanted for saying in read)


def test_a_race_asks_for_repair_exactly_if_the_homes_differ_or_lack_what_is_wanted() -> None:
    for case in CASES:
        expected = _wants_repair(case.said(KVSP), case.said(S3), case.wanted)
        assert _race(case)[0].needs_repair() == expected, str(case)


def test_one_reply_asks_for_repair_only_if_it_is_corrupt_or_below_wanted() -> None:
    for side, saying, wanted, _ in _sides_alone():
        race = ReadRace(version(wanted))
        race.on_reply(side, saying.reply())
        below = _word(side, saying, wanted) is BELOW
        glimpsed_below = saying.said in GLIMPSES and saying.number < wanted
        corrupt = saying.said is Said.CORRUPT
        assert race.needs_repair() == (below or glimpsed_below or corrupt), (side, str(saying))
        assert not race.complete()


def test_a_race_that_answered_still_compares_the_later_reply() -> None:
    race = ReadRace()
    assert race.on_reply(S3, Saying(Said.VALUE, 1).reply()) == _shown(S3, Saying(Said.VALUE, 1))
    assert not race.needs_repair()
    assert race.on_reply(KVSP, Saying(Said.GLIMPSED_VALUE, 2).reply()) is None
    assert race.needs_repair()
    assert race.reply_of(KVSP) == Saying(Said.GLIMPSED_VALUE, 2).reply()


def test_homes_that_hold_one_version_with_different_bytes_are_corrupt() -> None:
    for case in CASES:
        kvsp, s3 = _holds(case.said(KVSP)), _holds(case.said(S3))
        same_version = kvsp is not None and s3 is not None and kvsp[0] == s3[0]
        assert _race(case)[0].corrupt() == (same_version and kvsp != s3), str(case)


def test_homes_are_in_sync_exactly_if_they_hold_the_same_or_the_key_is_retired() -> None:
    for kvsp, s3 in product(sayings(floors=True), sayings(floors=False)):
        left, right = kvsp.reply(), s3.reply()
        if isinstance(left, Failed) or isinstance(right, Failed):
            continue
        expected = _holds(kvsp) == _holds(s3) or _is_retired(kvsp, s3)
        assert in_sync(left, right) == expected, (str(kvsp), str(s3))


def test_a_home_switched_off_leaves_a_miss_unconfirmed() -> None:
    race = ReadRace()
    off = Failed(Reason.SWITCHED_OFF)
    assert race.on_reply(S3, off) is None
    assert race.on_reply(KVSP, Missing(0)) == Answer(None, unconfirmed=True)


def test_a_home_replies_once() -> None:
    race = ReadRace()
    race.on_reply(KVSP, Missing(0))
    with pytest.raises(AssertionError):
        race.on_reply(KVSP, Missing(0))
