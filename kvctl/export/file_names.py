"""The name of a key <-> the path of the file that holds its value.

A path is the name itself wherever that can be. What cannot stand in a path is percent-encoded, and
a part that is too long goes on in a directory: `%` at its end means that the next `/` is none.
So each path decodes to one name, whatever was encoded in it and why.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

PART_BYTES_MAX: Final = 240
"""File systems hold 255."""

_ENCODED: Final = re.compile(r"[\x00-\x1f\x7f%]")
_SPLIT: Final = "%/"


def path_of(name: str) -> str:
    """The plainest path for a name."""
    parts = _with_encoded_slashes(_with_encoded_characters(name)).split("/")
    return "/".join(_cut(part) for part in parts)


def name_of(path: str) -> str:
    """The name behind a path; UnicodeDecodeError when it is none of `path_of`."""
    return unquote_to_bytes(path.replace(_SPLIT, "")).decode()


def free_path_of(name: str, root: Path) -> str:
    """A path for a name among the files below `root`, which were written in the order of names.

    Where a part of the path is a file, because there is a key of this name too, the rest is no
    directory but goes on in the same part.
    """
    path = path_of(name)
    for found in re.finditer("/", path):
        if (root / path[: found.start()]).is_file():
            directory, slash, part = path[: found.start()].rpartition("/")
            rest = path[found.start() :].replace(_SPLIT, "").replace("/", "%2F")
            return directory + slash + _cut(part + rest)
    return path


def _with_encoded_characters(name: str) -> str:
    return _ENCODED.sub(lambda found: f"%{ord(found[0]):02X}", name)


def _with_encoded_slashes(text: str) -> str:
    """With those slashes encoded that would stand at an end or behind another one."""
    return re.sub(r"(?<=/)/|^/|/$", "%2F", text)


def _cut(part: str) -> str:
    """The part, in pieces that are short enough, and not as a name that stands for a directory."""
    if part in {".", ".."}:
        return part.replace(".", "%2E")
    return _SPLIT.join(_pieces(part))


def _pieces(part: str) -> Iterator[str]:
    piece, size = "", 0
    for character in re.findall(r"%[0-9A-F]{2}|.", part):
        length = len(character.encode())
        if size + length > PART_BYTES_MAX:
            yield piece
            piece, size = "", 0
        piece, size = piece + character, size + length
    yield piece
