"""How a batch of versions is minted from one clock."""

from collections.abc import Iterable, Sequence
from typing import Final

from tandem.core.limits import WHOLE_SECOND_CLOCK_SKEW_MAX_US
from tandem.core.version import NO_VERSION, Version, next_hlc, observable
from tandem.errors import Overloaded

GATEWAY_ID_BYTES: Final = 4
RANDOM_BYTES: Final = 4

OBSERVED_AHEAD_MAX_US: Final = WHOLE_SECOND_CLOCK_SKEW_MAX_US
"""A version further ahead of this machine's time than this is not observed. A machine that hears
S3 alone, whose `Date` has whole seconds, is itself up to a second behind: it must still stamp its
writes above what its sessions have read from the others."""


def minted(
    last_hlc: int,
    floors: Iterable[tuple[Version, Version]],
    now_us: int,
    *,
    bound_us: int,
    gateway_id: bytes,
    random: bytes,
) -> list[Version]:
    """One version for each pair of versions that it must be above (if they can be observed).

    Raises Overloaded when one of them would reach `bound_us`. `random` has RANDOM_BYTES for each.
    """
    versions = []
    hlc = last_hlc
    for at, (known, given) in enumerate(floors):
        highest = max(known, given)
        if highest > NO_VERSION and not observable(highest, now_us, OBSERVED_AHEAD_MAX_US):
            highest = _observed((known, given), now_us)
        hlc = next_hlc(hlc, now_us, 0 if highest == NO_VERSION else highest.hlc)
        tail = random[at * RANDOM_BYTES : (at + 1) * RANDOM_BYTES]
        versions.append(Version.of(hlc, gateway_id + tail))
    if versions and versions[-1].time_us >= bound_us:
        raise Overloaded(
            "clock bound: the clock's persisted upper bound is behind the homes' time, as when the"
            " gateway's disk is full"
        )
    return versions


def _observed(versions: Sequence[Version], now_us: int) -> Version:
    seen = (v for v in versions if observable(v, now_us, OBSERVED_AHEAD_MAX_US))
    return max(seen, default=NO_VERSION)
