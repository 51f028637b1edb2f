"""What keeps a program from starting now and is nobody's mistake: it is tried again."""

import asyncio
import errno
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from crawler.book import Book
from kvsp.sqlite.directory import DataDirectory
from tandem.backends.file.home import FileHome
from tandem.errors import ConfigurationError
from tandem.runtime.clock import SystemClock
from tandem.runtime.passing import PASSING_STATUS, may_pass, status_of
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.settings import MISTAKEN_STATUS
from tests.servers.small_disk import fill

FILE = "cluster-0.sqlite"


def _book(directory: Path) -> None:
    Book(directory / FILE).close()


def _clusters(directory: Path) -> None:
    DataDirectory(directory).load(1, SystemEntropy())


def _file_home(directory: Path) -> None:
    async def opened() -> None:
        home = await FileHome.open(directory / FILE, SystemClock())
        await home.aclose()

    asyncio.run(opened())


Opening = Callable[[Path], None]
openings = pytest.mark.parametrize("opening", [_book, _clusters, _file_home])


@openings
def test_a_full_disk_is_no_mistake_of_the_configuration(opening: Opening, small_disk: Path) -> None:
    opening(small_disk)
    ballast = fill(small_disk)
    with pytest.raises(ConfigurationError, match="disk I/O error") as refused:
        opening(small_disk)
    assert status_of(refused.value) == PASSING_STATUS
    ballast.unlink()
    opening(small_disk)


@openings
def test_a_file_of_another_kind_is_one(opening: Opening, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database, but long enough to be taken for one" * 100)
    with pytest.raises(ConfigurationError, match="file is not a database") as refused:
        opening(tmp_path)
    assert status_of(refused.value) == MISTAKEN_STATUS


def test_what_may_pass(tmp_path: Path) -> None:
    assert may_pass(OSError(errno.ENOSPC, "no room"))
    assert not may_pass(PermissionError(errno.EACCES, "not yours"))
    assert not may_pass(ValueError("no number"))
    with (
        closing(sqlite3.connect(tmp_path / FILE)) as one,
        closing(sqlite3.connect(tmp_path / FILE, timeout=0)) as other,
    ):
        one.execute("begin exclusive")
        with pytest.raises(sqlite3.OperationalError) as locked:
            other.execute("create table t (a)")
    assert may_pass(locked.value)
