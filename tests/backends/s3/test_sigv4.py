"""Our signatures are botocore's, for every request that we could make."""

import datetime
import hashlib
from unittest import mock

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st

from tandem.backends.s3.sigv4 import (
    EMPTY_SHA256,
    UNSIGNED_PAYLOAD,
    Credentials,
    Signer,
    payload_hash,
    target,
)

HOST = "127.0.0.1:9000"

object_names = st.text("ABCXYZ0189abcxyz/_.-", min_size=1, max_size=60)
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
parameters: st.SearchStrategy[list[tuple[str, str]]] = st.one_of(
    st.just([]),
    st.lists(st.tuples(any_text.filter(bool), any_text), max_size=5),
    st.builds(
        lambda prefix, after, count: [
            ("list-type", "2"), ("prefix", prefix), ("start-after", after), ("max-keys", count),
        ],
        any_text,
        any_text,
        st.integers(1, 1000).map(str),
    ),
)  # fmt: skip
header_values = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=30)
headers = st.fixed_dictionaries(
    {},
    optional={
        "content-md5": header_values,
        "content-type": header_values,
        "if-match": st.sampled_from(['"abc"', "abc", "*"]),
        "if-none-match": st.just("*"),
        "range": header_values,
        "x-amz-meta-tandem-version": header_values,
        "x-amz-acl": header_values,
    },
)
credentials = st.builds(
    Credentials,
    st.text("ABC123", min_size=1),
    st.text("abc/+1", min_size=1),
    st.none() | st.text("xyz=/", min_size=1),
)
seconds = st.integers(0, 4_102_444_800)


def botocore_authorization(
    key: Credentials,
    method: str,
    url: str,
    given_headers: dict[str, str],
    body: bytes,
    *,
    region: str,
    second: int,
) -> dict[str, str]:
    signer = botocore.auth.S3SigV4Auth(
        BotoCredentials(key.access_key, key.secret_key, key.session_token), "s3", region
    )
    request = AWSRequest(method=method, url=url, headers=given_headers, data=body)
    request.context["client_config"] = None
    now = datetime.datetime.fromtimestamp(second, datetime.UTC).replace(tzinfo=None)
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=now):
        signer.add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@given(
    method=st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"]),
    name=object_names,
    query=parameters,
    given_headers=headers,
    body=st.binary(max_size=200),
    key=credentials,
    region=st.sampled_from(["us-east-1", "eu-central-1", "auto"]),
    second=seconds,
)
def test_equal_to_botocore(
    method: str,
    name: str,
    query: list[tuple[str, str]],
    given_headers: dict[str, str],
    body: bytes,
    key: Credentials,
    region: str,
    second: int,
) -> None:
    wanted = target(f"/bucket/{name}", query)
    ours = Signer(host=HOST, region=region).sign(
        key,
        method,
        wanted,
        given_headers,
        payload_sha256=payload_hash(body, encrypted=False),
        signed_at_us=second * 1_000_000 + 999_999,
    )
    theirs = botocore_authorization(
        key, method, f"http://{HOST}{wanted}", given_headers, body, region=region, second=second
    )
    assert ours["authorization"] == theirs["authorization"]
    assert ours["x-amz-date"] == theirs["x-amz-date"]
    assert ours.get("x-amz-security-token") == theirs.get("x-amz-security-token")


@given(keys=st.lists(credentials, min_size=2, max_size=4), times=st.lists(seconds, min_size=2))
def test_a_signer_that_lives_on_signs_as_a_new_one(
    keys: list[Credentials], times: list[int]
) -> None:
    living = Signer(host=HOST, region="auto")
    for turn, second in enumerate(times):
        arguments = (keys[turn % len(keys)], "GET", "/bucket/x", {"range": "bytes=0-1"})
        us = second * 1_000_000
        assert living.sign(
            *arguments, payload_sha256=EMPTY_SHA256, signed_at_us=us
        ) == Signer(host=HOST, region="auto").sign(
            *arguments, payload_sha256=EMPTY_SHA256, signed_at_us=us
        )  # fmt: skip


def test_published_example() -> None:
    """The GET of "Signature Calculations for the Authorization Header" in Amazon's S3 reference."""
    key = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    signed = Signer(host="examplebucket.s3.amazonaws.com", region="us-east-1").sign(
        key,
        "GET",
        "/test.txt",
        {"range": "bytes=0-9"},
        payload_sha256=EMPTY_SHA256,
        signed_at_us=1_369_353_600_000_000,
    )
    assert signed["x-amz-date"] == "20130524T000000Z"
    assert signed["authorization"].endswith(
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


@pytest.mark.parametrize(
    ("path", "query", "text"),
    [
        ("/bucket/V0-9_.x/a", [], "/bucket/V0-9_.x/a"),
        ("/b/ä b", [], "/b/%C3%A4%20b"),
        ("/b", [("versioning", "")], "/b?versioning="),
        ("/b", [("prefix", "a/b"), ("list-type", "2")], "/b?list-type=2&prefix=a%2Fb"),
        ("/b", [("start-after", "x+y&z=~")], "/b?start-after=x%2By%26z%3D~"),
        # Encoded first, then sorted: raw, `-` stands before `=`.
        ("/b", [("a=", ""), ("a-", "")], "/b?a%3D=&a-="),
    ],
)
def test_target(path: str, query: list[tuple[str, str]], text: str) -> None:
    assert target(path, query) == text


def test_payload_hash() -> None:
    assert payload_hash(b"", encrypted=True) == payload_hash(b"", encrypted=False) == EMPTY_SHA256
    assert payload_hash(b"x", encrypted=False) == hashlib.sha256(b"x").hexdigest()
    assert payload_hash(b"x", encrypted=True) == UNSIGNED_PAYLOAD


def test_secrets_stay_out_of_repr() -> None:
    assert repr(Credentials("AKIA1", "s3cret", "t0ken")) == "Credentials(access_key='AKIA1')"
