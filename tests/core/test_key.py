"""Keys: one order everywhere, object names that give the key back, and every limit."""

import base64
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.core.key import (
    RESERVED_NAMESPACES,
    Key,
    check_name,
    check_name_length,
    decode_name,
    decode_object_name,
    decode_object_names,
    encode_name,
    encoded_prefix,
    is_namespace_id,
    is_object_prefix,
    object_name,
)
from tandem.core.limits import KEY_NAME_BYTES_MAX
from tandem.errors import Breach, InvalidArgument

_TOO_LONG = "513 bytes exceeds the limit of 512"

NAMESPACE = "0123456789abcdef" * 2

# The first and last character of every UTF-8 length, and some that other encodings would reorder.
EDGES = "\x00./0Aa~\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff"
ASCII = "".join(map(chr, range(128)))


def _strings(alphabet: str, *sizes: int) -> list[str]:
    return ["".join(letters) for size in sizes for letters in product(alphabet, repeat=size)]


EDGE_NAMES = _strings(EDGES, 1, 2, 3)
ASCII_NAMES = _strings(ASCII, 1, 2)

names = (
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=140)
    .filter(lambda name: name not in {".", ".."})
    .filter(lambda name: len(name.encode()) <= KEY_NAME_BYTES_MAX)
)


def _shared_beginning(texts: list[str]) -> str:
    lowest, highest = min(texts), max(texts)
    differs = (at for at, (a, b) in enumerate(zip(lowest, highest, strict=False)) if a != b)
    return lowest[: next(differs, len(lowest))]


def _object_name(name: str) -> str:
    return object_name("prefix/", Key(NAMESPACE, name))


@pytest.mark.parametrize("some_names", [EDGE_NAMES, ASCII_NAMES], ids=["edges", "ascii"])
def test_every_home_sorts_names_alike(some_names: list[str]) -> None:
    in_order = sorted(some_names)
    assert sorted(some_names, key=str.encode) == in_order
    assert sorted(some_names, key=_object_name) == in_order
    assert len(set(map(_object_name, some_names))) == len(some_names)


@given(names, names)
def test_two_names_compare_as_their_bytes_and_their_objects_do(a: str, b: str) -> None:
    assert (a < b) == (a.encode() < b.encode()) == (_object_name(a) < _object_name(b))


@given(names)
def test_an_object_name_gives_its_key_back(name: str) -> None:
    prefix, namespace, encoded = _object_name(name).split("/")
    assert (prefix, namespace) == ("prefix", NAMESPACE)
    assert decode_object_name(encoded) == name


@given(names)
def test_an_object_name_is_safe_on_every_s3(name: str) -> None:
    encoded = encode_name(name)
    assert encoded.isascii()
    assert encoded.isalnum()
    assert encoded == encoded.upper()


@given(st.text(st.characters(codec="utf-8"), max_size=140))
def test_an_encoded_name_is_base32hex_without_padding(name: str) -> None:
    assert encode_name(name) == base64.b32hexencode(name.encode()).decode().rstrip("=")


def test_the_longest_object_name_leaves_room_for_a_prefix() -> None:
    longest = object_name("", Key(NAMESPACE, "\U0010ffff" * (KEY_NAME_BYTES_MAX // 4)))
    assert len(longest) == 32 + 1 + 820
    assert 1024 - len(longest) > 128  # bytes that S3 takes


@pytest.mark.parametrize("size", [0, 1, 2])
def test_an_encoded_prefix_covers_exactly_what_every_name_below_it_shares(size: int) -> None:
    for prefix in _strings(EDGES, size):
        below = [encode_name(name) for name in EDGE_NAMES if name.startswith(prefix)]
        assert encoded_prefix(prefix) == _shared_beginning(below), repr(prefix)


@given(names, st.data())
def test_an_encoded_prefix_begins_every_encoded_name(name: str, data: st.DataObject) -> None:
    prefix = name[: data.draw(st.integers(0, len(name)))]
    assert encode_name(name).startswith(encoded_prefix(prefix))
    assert len(encoded_prefix(prefix)) == len(prefix.encode()) * 8 // 5


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "...",
        " ",
        "\x00",
        "a/../b",
        "x" * KEY_NAME_BYTES_MAX,
        "é" * (KEY_NAME_BYTES_MAX // 2),
        "\U0010ffff" * (KEY_NAME_BYTES_MAX // 4),
    ],
    ids=ascii,
)
def test_names_within_the_limits_are_keys(name: str) -> None:
    check_name(name)
    assert decode_name(name.encode()) == name
    assert decode_object_name(encode_name(name)) == name


@pytest.mark.parametrize(
    ("name", "message", "breach", "given"),
    [
        ("", "must not be empty", Breach.EMPTY, ""),
        (".", '"." is not allowed', Breach.RESERVED, "."),
        ("..", '".." is not allowed', Breach.RESERVED, ".."),
        ("x" * (KEY_NAME_BYTES_MAX + 1), _TOO_LONG, Breach.TOO_MUCH, 513),
        ("é" * (KEY_NAME_BYTES_MAX // 2) + "x", _TOO_LONG, Breach.TOO_MUCH, 513),
        ("\U0010ffff" * (KEY_NAME_BYTES_MAX // 4) + "x", _TOO_LONG, Breach.TOO_MUCH, 513),
    ],
    ids=lambda value: ascii(str(value)[:8]),
)
def test_names_beyond_the_limits_are_refused_with_the_field_and_the_limit(
    name: str, message: str, breach: Breach, given: int | str
) -> None:
    for refuse in (lambda: check_name(name, "name"), lambda: decode_name(name.encode(), "name")):
        with pytest.raises(InvalidArgument, match=message) as refused:
            refuse()
        assert refused.value.field == "name"
        assert (refused.value.breach, refused.value.given) == (breach, given)
    assert decode_object_name(encode_name(name)) is None


@pytest.mark.parametrize("surrogate", [0xD800, 0xDBFF, 0xDC00, 0xDFFF], ids=hex)
def test_lone_surrogates_are_not_unicode(surrogate: int) -> None:
    with pytest.raises(InvalidArgument, match="not valid Unicode at character 1"):
        check_name("a" + chr(surrogate))


@pytest.mark.parametrize(
    "raw",
    [b"a\xff", b"a\x80", b"a\xc0\x80", b"a\xed\xa0\x80", b"a\xf4\x90\x80\x80", b"a\xe2\x82"],
    ids=repr,
)
def test_bytes_that_are_not_utf8_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidArgument, match="not valid UTF-8 at byte 1"):
        decode_name(raw)


def test_a_prefix_may_be_what_a_name_may_not_but_not_longer() -> None:
    for prefix in ("", ".", "..", "x" * KEY_NAME_BYTES_MAX):
        check_name_length(prefix, "prefix")
    with pytest.raises(InvalidArgument, match=r"prefix: .* exceeds the limit"):
        check_name_length("x" * (KEY_NAME_BYTES_MAX + 1), "prefix")


@pytest.mark.parametrize(
    "encoded",
    [
        "",  # no name
        "C",  # five bits are no byte
        "C5H",  # nor do fifteen bits end one
        "c5",  # not canonical: lower case
        "C5",  # not canonical: the last bits are not zero
        "C4======",  # not canonical: padded
        "C4 ",
        "C4\n",
        "W4",  # not a digit of base32hex
        "É4",
        "VVVG",  # 0xFF 0xFF is not UTF-8
        ".locks",
        "store.json",
    ],
    ids=ascii,
)
def test_foreign_objects_have_no_key(encoded: str) -> None:
    assert decode_object_name(encoded) is None


@given(st.text(alphabet="0123456789ABCDEFGHIJKLMNOPQRSTUVW=ac./", max_size=12))
def test_an_object_has_a_key_only_if_it_is_the_object_of_that_key(encoded: str) -> None:
    name = decode_object_name(encoded)
    if name is not None:
        check_name(name)
        assert encode_name(name) == encoded


LIKE_OBJECTS = st.one_of(
    names.map(encode_name),
    st.text("0123456789ABCDEFGHIJKLMNOPQRSTUV", max_size=9),
    st.text("0V=ac. \n\u00c9_", max_size=4),
    st.sampled_from(
        ["", "C5", "VVVG", encode_name("."), encode_name(".."), encode_name("x" * 513)]
    ),
)


@given(st.lists(LIKE_OBJECTS, max_size=5))
def test_names_decoded_together_are_those_decoded_one_by_one(encoded: list[str]) -> None:
    assert decode_object_names(encoded) == [decode_object_name(one) for one in encoded]


@given(st.lists(names, min_size=1, max_size=5))
def test_a_page_of_objects_gives_its_keys_back(some_names: list[str]) -> None:
    assert decode_object_names([encode_name(name) for name in some_names]) == some_names


def test_namespace_ids_are_32_lower_case_hex_digits() -> None:
    assert all(is_namespace_id(namespace) for namespace in (NAMESPACE, *RESERVED_NAMESPACES))
    assert len(RESERVED_NAMESPACES) == 2
    for text in ("", NAMESPACE[1:], NAMESPACE + "0", NAMESPACE.upper(), "g" * 32, "\u0661" * 32):
        assert not is_namespace_id(text)


@pytest.mark.parametrize("prefix", ["", "p/", "a/b.c/é/", "p" * 170 + "/"])
def test_a_prefix_has_room_for_the_longest_key(prefix: str) -> None:
    assert is_object_prefix(prefix)
    longest = object_name(prefix, Key("f" * 32, "k" * 512))
    assert len(longest.encode()) <= 1024


@pytest.mark.parametrize(
    "prefix",
    ["p", "/", "/p/", "p//", "p//q/", "./", "../", "p/../q/", "p/./", "p\n/", "\ud800/",
     "p" * 171 + "/", "é" * 85 + "p/"],
)  # fmt: skip
def test_what_some_store_takes_for_another_path_is_no_prefix(prefix: str) -> None:
    assert not is_object_prefix(prefix)
