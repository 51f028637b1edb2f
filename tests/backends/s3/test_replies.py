"""What replies show: ETags, objects that are ours, the store's time, failures."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tandem.backends.s3.exchange import FailureKind, HttpReply, TransportError
from tandem.backends.s3.replies import (
    VERSION_HEADER,
    digest_in,
    digests_in,
    failed,
    has_put,
    held_in,
    no_reply,
)
from tandem.core.reply import Reason

MD5 = st.binary(min_size=16, max_size=16).map(bytes.hex)
ETAGS = st.one_of(
    MD5,
    MD5.map(str.upper),
    MD5.map(lambda etag: f"{etag}-2"),  # of a multipart upload
    MD5.map(lambda etag: f"{etag[:-2]}  "),
    st.text("0aF é-", max_size=34),
    st.text("0aF ", min_size=32, max_size=32),
)


@given(st.lists(MD5, max_size=5))
def test_md5s_are_the_digests_that_they_name(etags: list[str]) -> None:
    assert digests_in(etags) == [bytes.fromhex(etag) for etag in etags]


@given(st.lists(ETAGS, max_size=5))
@example([f"  {'ab' * 15}", "ab" * 16])
@example(["ab" * 16, "z" * 32])
def test_read_together_they_are_what_they_are_alone(etags: list[str]) -> None:
    assert digests_in(etags) == [digest_in(etag) for etag in etags]


def test_a_failure_without_a_date_says_nothing_of_the_stores_time() -> None:
    """What the client itself believed came back as heard (seed 100024 of the simulator)."""
    date = {"date": "Tue, 14 Nov 2023 22:14:39 GMT"}
    assert failed(HttpReply(503, date, b""), 5).home_time_us == 5
    assert failed(HttpReply(503, {}, b""), 5).home_time_us == 0


@pytest.mark.parametrize(
    ("version", "etag", "is_ours"),
    [
        ("ab" * 16, '"cd"', True),
        ("ab" * 16, '""', False),
        ("ab" * 15, '"cd"', False),
        ("no hex digits", '"cd"', False),
    ],
)
def test_an_object_with_a_version_and_an_etag_is_ours(
    version: str, etag: str, is_ours: bool
) -> None:
    assert (held_in({VERSION_HEADER: version, "etag": etag}) is not None) == is_ours


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_a_store_that_asks_for_patience_is_overloaded_and_has_put_nothing(status: int) -> None:
    reply = HttpReply(status, {"etag": f'"{"ab" * 16}"'}, b"")
    assert (failed(reply, 5).reason is Reason.OVERLOADED) == (status in {429, 503})
    assert not has_put(reply, bytes.fromhex("ab" * 16))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (FailureKind.TIMEOUT, "timeout: too slow"),
        (FailureKind.RESET, "unreachable: reset: too slow"),
        (FailureKind.TOO_LARGE, "error: too_large: too slow"),
    ],
)
def test_a_failure_says_nothing_twice(kind: FailureKind, said: str) -> None:
    assert str(no_reply(TransportError(kind, "too slow", sent=True))) == said
