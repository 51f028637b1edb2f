"""Merging: the laws, over every triple of a small domain."""

from itertools import product

import pytest

from tandem.core.envelope import seal, seal_tombstone
from tandem.core.record import Kind, Record, is_live, merge
from tandem.core.version import Version

VERSIONS = [Version.at(1), Version.at(1, b"\xff" * 8), Version.at(2)]
BODIES = [(b"", b""), (b"a", b""), (b"b", b""), (b"", b"a")]
EXPIRIES = [0, 1, 2]

VALUES = [
    seal(version, value, metadata=metadata, expires_at_s=expires_at_s)
    for version, (value, metadata), expires_at_s in product(VERSIONS, BODIES, EXPIRIES)
]
DOMAIN = [*VALUES, *map(seal_tombstone, VERSIONS)]


def test_the_domain_holds_no_record_twice() -> None:
    assert len({record.digest for record in DOMAIN}) == len(DOMAIN) == 39


def test_merge_is_idempotent() -> None:
    for a in DOMAIN:
        assert merge(a, a) == a


def test_merge_is_commutative_and_picks_one_of_the_two() -> None:
    for a, b in product(DOMAIN, repeat=2):
        assert merge(a, b) == merge(b, a)
        assert merge(a, b) in (a, b)


def test_merge_is_associative() -> None:
    for a, b, c in product(DOMAIN, repeat=3):
        assert merge(merge(a, b), c) == merge(a, merge(b, c))


def test_the_newer_version_wins_whatever_it_says() -> None:
    for a, b in product(DOMAIN, repeat=2):
        assert merge(a, b).version == max(a.version, b.version)


def test_of_two_bodies_of_one_version_the_greater_digest_wins() -> None:
    for a, b in product(DOMAIN, repeat=2):
        if a.version == b.version:
            assert merge(a, b).digest == max(a.digest, b.digest)


@pytest.mark.parametrize(
    ("expires_at_s", "now_s", "live"),
    [(0, 0.0, True), (0, 1e12, True), (60, 59.999, True), (60, 60.0, False), (60, 61.0, False)],
)
def test_a_value_lives_until_it_expires_and_a_tombstone_never(
    expires_at_s: int, now_s: float, live: bool
) -> None:
    value: Record = seal(VERSIONS[0], b"", expires_at_s=expires_at_s)
    assert value.live_at(now_s) is live
    assert not seal_tombstone(VERSIONS[0]).live_at(now_s)
    assert is_live(Kind.VALUE, expires_at_s, now_s) is live
