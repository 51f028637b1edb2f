"""Small files that are whole after any crash or power cut: the old content, or the new one."""

import asyncio
import os
from functools import partial
from pathlib import Path


def replace(path: Path, content: bytes, *, beside: Path | None = None) -> None:
    """Puts `content` in the place of the file, on stable storage, for the owner's eyes alone.

    It is written `beside` first, by default the same name with `.new` after it: whoever may write
    at the same time as others gives a place of its own. Blocking. Raises OSError, and has left
    nothing beside the file then: a full disk needs the space.
    """
    new = beside or path.with_name(f"{path.name}.new")
    try:
        with new.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


async def replace_on_thread(path: Path, content: bytes, *, beside: Path | None = None) -> None:
    """The same on a thread. It cannot be broken off: who is cancelled meanwhile hears of that when
    the thread has ended, and holds until then what keeps others from writing too."""
    work = partial(replace, path, content, beside=beside)
    writing = asyncio.get_running_loop().run_in_executor(None, work)
    cancelled: asyncio.CancelledError | None = None
    while not writing.done():
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError as error:
            cancelled = error
        except OSError:
            break
    if cancelled is not None:
        raise cancelled
    writing.result()


def sync_directory(directory: Path) -> None:
    """Puts what was made, renamed and removed in a directory on stable storage; blocking.

    Raises OSError.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
