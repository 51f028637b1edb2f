"""The settings file: which type a value must have in it, and on which line it stands."""

import re
from collections.abc import Mapping

from tandem.runtime.settings.kinds import Kind

_KEY = re.compile(r"([\w-]+)\s*=")
_TABLE = re.compile(r"\[\s*([\w-]+)\s*\]")


def text_of(value: object) -> str:
    """A value of the file as it would be written in a variable."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def other_form(kind: Kind[object], value: object) -> str:
    """How a value of the wrong type would have to be written; "" where its type is right, or
    where there is no telling."""
    if isinstance(value, str) and str not in kind.types:
        return ", without quotes"
    if isinstance(value, (bool, int, float)) and kind.types == (str,):
        return ", in quotes"
    return ""


def lines_of(text: str) -> Mapping[tuple[str, str], int]:
    """The lines, from 1, of tables and of what stands in them, as (table, key); a table itself, and
    what is above all tables, is in table "". What is not written plainly has none: tomllib tells
    no lines."""
    if '"""' in text or "'''" in text:
        return {}  # what looks like a key may be part of a text
    lines: dict[tuple[str, str], int] = {}
    table = ""
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if line.startswith("["):
            found = _TABLE.match(line)
            table = found[1] if found else line
            lines.setdefault(("", table), number)
        elif key := _KEY.match(line):
            lines.setdefault((table, key[1]), number)
    return lines
