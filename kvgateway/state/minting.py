"""How a batch of versions is minted from one clock."""

from collections.abc import Iterable
from typing import Final

from tandem.core.limits import WHOLE_SECOND_CLOCK_SKEW_MAX_US
from tandem.core.version import Version, hlc_of, next_hlc
from tandem.errors import Overloaded

GATEWAY_ID_BYTES: Final = 4
RANDOM_BYTES: Final = 4

OBSERVED_AHEAD_MAX_US: Final = WHOLE_SECOND_CLOCK_SKEW_MAX_US
"""A version further ahead of this machine's time than this is not observed. A machine that hears
S3 alone, whose `Date` has whole seconds, is itself up to a second behind: it must still stamp its
writes above what its sessions have read from the others."""


def minted(
    last_hlc: int,
    floors: Iterable[tuple[bytes, bytes]],
    now_us: int,
    *,
    bound_us: int,
    gateway_id: bytes,
    random: bytes,
) -> list[Version]:
    """One version for each pair of versions that it must be above (if they can be observed).

    Raises Overloaded when one of them would reach `bound_us`. `random` has RANDOM_BYTES for each.
    """
    ahead = Version.at(now_us + OBSERVED_AHEAD_MAX_US + 1)  # the first that is not observed
    versions = []
    hlc = last_hlc
    for at, (known, given) in enumerate(floors):
        highest = max(known, given)
        if highest >= ahead:
            highest = min(known, given)
        hlc = next_hlc(hlc, now_us, hlc_of(highest) if highest < ahead else 0)
        tail = random[at * RANDOM_BYTES : (at + 1) * RANDOM_BYTES]
        versions.append(Version.of(hlc, gateway_id + tail))
    if versions and versions[-1].time_us >= bound_us:
        raise Overloaded(
            "clock bound: the clock's persisted upper bound is behind the homes' time, as when the"
            " gateway's disk is full"
        )
    return versions
