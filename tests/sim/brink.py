"""Bounds of the rule of deleting for good, in force for one universe.

In production the grace outlasts every request by hours, so that one part of the rule hides what
another one does. Here request, grace and crawl are of one size: whatever is left out shows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final
from unittest.mock import patch

from tandem.core.collect import CollectRule
from tests.sim import worker


@dataclass(frozen=True, slots=True)
class Bounds:
    """How late a request may be; the rule rests on nothing but their order of size."""

    leg_age_s: float
    """Older legs are refused by homes."""
    heal_age_s: float
    """The same for heals, by the read that they rest on."""
    heal_deadline_s: float
    """For the reads of a heal, and again for its writes."""
    ack_window_s: float
    """A confirmation counts up to this age of the version."""
    clock_skew_max_s: float
    settle_s: float
    remembered_s: int
    """How long a machine tells what no home shows it any more: less than the grace."""

    @property
    def rule(self) -> CollectRule:
        """The rule that these bounds allow, and no shorter one."""
        life_s = self.leg_age_s + self.heal_deadline_s + self.heal_age_s + self.clock_skew_max_s
        return CollectRule(
            tombstone_grace_s=int(life_s) + 2,
            ack_window_us=_us(self.ack_window_s),
            clock_skew_max_us=_us(self.clock_skew_max_s),
            settle_us=_us(self.settle_s),
            request_life_s=int(life_s) + 1,
        )

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Has homes and gateways keep to them."""
        with (
            patch("tandem.core.timeliness._LEG_AGE_MAX_US", _us(self.leg_age_s)),
            patch("tandem.core.timeliness._HEAL_AGE_MAX_US", _us(self.heal_age_s)),
            patch("kvgateway.homes.identity.HEAL_AGE_MAX_S", self.heal_age_s),
            patch.object(
                worker, "READ_BOUNDS", replace(worker.READ_BOUNDS, remembered_s=self.remembered_s)
            ),
            patch.object(
                worker, "REPAIR", replace(worker.REPAIR, heal_deadline_s=self.heal_deadline_s)
            ),
            patch("tandem.core.write_race.ACK_WINDOW_US", _us(self.ack_window_s)),
        ):
            yield


BRINK: Final = Bounds(
    leg_age_s=10.0, heal_age_s=3.0, heal_deadline_s=5.0, ack_window_s=4.0, clock_skew_max_s=0.5,
    settle_s=0.5, remembered_s=10,
)  # fmt: skip


def _us(seconds: float) -> int:
    return int(seconds * 1_000_000)
