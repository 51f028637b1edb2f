"""The manifest of an export: JSON lines, in the order of names, each written after its file.

    {"format": "tandem-export", "version": 1, "namespace": ID, "title": "...", "prefix": "..."}
    {"name": "...", "file": "...", "bytes": 5, "sha256": "...", "metadata": {}, "expires_at_s": 2}
    {"complete": true}

`metadata` and `expires_at_s` are left out when there is none. Where `metadata`, written again,
would not be the text that is stored (`1e2`), that text is in `metadata_json`. Without the last line
the export was interrupted, and goes on after the name of the last whole line.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from kvctl.output import finite
from tandem.core.request import EXPIRES_AT_S_MAX
from tandem.errors import InvalidArgument
from tandem.wire.codec import JsonValue, decode_metadata, encode_metadata

MANIFEST: Final = "tandem-export.jsonl"
VALUES: Final = "values"
MARK: Final = ".tandem-export%"
"""An empty file among the values: what lies there are values of an export. `%` at the end is in no
key's path."""
_LINE_BYTES_MAX: Final = 64 * 1024
"""A name of 512 bytes and metadata of 1,024, escaped, are far below."""


class Unfit(Exception):
    """The directory cannot be used so; the text says why."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is exported."""

    namespace: str
    """The id."""
    title: str
    prefix: str

    def document(self) -> dict[str, object]:
        """The manifest's first line."""
        return {
            "format": "tandem-export", "version": 1, "namespace": self.namespace,
            "title": self.title, "prefix": self.prefix,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One key."""

    name: str
    file: str
    """The path of the value's file below VALUES."""
    bytes: int
    sha256: str
    metadata: str = ""
    """JSON text; empty for none."""
    expires_at_s: int | None = None

    def document(self) -> dict[str, object]:
        """The line as JSON."""
        given = {**_metadata_fields(self.metadata), "expires_at_s": self.expires_at_s}
        return {
            "name": self.name, "file": self.file, "bytes": self.bytes, "sha256": self.sha256,
            **{field: value for field, value in given.items() if value is not None},
        }  # fmt: skip

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """The key of a line; Unfit when it is not one of ours."""
        fields = dict(document)
        shown, text = fields.pop("metadata", None), fields.pop("metadata_json", None)
        try:
            line = cls(**fields, metadata=_metadata_of(shown, text))
        except (AttributeError, TypeError, ValueError, InvalidArgument):
            raise Unfit(f"{MANIFEST}: not a line of an export: {document}") from None
        texts = (line.name, line.file, line.sha256)
        numbers = (line.bytes, line.expires_at_s or 0)
        fits = all(isinstance(text, str) for text in texts) and all(map(_is_number, numbers))
        if not fits:
            raise Unfit(f"{MANIFEST}: not a line of an export: {document}")
        return line


class Manifest:
    """Appends to the manifest of one export, and says where an earlier try ended."""

    def __init__(self, directory: Path, scope: Scope) -> None:
        """Begins an export, or goes on with it; Unfit where that cannot be. It is locked until it
        is closed: two exports at once would mix up their files."""
        path = directory / MANIFEST
        if not path.exists() and any(directory.iterdir()):
            raise Unfit(f"{directory} is not empty, and no export was begun there")
        self._stream = path.open("ab", buffering=0)  # what a full disk refuses is not tried again
        try:
            self.after = self._begun(path, scope)
            """The last name that is exported already."""
        except BaseException:
            self.close()
            raise

    def _begun(self, path: Path, scope: Scope) -> str:
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unfit(f"{path.parent}: another export is at work there") from None
        after = _last_name(path, scope)
        _make_values(path.parent)
        _check_values(path.parent)
        if not path.stat().st_size:
            self._append([scope.document()])
        return after

    def add(self, lines: list[Line]) -> None:
        """Enters keys whose files are written."""
        self._append([line.document() for line in lines])

    def complete(self) -> None:
        """Says that nothing is missing, once all of it, the values too, is on stable storage."""
        os.sync()
        self._append([{"complete": True}])
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Leaves it to a later try."""
        self._stream.close()

    def _append(self, documents: Sequence[Mapping[str, object]]) -> None:
        text = "".join(f"{json.dumps(one, separators=(', ', ': '))}\n" for one in documents)
        left = text.encode()
        while left:
            left = left[self._stream.write(left) :]


def _last_name(path: Path, scope: Scope) -> str:
    """Cuts off what is half a line, and returns the name that the last whole one is about."""
    with path.open("r+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - 2 * _LINE_BYTES_MAX))
        tail = stream.read()
        whole = tail[: tail.rfind(b"\n") + 1]
        stream.truncate(size - len(tail) + len(whole))
    if not whole:
        return ""
    with path.open("rb") as stream:
        if _document(stream.readline(_LINE_BYTES_MAX)) != scope.document():
            raise Unfit(f"{path} is the manifest of another export")
    last = _document(whole.splitlines()[-1])
    if "complete" in last:
        raise Unfit(f"{path.parent} has a complete export already; choose another directory")
    return "" if "format" in last else Line.of(last).name


def _make_values(directory: Path) -> None:
    values = directory / VALUES
    values.mkdir(exist_ok=True)
    (values / MARK).touch()
    if (directory / VALUES.upper()).exists():
        raise Unfit(f"{directory}: the file system does not tell A from a, as keys do")


def _check_values(directory: Path) -> None:
    """Values are not synced one by one: the power may have failed behind an interrupted export."""
    for line in lines_of(directory):
        if isinstance(line, Unfit):
            raise line
        file = directory / VALUES / line.file
        if not file.exists() or file.stat().st_size != line.bytes:
            raise Unfit(
                f"{file} is not what was exported (did the power fail?); choose another directory"
            )


def is_export(directory: Path) -> bool:
    """Whether an export was written there; Unfit when it is one that cannot be read, or when only
    the values of one are there: their paths are not quite the names of the keys."""
    path = directory / MANIFEST
    _refuse_bare_values(directory)  # where the value of a key may be called as the manifest is
    if not path.exists():
        _refuse_bare_values(directory / VALUES)
        return False
    with path.open("rb") as stream:
        head = _document(stream.readline(_LINE_BYTES_MAX))
    if (head.get("format"), head.get("version")) != ("tandem-export", 1):
        raise Unfit(f"{path} is not a manifest that this version can read")
    return True


def _refuse_bare_values(values: Path) -> None:
    mark = values / MARK
    if mark.exists():
        home = mark.absolute().parent.parent
        raise Unfit(
            f"{values} holds values of an export, whose names, metadata and"
            f" expirations are in {home / MANIFEST}\n"
            f"Import {home} with that file in it; or remove {mark}, and the values are"
            " imported as the files that they are."
        )


def is_complete(directory: Path) -> bool:
    """Whether an export ran to its end."""
    with (directory / MANIFEST).open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - _LINE_BYTES_MAX))
        return stream.read().endswith(b'{"complete": true}\n')


def lines_of(directory: Path) -> Iterator[Line | Unfit]:
    """The keys of an export, complete or not; Unfit in place of a line that says nothing. Half a
    line at the end is none."""
    with (directory / MANIFEST).open("rb") as stream:
        stream.readline(_LINE_BYTES_MAX)
        while text := stream.readline(_LINE_BYTES_MAX):
            if not text.endswith(b"\n") and len(text) < _LINE_BYTES_MAX:
                return
            try:
                document = _document(text)
                if "complete" not in document:
                    yield Line.of(document)
            except Unfit as unfit:
                yield unfit


def _metadata_fields(text: str) -> Mapping[str, object]:
    raw = text.encode()
    value = decode_metadata(raw)
    try:
        if encode_metadata(value) == raw:
            return {"metadata": value}
    except InvalidArgument:  # too long when it is written so, or with a number that JSON has not
        pass
    return {"metadata": finite(value), "metadata_json": text}


def _metadata_of(shown: JsonValue, text: str | None) -> str:
    """The metadata's text; ValueError when one of the two was changed and not the other."""
    if text is None:
        return encode_metadata(shown).decode()
    if finite(decode_metadata(text.encode())) != shown:
        raise ValueError(text)
    return text


def _is_number(given: object) -> bool:
    return isinstance(given, int) and given <= EXPIRES_AT_S_MAX


def _document(text: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Unfit(f"{MANIFEST}: not a line of an export: {text[:100]!r}")
    return document
