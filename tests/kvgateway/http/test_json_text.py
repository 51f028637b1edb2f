"""What the decoder of the standard library takes is JSON, and nothing else."""

import json
import tracemalloc
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvgateway.http.json_text import is_json
from tandem.core.limits import MIB

SPACE = st.text(" \t\r\n", max_size=2)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)  # fmt: skip
TOKENS = st.sampled_from(
    ['"', '"a"', "\\", "\\u00e9", "\\ud83e", "\\uDe42", "[", "]", "{", "}", ",", ":", "1", "0", "-",
     ".", "e", "+", "true", "null", "NaN", " ", "\n", "\0", "\x7f", "é", "\ufeff"]
)  # fmt: skip


def is_json_to_the_decoder(text: bytes) -> bool:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(constant)

    try:
        json.loads(text.decode("utf-8", "replace"), parse_constant=refuse)
    except ValueError:
        return False
    return True


@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 1, "\t"]), SPACE, SPACE)
def test_whatever_is_json(
    document: object, ascii_only: bool, indent: int | str | None, before: str, behind: str
) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    assert is_json(f"{before}{text}{behind}".encode(errors="surrogatepass"))


@given(DOCUMENTS, st.lists(st.tuples(st.integers(0, 1 << 16), st.none() | TOKENS), max_size=3))
def test_what_was_json_and_is_spoiled(
    document: object, changes: list[tuple[int, str | None]]
) -> None:
    text = json.dumps(document, ensure_ascii=False)
    for place, token in changes:
        at = place % (len(text) + 1)
        text = text[:at] + text[at + 1 :] if token is None else text[:at] + token + text[at:]
    raw = text.encode(errors="surrogatepass")
    assert is_json(raw) == is_json_to_the_decoder(raw)


@given(st.lists(TOKENS, max_size=12).map("".join))
def test_any_sequence_of_tokens(text: str) -> None:
    for whole in (text, f'"{text}"'):
        assert is_json(whole.encode()) == is_json_to_the_decoder(whole.encode())


@given(st.binary(max_size=20))
def test_bytes_that_are_no_text_may_stand_in_strings_alone(raw: bytes) -> None:
    for text in (raw, b'["%b"]' % raw, b'{"%b":1}' % raw):
        assert is_json(text) == is_json_to_the_decoder(text)


@pytest.mark.parametrize("half", [rb"\ud83e", rb"\uDE42", rb"\ud83e\ud83e", rb"\\\ud83e"])
def test_half_a_surrogate_pair_may_stand_in_a_string(half: bytes) -> None:
    assert is_json(b'{"a":["x%by"]}' % half)
    assert not is_json(b'{"a":["x%by"]' % half)
    assert not is_json(b"[%b]" % half)


def test_depth_has_a_bound() -> None:
    assert is_json(b"[" * 500 + b"1" + b"]" * 500)
    assert not is_json(b"[" * 100_000 + b"1" + b"]" * 100_000)


def test_nothing_is_built() -> None:
    text = b"[%b[]]" % (b"[]," * (MIB // 3))
    tracemalloc.start()
    try:
        assert is_json(memoryview(text))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MIB // 4
