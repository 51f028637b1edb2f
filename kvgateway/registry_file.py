"""The copy of the registry on a gateway's disk: one JSON file, replaced all or nothing."""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from kvgateway.namespace_book import Kept
from tandem.core.namespace import BadNamespaceRecord, decode_namespace, encode_namespace
from tandem.core.version import Version
from tandem.runtime import logs

_LOG = logs.get("registry_file")
FORMAT: Final = 1


class DiskRegistryFile:
    """See `registry.RegistryFile`. Worker processes share the path; the last one to save wins,
    since each of them looks at the homes once a second."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Sequence[Kept]:
        """What was saved last. A file that cannot be read is logged and counts as none: it is a
        copy, and the homes have the original."""
        try:
            return from_json(self._path.read_bytes())
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            _LOG.error("registry_file_unreadable", path=str(self._path), error=repr(error))
            return []

    async def save(self, kept: Sequence[Kept]) -> None:
        """Writes beside the file, syncs, renames, syncs the directory; OSError from any of it."""
        await asyncio.to_thread(self._replace, to_json(kept))

    def _replace(self, content: bytes) -> None:
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def to_json(kept: Sequence[Kept]) -> bytes:
    """The file's content."""
    records = [
        {
            "id": one.id,
            "version": one.version.hex(),
            "digest": one.digest.hex(),
            "namespace": None
            if one.namespace is None
            else json.loads(encode_namespace(one.namespace)),
        }
        for one in sorted(kept, key=lambda one: one.id)
    ]
    return json.dumps({"format": FORMAT, "records": records}, indent=1).encode()


def from_json(content: bytes) -> Sequence[Kept]:
    """What the content says; ValueError unless it is such a content."""
    try:
        document = json.loads(content)
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']!r} is not known here")
        return [_kept(record) for record in document["records"]]
    except (KeyError, TypeError, BadNamespaceRecord) as error:
        raise ValueError(f"not a copy of the registry: {error!r}") from error


def _kept(record: dict[str, Any]) -> Kept:
    stored = record["namespace"]
    namespace = None if stored is None else decode_namespace(json.dumps(stored).encode())
    return Kept(
        str(record["id"]),
        Version.parse(bytes.fromhex(record["version"])),
        bytes.fromhex(record["digest"]),
        namespace,
    )
