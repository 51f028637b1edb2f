"""Which homes a read asks, and when: the read modes.

    mode        asked at once                        asked later
    race        both                                 -
      of many   S3, or KVSP if clearly quicker       the other, in any case: when the first has no
                                                     answer, or after COMPANY_S with other reads
    hedged      of those not behind, the quicker     the other: when the first has no answer, or
                                                     after the p95 of the first's recent replies
    kvsp, s3    that home                            both, when it cannot answer

A home that is never read first would hide its drift, so a share of the reads is drawn by lot and
asks both at once, whatever the mode. So does a hedged read while there are too few replies to tell
which home is quicker, or while both are behind.

A race asks both homes for every key, so that each read shows drift. But the second reply is nearly
always there to be compared alone, and a home answers ten keys that it is asked for together with
little more work than one. So where many reads are under way, the second home's turn comes a moment
later.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tandem.core.reply import BOTH_SIDES, Side

HEDGE_S_MIN: Final = 0.001
"""Sooner, half of the reads would be races because of nothing but the event loop."""
HEDGE_S_MAX: Final = 0.5
"""Where even the quicker home takes longer, the other one is asked all the same."""
COMPANY_FROM: Final = 2
"""So many reads under way are many: one alone would wait for company that does not come."""
CLEARLY: Final = 2.0
"""So many times quicker KVSP must be to be asked first: a message to it costs what a group of ten
keys costs the embedded file, which is the one home that is about as quick."""
COMPANY_S: Final = 0.003
"""What a read waits at most for a home that hangs, until the other one is asked too."""


class ReadMode(enum.Enum):
    """Which homes a read asks."""

    RACE = "race"
    HEDGED = "hedged"
    KVSP = "kvsp"
    S3 = "s3"


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """One read: the homes that may answer it, and which of them waits."""

    sides: tuple[Side, ...]
    later: Side | None = None
    """Asked when the others have no answer, or after `after_s`."""
    after_s: float = 0.0
    compared: bool = False
    """Whether it is asked in any case, for the sake of the comparison."""

    @property
    def at_once(self) -> tuple[Side, ...]:
        """The homes that are asked first."""
        return self.sides if self.later is None else (self.later.other,)


RACE: Final = ReadPlan(BOTH_SIDES)
_KVSP_LATER: Final = ReadPlan(BOTH_SIDES, Side.KVSP, COMPANY_S, compared=True)
_S3_LATER: Final = ReadPlan(BOTH_SIDES, Side.S3, COMPANY_S, compared=True)
SIDES: Final[Mapping[ReadMode, tuple[Side, ...]]] = {
    ReadMode.RACE: BOTH_SIDES,
    ReadMode.HEDGED: BOTH_SIDES,
    ReadMode.KVSP: (Side.KVSP,),
    ReadMode.S3: (Side.S3,),
}
"""The homes that a namespace is read from."""


def race_plan(
    p95_s: Mapping[Side, float | None], under_way: int, company_from: int = COMPANY_FROM
) -> ReadPlan:
    """How to race both homes where so many reads are under way, no home is behind, and any record
    will do; `company_from` of them are many."""
    kvsp_s, s3_s = p95_s[Side.KVSP], p95_s[Side.S3]
    if under_way < company_from or kvsp_s is None or s3_s is None:
        return RACE
    return _S3_LATER if kvsp_s * CLEARLY < s3_s else _KVSP_LATER


def read_plan(
    mode: ReadMode,
    *,
    answers: tuple[Side, ...] = BOTH_SIDES,
    legs: tuple[Side, ...] = BOTH_SIDES,
    behind: Sequence[Side] = (),
    p95_s: Mapping[Side, float | None],
    drawn: bool,
) -> ReadPlan:
    """How to read a key of a namespace in this mode.

    `answers` and `legs` are as the namespace's mode says of the key: where one home answers alone,
    it is asked whatever the read mode, and the sample shows what the other would have said.
    `behind` are the homes that may lack its writes, `p95_s` tells how long 95 of 100 recent replies
    took at most, and `drawn` says that this read is one of the sample.
    """
    if len(answers) == 1:
        return ReadPlan(legs if drawn else answers)
    if mode is ReadMode.RACE or drawn:
        return RACE
    if mode is not ReadMode.HEDGED:
        return ReadPlan(SIDES[mode])
    times = {side: p95_s[side] for side in BOTH_SIDES if side not in behind}
    known = {side: time_s for side, time_s in times.items() if time_s is not None}
    if not times or len(known) < len(times):
        return RACE
    first = min(known, key=known.__getitem__)
    return ReadPlan(BOTH_SIDES, first.other, min(max(known[first], HEDGE_S_MIN), HEDGE_S_MAX))
