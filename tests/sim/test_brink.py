"""Bounds that are in force for one universe."""

import pytest

from tandem.core.reply import Refusal, Side, Stored
from tandem.core.timeliness import untimely
from tandem.core.version import Version
from tandem.core.write_race import AckPolicy, WriteRace
from tests.sim import worker
from tests.sim.brink import BRINK

NOW_US = 1_700_000_000_000_000


def _leg(age_s: float) -> Refusal | None:
    return untimely(Version.at(NOW_US - int(age_s * 1e6)), None, NOW_US, 500_000)


def _heal(age_s: float) -> Refusal | None:
    read_at_us = NOW_US - int(age_s * 1e6)
    return untimely(Version.at(NOW_US - 1), read_at_us, NOW_US, 500_000)


def _acknowledged(age_s: float) -> bool:
    """Whether a confirmation counts that is so much younger than the version."""
    race = WriteRace(Version.at(NOW_US), AckPolicy.FIRST, dict.fromkeys(Side, 500_000))
    return race.on_leg(Side.S3, Stored(NOW_US + int(age_s * 1e6))) is not None


def test_homes_keep_to_them_and_to_those_of_production_afterwards() -> None:
    with BRINK.in_force():
        assert _leg(BRINK.leg_age_s - 0.1) is None
        assert _leg(BRINK.leg_age_s + 0.1) is Refusal.LATE
        assert _heal(BRINK.heal_age_s - 0.1) is None
        assert _heal(BRINK.heal_age_s + 0.1) is Refusal.LATE
    assert _leg(BRINK.leg_age_s + 0.1) is None
    assert _heal(BRINK.heal_age_s + 0.1) is None


def test_gateways_keep_to_them() -> None:
    with BRINK.in_force():
        assert _acknowledged(BRINK.ack_window_s - 0.1)
        assert not _acknowledged(BRINK.ack_window_s + 0.1)
        assert worker.READ_BOUNDS.remembered_s == BRINK.remembered_s
        assert worker.REPAIR.heal_deadline_s == BRINK.heal_deadline_s
    assert _acknowledged(BRINK.ack_window_s + 0.1)


def test_they_stand_in_the_order_in_which_the_rule_of_production_stands() -> None:
    rule = BRINK.rule
    lives_s = BRINK.leg_age_s + BRINK.heal_deadline_s + BRINK.heal_age_s
    assert rule.tombstone_grace_s > rule.request_life_s > lives_s
    assert BRINK.ack_window_s < BRINK.leg_age_s
    assert rule.unsettled_us < rule.tombstone_grace_s * 1_000_000
    assert BRINK.remembered_s < rule.tombstone_grace_s


def test_an_exception_inside_ends_them_too() -> None:
    with pytest.raises(RuntimeError), BRINK.in_force():
        raise RuntimeError
    assert _leg(BRINK.leg_age_s + 0.1) is None
