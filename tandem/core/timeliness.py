"""Whether a home still takes a write, by that home's own clock.

No old request may land late: what a gateway sent and forgot could otherwise bring back a key whose
tombstone has been removed meanwhile.
"""

from typing import Final

from tandem.core.limits import HEAL_AGE_MAX_S, LEG_DEADLINE_S
from tandem.core.reply import Refusal
from tandem.core.version import Version

_LEG_AGE_MAX_US: Final = int(LEG_DEADLINE_S * 1_000_000)
_HEAL_AGE_MAX_US: Final = int(HEAL_AGE_MAX_S * 1_000_000)


def untimely(
    version: Version, read_at_us: int | None, now_us: int, skew_max_us: int
) -> Refusal | None:
    """Why a write is refused at the home's time `now_us`; None when it is in time.

    A client's leg is as old as its version (`read_at_us` None); a heal is as old as the read that
    it rests on. Nobody knows how old a read is that lies ahead of the home's clock: its answer had
    a wrong time.
    """
    age_us = now_us - version.time_us
    if age_us < -skew_max_us:
        return Refusal.FUTURE
    if read_at_us is None:
        late = age_us > _LEG_AGE_MAX_US
    else:
        late = not -skew_max_us <= now_us - read_at_us <= _HEAL_AGE_MAX_US
    return Refusal.LATE if late else None
