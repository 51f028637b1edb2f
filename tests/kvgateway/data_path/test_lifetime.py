"""How long a cache entry serves: never beyond what a reader asks, and never all to one moment."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvgateway.data_path.lifetime import JITTER_SHARE, fresh
from tandem.core.key import Key
from tandem.core.version import NO_VERSION, Version
from tests.kvgateway.two_homes import NAMESPACE

KEYS = st.builds(Key, st.just(NAMESPACE), st.text(min_size=1, max_size=9))
VERSIONS = st.one_of(st.just(NO_VERSION), st.builds(Version.at, st.integers(1, 2**51)))
TTLS_US = st.integers(0, 86_400_000_000)


def lifetime_us(key: Key, version: Version, ttl_us: int) -> int:
    """The greatest age at which the entry is fresh."""
    low, high = 0, ttl_us + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fresh(key, version, middle, ttl_us) else (low, middle)
    return low


@given(KEYS, VERSIONS, TTLS_US)
def test_it_serves_for_seven_eighths_of_its_ttl_at_least_and_never_longer_than_it(
    key: Key, version: Version, ttl_us: int
) -> None:
    most_us = lifetime_us(key, version, ttl_us)
    assert ttl_us - ttl_us // JITTER_SHARE <= most_us <= ttl_us
    for age_us in {0, most_us // 2, most_us}:
        assert fresh(key, version, age_us, ttl_us)
    for age_us in {most_us + 1, ttl_us + 1, 2 * ttl_us + 1}:
        assert not fresh(key, version, age_us, ttl_us)


@pytest.mark.parametrize("version", [NO_VERSION, Version.at(1_700_000_000_000_000)])
def test_keys_that_were_read_together_expire_apart(version: Version) -> None:
    ttl_us = 60_000_000
    tenths = [0] * 10
    for number in range(1000):
        ends_us = lifetime_us(Key(NAMESPACE, f"user/{number}"), version, ttl_us)
        early_us = ttl_us - ends_us
        tenths[min(9, early_us * 10 * JITTER_SHARE // ttl_us)] += 1
    assert min(tenths) > 50


def test_versions_of_one_key_do_not_share_their_end() -> None:
    key = Key(NAMESPACE, "hot")
    ends_us = {lifetime_us(key, Version.at(time_us), 60_000_000) for time_us in range(1, 50)}
    assert len(ends_us) > 40


def test_every_process_comes_to_the_same_end() -> None:
    ours = lifetime_us(Key(NAMESPACE, "k"), Version.at(7), 60_000_000)
    script = (
        "from tests.kvgateway.data_path.test_lifetime import *;"
        "print(lifetime_us(Key(NAMESPACE, 'k'), Version.at(7), 60_000_000))"
    )
    for seed in ("1", "2"):
        said = subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        assert int(said.stdout) == ours
