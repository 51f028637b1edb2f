"""Taking an array apart: the same elements as a whole parser finds, wherever the text is cut."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvgateway.http.rest.elements import DEPTH_MAX, PARTS_MAX, ArrayElements, NoArray

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('"\\[]{},:é'), inner),
    max_leaves=12,
)


def _elements(text: bytes, cuts: list[int]) -> list[bytes]:
    elements = ArrayElements()
    found: list[bytes] = []
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        found += elements.feed(text[start:end])
    elements.finish()
    return found


@settings(max_examples=100, deadline=None)
@given(
    st.lists(_JSON, max_size=6),
    st.lists(st.integers(0, 10_000)),
    st.sampled_from([None, 1]),
    st.booleans(),
)
def test_it_finds_what_a_parser_finds(
    array: list[object], cuts: list[int], indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(array, indent=indent, ensure_ascii=ascii_only).encode()
    for pieces in (cuts, list(range(len(text)))):
        found = [json.loads(element) for element in _elements(b" \r\n" + text + b"\n", pieces)]
        assert found == array


@settings(max_examples=300, deadline=None)
@given(st.text('[]{},:"\\ab1 \n', max_size=30), st.lists(st.integers(0, 40)))
def test_it_takes_nothing_that_a_parser_refuses(text: str, cuts: list[int]) -> None:
    try:
        found = [json.loads(element) for element in _elements(text.encode(), cuts)]
    except ValueError:
        found = None
    try:
        expected = json.loads(text)
    except ValueError:
        expected = None
    assert found == (expected if isinstance(expected, list) else None)


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        (b"[]", []),
        (b" [ \n] ", []),
        (b"[1]", [b"1"]),
        (b"[1,]", [b"1", b""]),
        (b"[,]", [b"", b""]),
        (b'["]",[","]]', [b'"]"', b'[","]']),
        (b'["\\\\","\\""]', [b'"\\\\"', b'"\\""']),
    ],
)
def test_elements_as_they_stand(text: bytes, elements: list[bytes]) -> None:
    assert _elements(text, list(range(len(text)))) == elements


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"11]", "not an array"),
        (b'{"a":1}', "not an array"),
        (b" x[1]", "not an array"),
        (b"[1}", "brackets do not match"),
        (b"[1]]", "something follows"),
        (b"[1", "does not end"),
        (b" ", "does not end"),
    ],
)
def test_what_is_no_array_is_refused_by_its_fault(text: bytes, says: str) -> None:
    for cuts in ([], list(range(len(text)))):
        with pytest.raises(NoArray, match=says):
            _elements(text, cuts)


def test_depth_and_parts_are_bounded() -> None:
    deep = b"[" * DEPTH_MAX + b"]" * DEPTH_MAX
    assert _elements(deep, []) == [deep[1:-1]]
    with pytest.raises(NoArray, match="nested more than"):
        _elements(b"[" + deep, [])
    many = b"[[" + b"," * (PARTS_MAX - 3) + b"]]"
    assert len(_elements(many, [])) == 1
    assert len(_elements(many.replace(b"]]", b"]," + many[1:]), [])) == 2, "of each element"
    with pytest.raises(NoArray, match="more than 10000 parts"):
        _elements(many.replace(b"]]", b",,,]]"), [])


def test_what_was_given_out_is_not_held() -> None:
    elements = ArrayElements()
    list(elements.feed(b"["))
    for _ in range(1000):
        assert list(elements.feed(b'"' + b"x" * 1000 + b'",')) == [b'"' + b"x" * 1000 + b'"']
        assert len(elements._held) == 0
