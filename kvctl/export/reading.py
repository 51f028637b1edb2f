"""An export as what `kvctl import` takes: files with names, metadata and expirations of keys."""

import os
from collections.abc import Iterator
from pathlib import Path

from kvctl.export.manifest import MANIFEST, VALUES, Line, Unfit, is_complete, lines_of
from kvctl.tree import Refused, TreeFile, why_no_key


def exported(directory: Path, prefix: str) -> Iterator[TreeFile | Refused]:
    """Each key of an export, in order; `prefix` begins the name of each. At the end of one that is
    cut off, what is missing counts as refused."""
    manifest = str(directory / MANIFEST)
    for line in lines_of(directory):
        if isinstance(line, Unfit):
            yield Refused(manifest, str(line))
        else:
            yield _file(directory / VALUES, line, prefix)
    if not is_complete(directory):
        yield Refused(manifest, "the export was interrupted: the keys after these are missing")


def _file(values: Path, line: Line, prefix: str) -> TreeFile | Refused:
    path = str(values / line.file)
    try:
        if not _lies_within(values, path):
            return Refused(path, "does not lie in the export")
        size = os.lstat(path).st_size
    except (OSError, ValueError) as error:
        return Refused(path, f"cannot be read: {error}")
    if size != line.bytes:
        return Refused(path, f"has {size} bytes, not {line.bytes} as exported")
    reason = why_no_key(prefix + line.name, size)
    if reason:
        return Refused(path, reason)
    metadata = line.metadata.encode()
    return TreeFile(prefix + line.name, path, size, metadata, line.expires_at_s, line.sha256)


def _lies_within(values: Path, path: str) -> bool:
    """An export may come from anywhere, and must not make the import read other files: neither its
    manifest, nor a symbolic link, of which an export writes none."""
    return os.path.realpath(path).startswith(f"{os.path.realpath(values)}{os.sep}")
