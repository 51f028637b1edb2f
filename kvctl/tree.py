"""The files of a directory tree as keys and values, and why some of them cannot be."""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kvctl.content_types import content_type
from tandem.core.key import check_name
from tandem.core.limits import VALUE_BYTES_MAX
from tandem.errors import InvalidArgument
from tandem.wire.codec import encode_metadata

FileId = tuple[int, int]
"""Device and inode: what stays the same however many links lead there."""

# A named pipe that has taken a file's place must not make the import wait for a writer.
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A file that can be a key's value."""

    name: str
    """The key's name."""
    path: str
    size: int
    metadata: bytes
    """The JSON text to store beside it; empty for none."""
    expires_at_s: int | None = None
    sha256: str = ""
    """Of the bytes, as hex digits, where that is known beforehand."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Something in the tree that cannot be stored."""

    path: str
    reason: str


class NotRead(Exception):
    """A file could not be read whole; the text is the reason."""


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    relative: str
    above: frozenset[FileId]
    """The folder itself and those that it lies in: a link to one of them would be a loop."""


def walk(root: str, prefix: str, *, follow_links: bool) -> Iterator[TreeFile | Refused]:
    """What lies below `root`, in a stable order; `prefix` begins the name of each key."""
    waiting = [_Folder(root, "", frozenset({_id(Path(root).stat())}))]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder.path) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            yield Refused(folder.path, f"cannot be read: {error.strerror}")
            continue
        below: list[_Folder] = []
        for entry in entries:
            match _seen(entry, folder, prefix, follow_links):
                case _Folder() as found:
                    below.append(found)
                case TreeFile() | Refused() as found:
                    yield found
        waiting += reversed(below)


def _seen(
    entry: os.DirEntry[str], folder: _Folder, prefix: str, follow_links: bool
) -> TreeFile | Refused | _Folder:
    if entry.is_symlink() and not follow_links:
        return Refused(entry.path, "is a symbolic link, not followed")
    try:
        status = entry.stat()
    except OSError as error:
        broken = isinstance(error, FileNotFoundError) and entry.is_symlink()
        reason = "is a broken symbolic link" if broken else f"cannot be read: {error.strerror}"
        return Refused(entry.path, reason)
    relative = folder.relative + entry.name
    if stat.S_ISDIR(status.st_mode):
        if _id(status) in folder.above:
            return Refused(entry.path, "is a symbolic link to a directory that it lies in")
        return _Folder(entry.path, relative + "/", folder.above | {_id(status)})
    if not stat.S_ISREG(status.st_mode):
        return Refused(entry.path, "is not a regular file")
    reason = why_no_key(prefix + relative, status.st_size)
    if reason:
        return Refused(entry.path, reason)
    metadata = encode_metadata({"contentType": content_type(relative)})
    return TreeFile(prefix + relative, entry.path, status.st_size, metadata)


def why_no_key(name: str, size: int) -> str:
    """What keeps a file of this size from being stored under the name; empty when nothing does."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    try:
        check_name(name)
    except InvalidArgument as error:
        return f"its name as a key: {error.message}"
    if size > VALUE_BYTES_MAX:
        return f"its size of {size} bytes exceeds the limit of {VALUE_BYTES_MAX}"
    return ""


def read_whole(file: TreeFile) -> bytes:
    """The file's bytes, all of one moment; NotRead when it has changed since it was found."""
    try:
        with os.fdopen(os.open(file.path, _OPEN_FLAGS), "rb") as stream:
            before = os.fstat(stream.fileno())
            if not stat.S_ISREG(before.st_mode) or before.st_size != file.size:
                raise NotRead("has changed since the import began")
            content = stream.read(file.size + 1)
            after = os.fstat(stream.fileno())
    except FileNotFoundError:
        raise NotRead("has vanished since the import began") from None
    except OSError as error:
        raise NotRead(f"cannot be read: {error.strerror}") from None
    if len(content) != file.size or before.st_mtime_ns != after.st_mtime_ns:
        raise NotRead("changed while it was read")
    if file.sha256 and hashlib.sha256(content).hexdigest() != file.sha256:
        raise NotRead("is not what was exported")
    return content


def _id(status: os.stat_result) -> FileId:
    return status.st_dev, status.st_ino
