"""Quotas: how much one namespace or token may use, and the token bucket that measures it.

A bucket fills at the rate, up to a burst of one second of it. What is drawn from it was there:
in any window of t seconds never more than burst + rate * t. What cannot be known or split before
(the bytes of an answer, a value larger than what is left) is charged as a debt, and nothing more
is granted until the rate has repaid it. An operation that comes a little early may be booked: it
is charged now, and may begin when the rate has paid for it.
"""

from dataclasses import dataclass, fields
from typing import Final, NamedTuple

from tandem.core.limits import VALUE_BYTES_MAX
from tandem.errors import InvalidArgument

QUOTA_MAX: Final = 10**11
"""The largest number that a quota may have; more is no limit."""
BURST_S: Final = 1
DEBT_MAX_S: Final = 60
BOOKED_MS_MAX: Final = 100
"""So far ahead operations are booked; what would have to wait for longer is refused."""
_MICRO: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Quota:
    """The most that a namespace, or the holder of a token, may use on each gateway machine; 0 is no
    limit."""

    operations_per_s: int = 0
    """Reads, writes, deletes and pages of listings."""
    bytes_per_s: int = 0
    """Bytes of values and metadata, written and answered."""
    large_bodies_max: int = 0
    """Values above LARGE_BODY_BYTES, or of unknown length, that are received at the same time."""

    def __bool__(self) -> bool:
        return self != NO_QUOTA


NO_QUOTA: Final = Quota()
QUOTA_FIELDS: Final = tuple(one.name for one in fields(Quota))
"""As records call them."""


def check_quota(number: int, field: str) -> int:
    """`number`; InvalidArgument unless a quota may have it."""
    if not 0 <= number <= QUOTA_MAX:
        raise InvalidArgument(field, f"{number} is not from 0 (no limit) to {QUOTA_MAX}")
    return number


class Rate(NamedTuple):
    """How a bucket fills."""

    per_s: int
    burst: int
    """The most that it holds."""
    debt_max: int
    """The most that it can be behind."""


def operations_rate(per_s: int) -> Rate:
    """For operations; what is booked is a debt."""
    return Rate(per_s, per_s * BURST_S, per_s * BOOKED_MS_MAX // 1000)


def bytes_rate(per_s: int) -> Rate:
    """For bytes; a debt is at most a minute of the rate, or one value of full size."""
    return Rate(per_s, per_s * BURST_S, max(per_s * DEBT_MAX_S, VALUE_BYTES_MAX))


class Bucket(NamedTuple):
    """How full a bucket was at a moment, in millionths of a unit; below 0 it is in debt."""

    level_micro: int
    at_us: int


class Drawn(NamedTuple):
    """What a bucket has granted; when that is not all, in how many microseconds it has more."""

    granted: int
    wait_us: int = 0


class Booked(NamedTuple):
    """What a bucket has granted that is there or will be."""

    granted: int
    first_us: int
    """In how many microseconds the first unit is there, or, below 0, since when; the others follow
    at the rate."""


def full(rate: Rate, now_us: int) -> Bucket:
    """A bucket that nobody has used."""
    return Bucket(rate.burst * _MICRO, now_us)


def refilled(bucket: Bucket, rate: Rate, now_us: int) -> Bucket:
    """The bucket at a later moment; a time before its own adds nothing and takes nothing. What it
    holds or owes beyond the bounds of the rate, which may be a new one, is forgotten."""
    level_micro, at_us = bucket
    level_micro = max(level_micro, -rate.debt_max * _MICRO) + max(now_us - at_us, 0) * rate.per_s
    return Bucket(min(level_micro, rate.burst * _MICRO), max(now_us, at_us))


def drawn(bucket: Bucket, rate: Rate, most: int, now_us: int) -> tuple[Bucket, Drawn]:
    """Takes up to `most` whole units of what is there."""
    assert most > 0
    level_micro, at_us = refilled(bucket, rate, now_us)
    granted = min(most, max(level_micro, 0) // _MICRO)
    left = Bucket(level_micro - granted * _MICRO, at_us)
    return left, Drawn(granted, 0 if granted == most else _wait_us(left, rate, now_us))


def booked(bucket: Bucket, rate: Rate, most: int, now_us: int) -> tuple[Bucket, Booked]:
    """Takes up to `most` whole units of what is there, or will be before the largest debt is."""
    assert most > 0
    before = refilled(bucket, rate, now_us)
    granted = min(most, (before.level_micro + rate.debt_max * _MICRO) // _MICRO)
    left = Bucket(before.level_micro - granted * _MICRO, before.at_us)
    return left, Booked(granted, _whole_in_us(before, rate, now_us))


def owing(bucket: Bucket, rate: Rate, amount: int, now_us: int) -> tuple[Bucket, Drawn]:
    """Takes `amount`, there or not; a debt above `debt_max` is forgiven."""
    level_micro, at_us = refilled(bucket, rate, now_us)
    left = Bucket(max(level_micro - amount * _MICRO, -rate.debt_max * _MICRO), at_us)
    return left, Drawn(amount, _wait_us(left, rate, now_us))


def _wait_us(bucket: Bucket, rate: Rate, now_us: int) -> int:
    """How long until a whole unit is there."""
    return max(_whole_in_us(bucket, rate, now_us), 0) if bucket.level_micro < _MICRO else 0


def _whole_in_us(bucket: Bucket, rate: Rate, now_us: int) -> int:
    """When a whole unit is there, or was."""
    missing_micro = _MICRO - bucket.level_micro
    return -(-missing_micro // rate.per_s) + max(bucket.at_us - now_us, 0)
