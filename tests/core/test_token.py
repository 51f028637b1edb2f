"""Tokens: the text, the hash, and the one JSON form."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.core.access import Grant, Permission
from tandem.core.quota import QUOTA_MAX, Quota
from tandem.core.token import (
    BadTokenRecord,
    Credential,
    Token,
    check_reach,
    check_token_name,
    check_ttl_s,
    decode_token,
    encode_token,
    hash_of,
    is_token_id,
    parse_credential,
    token_text,
)
from tandem.errors import InvalidArgument, NamespaceNotFound

ID, SECRET = "0123456789abcdef", "ab" * 32
A, B = "a" * 32, "b" * 32
SAMPLE = Token(
    ID, "ci", Permission.WRITE, hash_of(SECRET), "acme", frozenset({B, A}),
    1_700_000_000, 1_800_000_000,
)  # fmt: skip

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=100).filter(str.isprintable)
reaches = st.none() | st.frozensets(st.sampled_from([A, B, "c" * 32]), min_size=1)


def _stored(**changed: object) -> bytes:
    return json.dumps({**json.loads(encode_token(SAMPLE)), **changed}).encode()


def _without(name: str) -> bytes:
    fields = json.loads(encode_token(SAMPLE))
    del fields[name]
    return json.dumps(fields).encode()


@given(
    names,
    st.sampled_from(Permission),
    st.none() | st.sampled_from(["default", "acme-1"]),
    reaches,
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.builds(Quota, *[st.integers(0, QUOTA_MAX)] * 3),
)
def test_a_token_is_decoded_as_it_was_encoded(
    name: str,
    permission: Permission,
    account: str | None,
    namespaces: frozenset[str] | None,
    created_at_s: int,
    expires_at_s: int,
    quota: Quota,
) -> None:
    token = Token(
        ID, name, permission, b"h" * 32, account, namespaces, created_at_s, expires_at_s, quota
    )
    assert decode_token(encode_token(token)) == token


def test_the_bytes_of_format_1_never_change() -> None:
    assert encode_token(SAMPLE) == (
        b'{"account":"acme","created_at_s":1700000000,"expires_at_s":1800000000,"format":1,'
        b'"id":"0123456789abcdef","name":"ci",'
        b'"namespaces":["' + A.encode() + b'","' + B.encode() + b'"],"permission":"write",'
        b'"secret_sha256":"' + hashlib.sha256(SECRET.encode()).hexdigest().encode() + b'"}'
    )


def test_a_record_has_no_secret() -> None:
    assert SECRET.encode() not in encode_token(SAMPLE)
    assert hash_of(SECRET) == hashlib.sha256(SECRET.encode()).digest()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        *map(_without, json.loads(encode_token(SAMPLE))),
        _stored(format=2),
        _stored(id=ID[1:]),
        _stored(id=ID.upper()),
        _stored(name=""),
        _stored(name=7),
        _stored(permission="all"),
        _stored(permission=3),
        _stored(secret_sha256="ab"),
        _stored(secret_sha256="zz" * 32),
        _stored(account=""),
        _stored(operations_per_s=-1),
        _stored(bytes_per_s="many"),
        _stored(account="Not One"),
        _stored(account=7),
        _stored(namespaces=[]),
        _stored(namespaces=["x"]),
        _stored(namespaces=["0" * 32]),
        _stored(namespaces=7),
        _stored(created_at_s=None),
        _stored(expires_at_s=float("inf")),
    ],
    ids=lambda raw: repr(raw[:60]),
)
def test_anything_else_is_no_token(raw: bytes) -> None:
    with pytest.raises(BadTokenRecord):
        decode_token(raw)


def test_the_text_of_a_token_has_its_id_and_secret() -> None:
    text = token_text(ID, SECRET)
    assert text == f"tdm_{ID}_{SECRET}"
    assert parse_credential(text) == Credential(ID, SECRET)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tdm",
        f"TDM_{ID}_{SECRET}",
        f"tdx_{ID}_{SECRET}",
        f"tdm_{ID.upper()}_{SECRET}",
        f"tdm_{ID}_{SECRET.upper()}",
        f"tdm_{ID}_{SECRET}0",
        f"tdm_{ID}_{SECRET[1:]}",
        f"tdm_{ID}_{SECRET[1:]}é",
        f"tdm-{ID}-{SECRET}",
        f"tdm_{ID[1:]}_{SECRET}0",
        f"tdm_{SECRET}_{ID}",
        f" tdm_{ID}_{SECRET}"[:85],
        "_" * 85,
        "x" * 1_000_000,
        "\udcff" * 85,
    ],
    ids=lambda text: ascii(text[:40]),
)
def test_any_other_text_is_no_token(text: str) -> None:
    assert parse_credential(text) is None


@given(st.binary(min_size=8, max_size=8), st.binary(min_size=32, max_size=32))
def test_every_id_and_secret_makes_a_text(token_id: bytes, secret: bytes) -> None:
    text = token_text(token_id.hex(), secret.hex())
    assert parse_credential(text) == Credential(token_id.hex(), secret.hex())


@pytest.mark.parametrize("wrong", ["", SECRET[:-1], SECRET + "a", SECRET.upper(), "\udcff", "é"])
def test_only_the_secret_opens(wrong: str) -> None:
    assert SAMPLE.opened_by(SECRET)
    assert not SAMPLE.opened_by(wrong)


def test_a_token_expires_in_its_second_and_one_without_end_never() -> None:
    at_us = SAMPLE.expires_at_s * 1_000_000
    assert [SAMPLE.expired(at_us + us) for us in (-1, 0, 1)] == [False, True, True]
    forever = Token(ID, "ci", Permission.READ, b"h" * 32)
    assert not forever.expired(2**62)


def test_a_token_grants_what_it_says() -> None:
    assert SAMPLE.grant() == Grant(f"token {ID}", Permission.WRITE, "acme", frozenset({A, B}))
    assert SECRET not in repr(SAMPLE)


def test_what_a_token_may_be() -> None:
    assert check_token_name("x" * 100) == "x" * 100
    for name in ("", "x" * 101, "a\n", "\ud800"):
        with pytest.raises(InvalidArgument, match="name: must have 1 to 100"):
            check_token_name(name)
    assert check_reach(None) is None
    many = frozenset(f"{number:032x}" for number in range(2, 102))
    assert check_reach(many) == many
    for reach in (frozenset[str](), many | {A}):
        with pytest.raises(InvalidArgument, match="namespaces: must be 1 to 100"):
            check_reach(reach)
    with pytest.raises(InvalidArgument):
        check_reach(frozenset({"x"}))
    with pytest.raises(NamespaceNotFound):
        check_reach(frozenset({"0" * 32}))
    lengths = [0, 1, 100 * 365 * 86_400]
    assert [check_ttl_s(ttl_s) for ttl_s in lengths] == lengths
    for ttl_s in (-1, 100 * 365 * 86_400 + 1):
        with pytest.raises(InvalidArgument, match="ttl_s"):
            check_ttl_s(ttl_s)


@pytest.mark.parametrize(("text", "expected"), [(ID, True), (ID[1:], False), (ID.upper(), False)])
def test_ids(text: str, expected: bool) -> None:
    assert is_token_id(text) is expected
