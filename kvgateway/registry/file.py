"""The copy of one kind of system records on a gateway's disk: a JSON file, replaced all or
nothing."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Generic

from kvgateway.registry.book import Kept
from kvgateway.registry.form import RecordForm, T
from tandem.core.envelope import seal
from tandem.core.version import Version
from tandem.runtime import logs, stable_files

_LOG = logs.get("registry_file")
FORMAT: Final = 1


class DiskCopy(Generic[T]):
    """See `records.CopyFile`. Worker processes share the path; the last one to save wins, since
    each of them looks at the homes once a second."""

    def __init__(self, path: Path, form: RecordForm[T]) -> None:
        self._path = path
        self._form = form

    def load(self) -> Sequence[Kept[T]]:
        """What was saved last. A file that cannot be read is logged and counts as none: it is a
        copy, and the homes have the original."""
        try:
            return from_json(self._form, self._path.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            _LOG.error("registry_file_unreadable", path=str(self._path), error=repr(error))
            return []

    async def save(self, kept: Sequence[Kept[T]]) -> None:
        """Writes beside the file, syncs, renames, syncs the directory; OSError from any of it."""
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        content = to_json(self._form, kept)
        await stable_files.replace_on_thread(self._path, content, beside=beside)


def to_json(form: RecordForm[T], kept: Sequence[Kept[T]]) -> bytes:
    """The file's content."""
    records = [
        {
            "id": one.id,
            "version": one.version.hex(),
            "digest": one.digest.hex(),
            form.noun: None if one.item is None else json.loads(form.encode(one.item)),
        }
        for one in sorted(kept, key=lambda one: one.id)
    ]
    return json.dumps({"format": FORMAT, "records": records}, indent=1).encode()


def from_json(form: RecordForm[T], content: bytes) -> Sequence[Kept[T]]:
    """What the content says; ValueError unless it is such a content."""
    try:
        document = json.loads(content)
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']!r} is not known here")
        return [_kept(form, record) for record in document["records"]]
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not a copy of the {form.noun}s: {error!r}") from error


def _kept(form: RecordForm[T], record: dict[str, Any]) -> Kept[T]:
    """What does not give the digest that stands beside it is damaged, or was encoded by another
    release: it has none, and is read in the homes at the next look."""
    stored = record[form.noun]
    version = Version.parse(bytes.fromhex(record["version"]))
    digest = bytes.fromhex(record["digest"])
    item = None if stored is None else form.decode(json.dumps(stored).encode())
    if item is not None and seal(version, form.encode(item)).digest != digest:
        digest = b""
    return Kept(str(record["id"]), version, digest, item)
