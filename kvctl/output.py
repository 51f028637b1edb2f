"""How answers are printed: lines, columns, JSON, and quantities that people can read."""

import base64
import errno
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

import click
from rich.cells import cell_len

from kvctl.endings import Ended, Ending
from tandem.core.counted import counted
from tandem.core.limits import KIB, MIB

_COLUMN_GAP: Final = 2
_COLUMN_MAX: Final = 48
"""A cell that is wider moves what follows in its own row, and in no other."""


def print_line(text: str, *, error: bool = False) -> None:
    """Prints a line as UTF-8 in any locale."""
    print_bytes(f"{text}\n".encode(errors="backslashreplace"), error=error)


def print_json(document: Mapping[str, object]) -> None:
    """Prints one JSON object on one line; half a surrogate pair in a text is an escape in JSON."""
    print_line(json_text(document))


def json_text(document: object) -> str:
    """A document as JSON, on one line."""
    try:
        return json.dumps(document, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(finite(document), ensure_ascii=False)


def finite(document: Any) -> Any:  # noqa: ANN401 - that is what JSON holds
    """A document with null in place of numbers such as 1e999, which cannot be written again; so
    does JavaScript."""
    return json.loads(json.dumps(document), parse_constant=lambda _: None)


def print_bytes(data: bytes, *, error: bool = False) -> None:
    """Prints just these. A reader that has seen enough ends the command without a word, a full disk
    with one."""
    try:
        click.echo(data, nl=False, err=error)
    except OSError as failure:
        if failure.errno == errno.EPIPE:
            raise
        raise unwritten(failure, sys.stderr if error else sys.stdout) from failure


def unwritten(failure: OSError, stream: TextIO) -> Ended:
    """The end of a command that could not print to a stream.

    What the stream still holds goes nowhere: Python 3.14, which cannot write it at exit either,
    would end with 120 and a message of its own.
    """
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
    return Ended(Ending.NEGATIVE, f"the output cannot be written: {failure.strerror}")


def value_fields(value: bytes) -> dict[str, object]:
    """Bytes in JSON: as they are when they are UTF-8, else in base64, and which of the two."""
    try:
        return {"value": value.decode(), "encoding": "utf-8"}
    except UnicodeDecodeError:
        return {"value": base64.b64encode(value).decode(), "encoding": "base64"}


def columns(rows: Iterable[Sequence[str]]) -> str:
    """Rows as aligned columns; what could upset a terminal is escaped."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [
        max((width for width in map(cell_len, column) if width <= _COLUMN_MAX), default=0)
        for column in zip(*shown, strict=True)
    ]
    return "\n".join(
        "".join(
            cell + " " * (max(width - cell_len(cell), 0) + _COLUMN_GAP)
            for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in shown
    )


def printable(text: str) -> str:
    """`text` without control characters, which become escapes such as \\n."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def on_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def when(seconds: int) -> str:
    """A time in seconds since the epoch, in UTC; 0 stands for never."""
    if not seconds:
        return "never"
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        return f"{seconds} s"


def duration(microseconds: int) -> str:
    """A length of time, in the unit that suits it."""
    size = abs(microseconds)
    for limit_us, unit_us, unit in (
        (1_000, 1, "us"),
        (1_000_000, 1_000, "ms"),
        (120_000_000, 1_000_000, "s"),
        (7_200_000_000, 60_000_000, "min"),
    ):
        if size < limit_us:
            return f"{microseconds / unit_us:.3g} {unit}"
    return f"{microseconds / 3_600_000_000:.1f} h"


def size(count: int) -> str:
    """A number of bytes, in the unit that suits it."""
    if count < KIB:
        return counted(count, "byte")
    return f"{count / KIB:.1f} KiB" if count < MIB else f"{count / MIB:.1f} MiB"
