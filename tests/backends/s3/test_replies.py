"""Many ETags read at once are read as each of them alone."""

from hypothesis import example, given
from hypothesis import strategies as st

from tandem.backends.s3.replies import digest_in, digests_in

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
