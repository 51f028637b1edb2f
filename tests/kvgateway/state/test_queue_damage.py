"""A damaged queue makes way for a new one, and it is not forgotten that there was one."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from kvgateway.state import queue_damage
from kvgateway.state.ports import RepairTask
from kvgateway.state.queue import SqliteQueue
from tandem.core.key import Key
from tandem.core.reply import Side
from tandem.core.version import Version
from tandem.errors import ConfigurationError
from tests.servers.damage import damage_pages, flip_byte

NAMESPACE = "ab" * 16


@pytest.fixture
async def file(tmp_path: Path) -> Path:
    """A queue of some pages."""
    path = tmp_path / "repair.sqlite"
    queue = await SqliteQueue.open(path)
    keys = [Key(NAMESPACE, f"key-{number:04}") for number in range(1000)]
    await queue.add([RepairTask(key, Version.at(1), (Side.S3,)) for key in keys], due_us=0)
    await queue.aclose()
    return path


async def _depth(file: Path) -> int:
    queue = await SqliteQueue.open(file)
    try:
        return (await queue.stats()).depth
    finally:
        await queue.aclose()


async def test_a_sound_queue_stays(file: Path) -> None:
    queue_damage.set_aside(file)
    assert not queue_damage.is_missed(file)
    assert await _depth(file) == 1000


def test_no_queue_is_no_damage(tmp_path: Path) -> None:
    queue_damage.set_aside(tmp_path / "repair.sqlite")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spared", [0, 1, 20])
async def test_damaged_pages_make_way_for_an_empty_queue(file: Path, spared: int) -> None:
    damage_pages(file, "repair", spared)
    queue_damage.set_aside(file)
    assert queue_damage.is_missed(file)
    assert await _depth(file) == 0


async def test_a_file_of_anything_else_makes_way_too(file: Path) -> None:
    flip_byte(file, 0)
    queue_damage.set_aside(file)
    assert queue_damage.is_missed(file)
    assert await _depth(file) == 0


async def test_one_that_cannot_be_opened_is_no_damage_and_keeps_the_gateway_from_starting(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvgateway.state.queue._BUSY_TIMEOUT_S", 0.01)
    held = file.rename(file.with_name("held"))
    file.mkdir()
    with pytest.raises(ConfigurationError, match=r"repair\.sqlite: unable to open"):
        queue_damage.set_aside(file)
    with pytest.raises(ConfigurationError, match=r"repair\.sqlite: unable to open"):
        await SqliteQueue.open(file)
    file.rmdir()
    held.rename(file)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin exclusive")
        with pytest.raises(ConfigurationError, match="locked") as refused:
            await SqliteQueue.open(file)
    assert refused.value.passes
    assert await _depth(file) == 1000


async def test_it_is_missed_until_that_is_noted(file: Path) -> None:
    damage_pages(file, "repair")
    damaged = file.read_bytes()
    for _ in range(2):
        queue_damage.set_aside(file)
        assert queue_damage.is_missed(file)
        assert await _depth(file) == 0
    queue_damage.note(file)
    assert not queue_damage.is_missed(file)
    assert file.with_name("repair.sqlite.was-damaged").read_bytes() == damaged
