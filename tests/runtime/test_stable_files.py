"""Small files are replaced whole or not at all, and nobody else may read them."""

import asyncio
import errno
import os
import stat
import threading
from pathlib import Path
from typing import NoReturn

import pytest

from tandem.runtime import stable_files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.json"


@pytest.mark.parametrize("before", [None, b"", b"a longer content than the new one"])
def test_the_new_content_is_all_there_is(path: Path, before: bytes | None) -> None:
    if before is not None:
        path.write_bytes(before)
    stable_files.replace(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_only_the_owner_may_read_it(path: Path) -> None:
    path.write_bytes(b"old")
    path.chmod(0o644)
    stable_files.replace(path, b"a secret")
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_a_writer_that_died_has_left_beside_it_does_not_matter(path: Path) -> None:
    beside = path.with_name("file.json.new")
    beside.write_bytes(b"half of somebody else's content")
    beside.chmod(0o644)
    stable_files.replace(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not beside.exists()


def test_writers_at_the_same_time_use_places_of_their_own(path: Path) -> None:
    other = path.with_name("file.json.new")
    other.write_bytes(b"another process is writing this")
    stable_files.replace(path, b"mine", beside=path.with_name("file.json.mine"))
    assert path.read_bytes() == b"mine"
    assert other.read_bytes() == b"another process is writing this"


@pytest.mark.parametrize("broken", ["fsync", "rename"])
def test_a_disk_that_refuses_leaves_the_old_content_and_nothing_else(
    path: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path.write_bytes(b"old")
    if broken == "fsync":
        monkeypatch.setattr(os, "fsync", refuse)
    else:
        monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        stable_files.replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_the_content_is_stable_before_the_name_and_the_name_before_it_returns(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def watched_fsync(descriptor: int) -> None:
        steps.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content")
        fsync(descriptor)

    def watched_replace(old: Path, new: Path) -> Path:
        steps.append(f"{old.name} -> {new.name}")
        return replace(old, new)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    stable_files.replace(path, b"new")
    assert steps == ["content", "file.json.new -> file.json", "directory"]


@pytest.mark.parametrize("refuses", [False, True])
async def test_who_is_cancelled_while_it_writes_hears_of_it_when_that_is_over(
    refuses: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a lock that is held around it is free no earlier."""
    hangs, goes_on, sync = threading.Event(), threading.Event(), os.fsync

    def hanging(descriptor: int) -> None:
        hangs.set()
        goes_on.wait()
        if refuses:
            raise OSError(errno.ENOSPC, "full")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", hanging)
    path = tmp_path / "file.json"
    writing = asyncio.create_task(stable_files.replace_on_thread(path, b"new"))
    await asyncio.to_thread(hangs.wait)
    for _ in range(2):
        writing.cancel()
        await asyncio.sleep(0)
    assert not writing.done()
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert path.exists() != refuses


async def test_a_disk_that_refuses_is_told_from_a_thread_too(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        await stable_files.replace_on_thread(tmp_path / "missing" / "file.json", b"new")
