"""Namespaces: the one JSON form round trips, and nothing else is taken for one."""

import json
from dataclasses import asdict, replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.core.access import DEFAULT_ACCOUNT
from tandem.core.key import RESERVED_NAMESPACES
from tandem.core.mode import Mode, Stage
from tandem.core.namespace import (
    BadNamespaceRecord,
    Namespace,
    Settings,
    SettingsChange,
    check_namespace_id,
    check_title,
    decode_namespace,
    encode_namespace,
)
from tandem.core.quota import QUOTA_MAX, Quota
from tandem.core.reading import ReadMode
from tandem.core.reply import Side
from tandem.core.write_race import AckPolicy
from tandem.errors import InvalidArgument, NamespaceNotFound

ID = "0123456789abcdef" * 2
SAMPLE = Namespace(ID, "Sessions", Settings(AckPolicy.BOTH, ReadMode.S3, epoch=3), 1_700_000_000)

titles = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=512)
limits = st.integers(0, QUOTA_MAX)
settings = st.builds(
    Settings,
    st.sampled_from(AckPolicy),
    st.sampled_from(ReadMode),
    st.integers(0, 2**31),
    st.builds(Quota, limits, limits, limits),
    st.booleans(),
    st.builds(Mode, st.sampled_from(Stage), st.sampled_from(Side))
    | st.builds(Mode, st.just(Stage.ACTIVE), st.sampled_from(Side), st.integers(1, 100)),
    st.just(0),
)


def _stored(**changed: object) -> bytes:
    return json.dumps({**json.loads(encode_namespace(SAMPLE)), **changed}).encode()


@given(titles, settings, st.integers(0, 2**40), st.sampled_from([DEFAULT_ACCOUNT, "acme-1"]))
def test_a_namespace_is_decoded_as_it_was_encoded(
    title: str, some_settings: Settings, created_at_s: int, account: str
) -> None:
    namespace = Namespace(ID, title, some_settings, created_at_s, account)
    assert decode_namespace(encode_namespace(namespace)) == namespace


def test_the_bytes_of_format_1_never_change() -> None:
    assert encode_namespace(SAMPLE) == (
        b'{"ack_policy":"both","created_at_s":1700000000,"epoch":3,"format":1,'
        b'"id":"0123456789abcdef0123456789abcdef","read_mode":"s3","title":"Sessions"}'
    )


def test_limits_are_in_the_bytes_where_there_are_any() -> None:
    limited = replace(
        SAMPLE,
        settings=replace(SAMPLE.settings, quota=Quota(bytes_per_s=5), key_write_interval=True),
    )
    assert encode_namespace(limited) == (
        b'{"ack_policy":"both","bytes_per_s":5,"created_at_s":1700000000,"epoch":3,"format":1,'
        b'"id":"0123456789abcdef0123456789abcdef","key_write_interval":true,"read_mode":"s3",'
        b'"title":"Sessions"}'
    )


def test_the_mode_is_in_the_bytes_where_it_is_not_the_usual_one() -> None:
    shadow = replace(SAMPLE, settings=replace(SAMPLE.settings, mode=Mode(Stage.SHADOW, Side.S3)))
    assert encode_namespace(shadow) == (
        b'{"ack_policy":"both","created_at_s":1700000000,"epoch":3,"format":1,"home":"s3",'
        b'"id":"0123456789abcdef0123456789abcdef","mode":"shadow","percent":100,"read_mode":"s3",'
        b'"title":"Sessions"}'
    )
    stepped = replace(SAMPLE.settings, mode_epoch=2, stepped_at_s=9)
    assert encode_namespace(replace(SAMPLE, settings=stepped)) == (
        b'{"ack_policy":"both","created_at_s":1700000000,"epoch":3,"format":1,'
        b'"id":"0123456789abcdef0123456789abcdef","mode_epoch":2,"read_mode":"s3",'
        b'"stepped_at_s":9,"title":"Sessions"}'
    )
    assert decode_namespace(encode_namespace(replace(SAMPLE, settings=stepped))).settings == stepped


def test_a_new_namespace_may_be_given_a_mode_and_keeps_it() -> None:
    shadow = Mode(Stage.SHADOW, Side.S3)
    after = SettingsChange(mode=shadow).applied_to(Settings(epoch=4))
    assert (after.mode, after.epoch, after.mode_epoch) == (shadow, 5, 0)
    assert SettingsChange(AckPolicy.BOTH).applied_to(after).mode == shadow


def test_settled_is_what_was_never_anything_else() -> None:
    assert Settings().settled
    assert Settings(mode=Mode(Stage.ACTIVE, Side.S3)).settled
    assert not Settings(mode_epoch=2).settled
    assert not Settings(mode=Mode(Stage.SHADOW, Side.S3)).settled


def test_each_limit_is_changed_by_itself() -> None:
    names = ("operations_per_s", "bytes_per_s", "large_bodies_max", "key_write_interval")
    for changed in product((None, 0, 7), (None, 0, 7), (None, 0, 7), (None, False, True)):
        before = Settings(quota=Quota(1, 2, 3), key_write_interval=True, epoch=4)
        wanted = dict(zip(names, changed, strict=True))
        after = SettingsChange(**wanted).applied_to(before)  # type: ignore[arg-type]
        shown = (*asdict(after.quota).values(), after.key_write_interval)
        was = (1, 2, 3, True)
        assert shown == tuple(b if c is None else c for b, c in zip(was, changed, strict=True))
        assert after.epoch == (4 if shown == was else 5)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        _stored(format=2),
        _stored(ack_policy="some"),
        _stored(read_mode=None),
        _stored(epoch="x"),
        _stored(epoch=float("inf")),
        _stored(created_at_s=None),
        _stored(id=ID[1:]),
        _stored(id="0" * 32),
        _stored(title=""),
        _stored(account=""),
        _stored(account="Not One"),
        _stored(operations_per_s=-1),
        _stored(bytes_per_s=QUOTA_MAX + 1),
        _stored(large_bodies_max="many"),
        _stored(mode="shadow"),
        _stored(mode="twin", home="s3", percent=100),
        _stored(mode="shadow", home="here", percent=100),
        _stored(mode="shadow", home="s3", percent=50),
        _stored(mode="active", home="s3", percent=0),
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_anything_else_is_no_namespace(raw: bytes) -> None:
    with pytest.raises(BadNamespaceRecord):
        decode_namespace(raw)


def test_a_change_counts_an_epoch_exactly_if_it_changes_something() -> None:
    for policy, mode in product([None, *AckPolicy], [None, *ReadMode]):
        before = SAMPLE.settings
        after = SettingsChange(policy, mode).applied_to(before)
        assert after.ack_policy is (policy or before.ack_policy)
        assert after.read_mode is (mode or before.read_mode)
        changed = (after.ack_policy, after.read_mode) != (before.ack_policy, before.read_mode)
        assert after.epoch == before.epoch + changed


def test_only_an_id_that_is_not_reserved_may_be_named() -> None:
    assert check_namespace_id(ID) == ID
    for reserved in RESERVED_NAMESPACES:
        with pytest.raises(NamespaceNotFound):
            check_namespace_id(reserved)
    for text in ("", ID.upper(), ID + "0", "x" * 10_000):
        with pytest.raises(InvalidArgument, match=r"namespace: .* 32 lower-case hex") as refused:
            check_namespace_id(text)
        assert len(str(refused.value)) < 200


@pytest.mark.parametrize("title", ["x", " ", "é" * 512, "\U0001f600"], ids=ascii)
def test_titles_within_the_limits(title: str) -> None:
    assert check_title(title) == title


@pytest.mark.parametrize(
    ("title", "message"),
    [
        ("", "must not be empty"),
        ("x" * 513, "513 characters exceeds the limit of 512"),
        ("a\x00", "control character at position 1"),
        ("ab\n", "control character at position 2"),
        ("\x7f", "control character at position 0"),
        ("\ud800", "control character at position 0"),
        ("a\udfff", "control character at position 1"),
    ],
    ids=lambda text: ascii(text[:8]),
)
def test_titles_beyond_the_limits(title: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=f"title: .*{message}"):
        check_title(title)
