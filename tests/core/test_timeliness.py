"""The last moment at which a home takes a write, and the first."""

import pytest

from tandem.core.limits import CLOCK_SKEW_MAX_US, HEAL_AGE_MAX_S, LEG_DEADLINE_S
from tandem.core.reply import Refusal
from tandem.core.timeliness import untimely
from tandem.core.version import Version

NOW_US = 1_700_000_000_000_000
LEG_US = int(LEG_DEADLINE_S * 1_000_000)
HEAL_US = int(HEAL_AGE_MAX_S * 1_000_000)
YEAR_US = 365 * 86_400 * 1_000_000


@pytest.mark.parametrize(
    ("age_us", "refusal"),
    [
        (-CLOCK_SKEW_MAX_US - 1, Refusal.FUTURE),
        (-CLOCK_SKEW_MAX_US, None),
        (0, None),
        (LEG_US, None),
        (LEG_US + 1, Refusal.LATE),
        (YEAR_US, Refusal.LATE),
    ],
)
def test_a_leg_is_as_old_as_its_version(age_us: int, refusal: Refusal | None) -> None:
    version = Version.at(NOW_US - age_us)
    assert untimely(version, None, NOW_US, CLOCK_SKEW_MAX_US) is refusal


@pytest.mark.parametrize("version_age_us", [-CLOCK_SKEW_MAX_US, 0, LEG_US + 1, YEAR_US])
@pytest.mark.parametrize(
    ("read_age_us", "refusal"),
    [
        (-CLOCK_SKEW_MAX_US - 1, Refusal.LATE),
        (-CLOCK_SKEW_MAX_US, None),
        (0, None),
        (HEAL_US, None),
        (HEAL_US + 1, Refusal.LATE),
        (NOW_US, Refusal.LATE),
    ],
)
def test_a_heal_is_as_old_as_the_read_that_it_rests_on(
    read_age_us: int, refusal: Refusal | None, version_age_us: int
) -> None:
    version = Version.at(NOW_US - version_age_us)
    assert untimely(version, NOW_US - read_age_us, NOW_US, CLOCK_SKEW_MAX_US) is refusal


@pytest.mark.parametrize("read_at_us", [None, NOW_US, 1])
def test_a_version_ahead_of_the_home_is_refused_as_such(read_at_us: int | None) -> None:
    version = Version.at(NOW_US + CLOCK_SKEW_MAX_US + 1)
    assert untimely(version, read_at_us, NOW_US, CLOCK_SKEW_MAX_US) is Refusal.FUTURE
