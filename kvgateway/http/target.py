"""The raw target of a request, taken apart; each part is decoded once, strictly, where it is used.

In a path `+` is a plus, in a query it is a space. Nothing here knows what a part means.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from tandem.errors import InvalidArgument

_DIGITS_MAX: Final = 20
_NOT_AN_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Target(NamedTuple):
    """A target as it was sent, undecoded."""

    authority: bytes
    """Host and port of a target in absolute form; empty for any other."""
    path: bytes
    """From its first slash on; empty when there is none."""
    query: bytes


def split_target(raw: bytes) -> Target:
    """`/path?query`, or `scheme://authority/path?query`, in its parts."""
    before, _, query = raw.partition(b"?")
    if before.startswith(b"/"):
        return Target(b"", before, query)
    _, marked, rest = before.partition(b"://")
    if not marked:
        return Target(b"", before, query)
    authority, slash, path = rest.partition(b"/")
    return Target(authority, slash + path, query)


def decoded(raw: bytes, field: str) -> str:
    """Percent-decoded UTF-8; InvalidArgument when it is not."""
    if b"%" in raw:
        if _NOT_AN_ESCAPE.search(raw):
            raise InvalidArgument(field, "has a percent sign that begins no escape")
        raw = unquote_to_bytes(raw)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgument(field, f"is not valid UTF-8 at byte {error.start}") from None


def query_parameters(raw: bytes) -> Mapping[str, str]:
    """The parameters of a query; of those with one name, the first."""
    parameters: dict[str, str] = {}
    for part in raw.split(b"&"):
        name, _, value = part.replace(b"+", b" ").partition(b"=")
        if name:
            field = name.decode("latin-1")
            parameters.setdefault(field, decoded(value, field))
    return parameters


def whole_number(text: str, field: str) -> int:
    """The integer in `text`; InvalidArgument when it is none."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX):
        raise InvalidArgument(field, f"{text[:40]!r} is not a whole number", given=text[:40])
    return int(text)
