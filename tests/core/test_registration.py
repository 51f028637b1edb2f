"""The record by which a process is known: its bytes, its end, and what it says of a namespace."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.core.limits import ACK_WINDOW_US, CLOCK_SKEW_MAX_US
from tandem.core.registration import (
    ALL,
    GONE_US,
    LEASE_US,
    BadRegistration,
    Registration,
    SeenMode,
    decode_registration,
    encode_registration,
)
from tandem.core.reply import Side

N, M = "ab" * 16, "cd" * 16
numbers = st.integers(0, 2**60)
names = st.sampled_from([N, M, ALL])
registrations = st.builds(
    Registration,
    st.text(max_size=20),
    numbers,
    st.booleans(),
    st.dictionaries(st.sampled_from(Side), st.frozensets(names)),
    st.dictionaries(st.sampled_from(Side), numbers),
    st.dictionaries(names, st.builds(SeenMode, numbers, numbers, numbers, numbers)),
    st.dictionaries(names, numbers),
)


@given(registrations)
def test_what_is_encoded_is_decoded(registration: Registration) -> None:
    assert decode_registration(encode_registration(registration)) == registration


GOOD = json.loads(encode_registration(Registration("g.0", 1)))


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"null", b"[]", b"7", b"\xff", b"{}", b'{"format":2}', b"[" * 100_000,
        *(
            json.dumps({**GOOD, field: wrong}).encode()
            for field, wrong in (
                ("looked_us", None), ("looked_us", "x"), ("behind", []), ("waiting", {"x": 1}),
                ("behind", {"s3": 1}), ("modes", {"a": 1}), ("modes", {"a": [1, 2, 3, 4, 5]}),
                ("modes", {"a": ["x"]}), ("steps", {"a": None}), ("looked_us", float("inf")),
            )
        ),
        *(json.dumps({k: v for k, v in GOOD.items() if k != field}).encode() for field in GOOD),
    ],
)  # fmt: skip
def test_what_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRegistration):
        decode_registration(raw)


def test_a_process_is_gone_when_nothing_that_it_began_can_be_acknowledged_any_more() -> None:
    assert GONE_US - LEASE_US > ACK_WINDOW_US + 2 * CLOCK_SKEW_MAX_US
    there = Registration("g.0", looked_us=1000)
    assert not there.gone(1000 + GONE_US)
    assert there.gone(1001 + GONE_US)
    assert Registration("g.0", 1000, ended=True).gone(0)


def test_a_step_is_under_way_until_its_time_is_over() -> None:
    there = Registration("g.0", 0, steps={N: 50})
    assert there.steps_now(N, 50)
    assert not there.steps_now(N, 51)
    assert not there.steps_now(M, 1)


def test_what_it_says_of_a_namespace() -> None:
    there = Registration(
        "g.0", 5, behind={Side.KVSP: frozenset({N}), Side.S3: frozenset()},
        waiting={Side.KVSP: 0, Side.S3: 3}, modes={N: SeenMode(2, 9, 4, 1)},
    )  # fmt: skip
    view = there.view(N)
    assert (view.id, view.looked_us, view.epoch, view.since_us) == ("g.0", 5, 2, 9)
    assert (view.behind, view.waiting) == ((Side.KVSP,), (Side.S3,))
    assert (view.compared, view.different) == (4, 1)
    other = there.view(M)
    assert (other.epoch, other.behind, other.waiting) == (0, (), (Side.S3,))
    assert other.since_us, "what was never stepped has nothing of a mode before"


def test_a_home_that_is_behind_for_all_is_behind_for_each() -> None:
    there = Registration("g.0", 5, behind={Side.S3: frozenset({ALL})})
    assert there.view(N).behind == there.view(M).behind == (Side.S3,)
