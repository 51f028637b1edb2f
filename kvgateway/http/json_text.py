"""Whether a long text is JSON, found without building what it says, and in steps.

A decoder would take hundreds of mebibytes and many seconds over 25 MiB of small lists, and nothing
else of the process would run meanwhile. What is no UTF-8 counts as U+FFFD, which may stand within
strings only.
"""

import re
from collections.abc import Iterator
from typing import Final

DEPTH_MAX: Final = 1000
"""Deeper than decoders go."""
_STEPS: Final = 50
"""Between two pauses: some milliseconds. One step takes a value, or many small ones at once."""

_SPACE: Final = rb"[ \t\n\r]*+"
_STRING: Final = rb'"(?:[^"\\\x00-\x1f]++|(?:\\["\\/bfnrt])++|\\u[0-9A-Fa-f]{4})*+"'
_NUMBER: Final = rb"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[Ee][-+]?+[0-9]++)?+"
_NAME: Final = rb"%b%b:%b" % (_STRING, _SPACE, _SPACE)
_COMMA: Final = rb"%b,%b" % (_SPACE, _SPACE)


def _one_deeper(value: bytes) -> bytes:
    """What matches such values, and arrays and objects of a few of them."""
    several = rb"(?:%b(?:%b%b){0,99}+)?+%b"
    values = several % (value, _COMMA, value, _SPACE)
    member = _NAME + value
    members = several % (member, _COMMA, member, _SPACE)
    return rb"(?:%b|\[%b%b\]|\{%b%b\})" % (value, _SPACE, values, _SPACE, members)


_SCALAR: Final = rb"(?:%b|%b|true|false|null)" % (_STRING, _NUMBER)
_FLAT: Final = _one_deeper(_one_deeper(_SCALAR))

_BEGINNING: Final = re.compile(_SPACE)
_VALUE: Final = re.compile(_FLAT)
_OPENING: Final = re.compile(rb"([\[{])%b" % _SPACE)
_MEMBER: Final = re.compile(_NAME)
_VALUES: Final = re.compile(rb"(?:%b%b){0,999}+" % (_FLAT, _COMMA))
_MEMBERS: Final = re.compile(rb"(?:%b%b%b){0,999}+" % (_NAME, _FLAT, _COMMA))
_BEHIND: Final = re.compile(rb"%b(?:([,\]}])%b)?+" % (_SPACE, _SPACE))
_ARRAY: Final = ord("[")
_CLOSING: Final = {_ARRAY: b"]", ord("{"): b"}"}


class NoJson(ValueError):
    """The text is not JSON."""


def steps_through(text: memoryview) -> Iterator[None]:
    """Goes through the text, with pauses; raises NoJson where it is none."""
    brackets = bytearray()  # those that are open, outermost first
    at, steps, behind = _found(_BEGINNING, text, 0).end(), 0, False
    while True:
        steps += 1
        if steps % _STEPS == 0:
            yield
        if not behind:
            value = _VALUE.match(text, at)
            if value is not None:
                at, behind = value.end(), True
                continue
            opening = _found(_OPENING, text, at)
            brackets += opening[1]
            if len(brackets) > DEPTH_MAX:
                raise NoJson
            at = _next_value(text, opening.end(), brackets[-1])
            continue
        found = _found(_BEHIND, text, at)
        at = found.end()
        if not brackets:
            if found[1] or at < len(text):
                raise NoJson
            return
        if found[1] == b",":
            at, behind = _next_value(text, at, brackets[-1]), False
        elif found[1] != _CLOSING[brackets.pop()]:
            raise NoJson


def _next_value(text: memoryview, at: int, bracket: int) -> int:
    """Where the next value begins that is not behind a comma and small, in an array or object."""
    if bracket == _ARRAY:
        return _found(_VALUES, text, at).end()
    return _found(_MEMBER, text, _found(_MEMBERS, text, at).end()).end()


def _found(pattern: re.Pattern[bytes], text: memoryview, at: int) -> re.Match[bytes]:
    found = pattern.match(text, at)
    if found is None:
        raise NoJson
    return found
