"""Cursors: what was handed out comes back, everything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.errors import InvalidArgument
from tandem.wire.cursor import decode_cursor, encode_cursor

NAMESPACE, OTHER = "ab" * 16, "cd" * 16
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=128)


@given(NAMES, NAMES)
def test_a_cursor_means_after_this_name(prefix: str, name: str) -> None:
    cursor = encode_cursor(NAMESPACE, prefix, name)
    assert decode_cursor(NAMESPACE, prefix, cursor) == name
    assert cursor.isascii()


def test_the_longest_name_has_a_cursor() -> None:
    name = "n" * 512
    assert decode_cursor(NAMESPACE, "", encode_cursor(NAMESPACE, "", name)) == name


def test_no_cursor_begins_at_the_beginning() -> None:
    assert decode_cursor(NAMESPACE, "p", "") == ""


@given(NAMES, NAMES, st.data())
def test_a_cursor_that_was_changed_is_refused(prefix: str, name: str, data: st.DataObject) -> None:
    cursor = encode_cursor(NAMESPACE, prefix, name)
    place = data.draw(st.integers(0, len(cursor) - 1))
    character = data.draw(st.characters(codec="utf-8").filter(lambda c: c != cursor[place]))
    changed = cursor[:place] + character + cursor[place + 1 :]
    try:
        # The last character may have bits to spare: then the change says the same name.
        assert decode_cursor(NAMESPACE, prefix, changed) == name
        assert place == len(cursor) - 1
    except InvalidArgument as error:
        assert error.field == "cursor"  # noqa: PT017


@pytest.mark.parametrize(
    ("namespace", "prefix"), [(OTHER, "p"), (NAMESPACE, ""), (NAMESPACE, "pp")]
)
def test_a_cursor_of_another_listing_is_refused(namespace: str, prefix: str) -> None:
    with pytest.raises(InvalidArgument, match="namespace and prefix"):
        decode_cursor(namespace, prefix, encode_cursor(NAMESPACE, "p", "pppp"))
