"""What becomes of one write to a home: every case of two small tables, each at a key of its own.

A test compares a whole table at once, so a home is set up three times and not fifty; what differs
is shown by the names of its rows.
"""

import asyncio
import enum
from dataclasses import dataclass
from itertools import count
from typing import Final

import pytest

from tandem.backends.port import Heal
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import Key
from tandem.core.limits import HEAL_AGE_MAX_S, LEG_DEADLINE_S
from tandem.core.record import Record
from tandem.core.reply import Refusal, Refused, Stored, Superseded, WriteReply
from tandem.core.version import Version
from tests.backends.home_under_test import DEADLINE_S, NAMESPACE, HomeUnderTest, held

_DAY_S: Final = 86_400.0


class Holds(enum.Enum):
    """What a home holds of a key, seen from the record that is written to it."""

    NOTHING = "nothing"
    OLDER_VALUE = "an older value"
    OLDER_TOMBSTONE = "an older tombstone"
    ITSELF = "the same record"
    SMALLER_DIGEST = "other bytes of its version, with a smaller digest"
    GREATER_DIGEST = "other bytes of its version, with a greater digest"
    NEWER_VALUE = "a newer value"
    NEWER_TOMBSTONE = "a newer tombstone"


class Way(enum.Enum):
    """How a record is written."""

    LEG = "as a leg"
    HEAL = "as a heal"
    OVER_CORRUPT = "as a heal over corrupt bytes"

    def basis(self, now_us: int) -> Heal | None:
        """What the write rests on."""
        if self is Way.LEG:
            return None
        return Heal(now_us, over_corrupt=self is Way.OVER_CORRUPT)


STORED_OVER: Final = {
    # what the home holds      a leg  a heal  over corrupt bytes
    Holds.NOTHING:            (True,  True,   True),
    Holds.OLDER_VALUE:        (True,  True,   True),
    Holds.OLDER_TOMBSTONE:    (True,  True,   True),
    Holds.ITSELF:             (True,  True,   True),
    Holds.SMALLER_DIGEST:     (True,  True,   True),
    Holds.GREATER_DIGEST:     (False, False,  True),
    Holds.NEWER_VALUE:        (False, False,  False),
    Holds.NEWER_TOMBSTONE:    (False, False,  False),
}  # fmt: skip
"""Whether the write is stored; else it is superseded by what the home holds."""


@dataclass(frozen=True, slots=True)
class Timing:
    """A write to a key that the home does not hold, and what its clock says to it."""

    version_age_s: float
    """By the home's time."""
    read_age_s: float | None
    """Of the read that a heal rests on; None for a leg."""
    refused: Refusal | None


TIMINGS: Final = {
    "a leg in time": Timing(5.0, None, None),
    "a leg as old as its deadline": Timing(LEG_DEADLINE_S + 5.0, None, Refusal.LATE),
    "a leg ahead of the clock": Timing(-60.0, None, Refusal.FUTURE),
    "a heal on a fresh read": Timing(5.0, 0.0, None),
    "a heal of a day ago": Timing(_DAY_S, 0.0, None),
    "a heal of 27 years ago": Timing(10_000 * _DAY_S, 0.0, None),
    "a heal on a stale read": Timing(5.0, HEAL_AGE_MAX_S + 5.0, Refusal.LATE),
    "a heal on a read a minute ahead": Timing(5.0, -60.0, Refusal.LATE),
    "a heal on a read an hour ahead": Timing(5.0, -3600.0, Refusal.LATE),
    "a heal of what is ahead of the clock": Timing(-60.0, 0.0, Refusal.FUTURE),
}


class WriteContract:
    """One write to one key."""

    def test_the_table_has_every_case(self) -> None:
        assert set(STORED_OVER) == set(Holds)
        assert {len(row) for row in STORED_OVER.values()} == {len(Way)}

    @pytest.mark.parametrize("way", Way)
    async def test_what_is_held_decides_what_becomes_of_a_write(
        self, under: HomeUnderTest, way: Way
    ) -> None:
        older, version, newer = under.versions(3)
        written = {"a value": seal(version, b"written"), "a tombstone": seal_tombstone(version)}
        found: dict[str, tuple[type, Version | None, Record | None]] = {}
        expected: dict[str, tuple[type, Version | None, Record | None]] = {}

        async def write(case: str, record: Record, before: Record | None) -> None:
            key = Key(NAMESPACE, case)
            if before is not None:
                reply = await under.home.put_if_newer(key, before, DEADLINE_S)
                assert isinstance(reply, Stored), f"{case}: {reply}"
            basis = way.basis(under.now_us())
            reply = await under.home.put_if_newer(key, record, DEADLINE_S, basis)
            found[case] = type(reply), _newest(reply), await held(under, case)

        async with asyncio.TaskGroup() as writing:
            for kind, record in written.items():
                for holds, stored in STORED_OVER.items():
                    case = f"{kind} over {holds.value}"
                    before = _held_before(holds, record, older, newer)
                    if stored[list(Way).index(way)]:
                        expected[case] = Stored, None, record
                    else:
                        assert before is not None
                        expected[case] = Superseded, before.version, before
                    writing.create_task(write(case, record, before))
        assert found == expected

    async def test_the_homes_clock_decides_what_is_written_at_all(
        self, under: HomeUnderTest
    ) -> None:
        ahead_us = under.home.clock_skew_max_us
        found: dict[str, tuple[Refusal | None, bool]] = {}

        async def write(case: str, timing: Timing) -> None:
            key, now_us = Key(NAMESPACE, case), under.now_us()
            record = seal(Version.at(_before_us(now_us, timing.version_age_s, ahead_us)), b"v")
            heal = None
            if timing.read_age_s is not None:
                heal = Heal(_before_us(now_us, timing.read_age_s, 0))
            reply = await under.home.put_if_newer(key, record, DEADLINE_S, heal)
            assert isinstance(reply, Stored | Refused), f"{case}: {reply}"
            refusal = reply.refusal if isinstance(reply, Refused) else None
            found[case] = refusal, await held(under, case) == record

        async with asyncio.TaskGroup() as writing:
            for case, timing in TIMINGS.items():
                writing.create_task(write(case, timing))
        assert found == {case: (one.refused, one.refused is None) for case, one in TIMINGS.items()}


def _held_before(holds: Holds, record: Record, older: Version, newer: Version) -> Record | None:
    match holds:
        case Holds.NOTHING:
            return None
        case Holds.OLDER_VALUE:
            return seal(older, b"older")
        case Holds.OLDER_TOMBSTONE:
            return seal_tombstone(older)
        case Holds.ITSELF:
            return record
        case Holds.SMALLER_DIGEST:
            return _other_bytes(record, greater=False)
        case Holds.GREATER_DIGEST:
            return _other_bytes(record, greater=True)
        case Holds.NEWER_VALUE:
            return seal(newer, b"newer")
        case Holds.NEWER_TOMBSTONE:
            return seal_tombstone(newer)


def _other_bytes(record: Record, *, greater: bool) -> Record:
    """A record that should not exist beside this one: of the same version."""
    others = (seal(record.version, b"other %d" % number) for number in count())
    return next(one for one in others if (one.digest > record.digest) == greater)


def _newest(reply: WriteReply) -> Version | None:
    return reply.newest if isinstance(reply, Superseded) else None


def _before_us(now_us: int, age_s: float, ahead_us: int) -> int:
    """A time of this age; one in the future lies beyond what the home's clock may be off, too."""
    return now_us - int(age_s * 1e6) + (ahead_us if age_s < 0 else 0)
