"""The switches as one worker sees them: never back in epoch, never on by mistake."""

import asyncio
from pathlib import Path
from threading import Event

import pytest

from kvgateway.homes.switchboard import SwitchBoard
from kvgateway.state.switches import HomeSwitch, Switches, SwitchFile
from tandem.core.reply import Side
from tandem.errors import ConfigurationError
from tests.memory.switches import MemorySwitches

OFF = HomeSwitch(reads=False, writes=False)
READ_ONLY = HomeSwitch(reads=True, writes=False)


class SlowFile(SwitchFile):
    """A file of which one store has been done, and is not heard of before a test says so."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.stored, self.heard = Event(), Event()

    def store(self, switches: Switches) -> Switches:
        kept = super().store(switches)
        self.stored.set()
        assert self.heard.wait(60)
        return kept


class FullDisk(MemorySwitches):
    def store(self, switches: Switches) -> Switches:
        raise OSError("no space is left")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "switches.json"


async def test_a_change_is_in_force_here_at_once_and_elsewhere_after_a_refresh(path: Path) -> None:
    here, there = SwitchBoard(SwitchFile(path)), SwitchBoard(SwitchFile(path))
    await here.change(Side.S3, OFF)
    assert here.current == Switches(1, s3=OFF)
    assert there.current == Switches()
    there.refresh()
    assert there.current == here.current
    await there.change(Side.KVSP, READ_ONLY)
    here.refresh()
    assert here.current == Switches(2, kvsp=READ_ONLY, s3=OFF)


@pytest.mark.parametrize("store", [SwitchFile, MemorySwitches])
async def test_changes_at_once_are_all_kept(
    path: Path, store: type[SwitchFile] | type[MemorySwitches]
) -> None:
    shared = SwitchFile(path) if store is SwitchFile else MemorySwitches()
    boards = [SwitchBoard(shared) for _ in range(4)]
    await asyncio.gather(
        *(board.change(Side.KVSP, READ_ONLY) for board in boards[:2]),
        *(board.change(Side.S3, OFF) for board in boards[2:]),
    )
    for board in boards:
        board.refresh()
        assert (board.current.kvsp, board.current.s3) == (READ_ONLY, OFF)
        assert board.current == shared.load()


async def test_a_change_never_goes_back_behind_what_was_seen_meanwhile(path: Path) -> None:
    """While this worker's change was on its way back, another one switched the home off."""
    file = SlowFile(path)
    board = SwitchBoard(file)
    changing = asyncio.create_task(board.change(Side.KVSP, READ_ONLY))
    assert await asyncio.to_thread(file.stored.wait, 20)
    newer = SwitchFile(path).store(Switches(2, kvsp=READ_ONLY, s3=OFF))
    board.refresh()
    file.heard.set()
    await changing
    assert board.current == newer


async def test_setting_what_is_in_force_puts_a_lost_file_back(path: Path) -> None:
    board = SwitchBoard(SwitchFile(path))
    await board.change(Side.S3, OFF)
    path.write_text("damaged")
    board.refresh()
    assert board.current.of(Side.S3) == OFF, "a damaged file switches nothing on"
    with pytest.raises(ConfigurationError, match="remove the file: copies in the homes"):
        await board.change(Side.S3, OFF)
    path.unlink()
    board.refresh()
    assert board.current.of(Side.S3) == OFF, "nor does one that is gone"
    await board.change(Side.S3, OFF)
    assert SwitchBoard(SwitchFile(path)).current.of(Side.S3) == OFF


def test_an_older_copy_of_the_file_switches_nothing(path: Path) -> None:
    SwitchFile(path).store(Switches(3, s3=OFF))
    board = SwitchBoard(SwitchFile(path))
    path.unlink()
    SwitchFile(path).store(Switches(2))
    board.refresh()
    assert board.current == Switches(3, s3=OFF)


def test_no_worker_starts_on_a_file_that_it_cannot_read(path: Path) -> None:
    path.write_text("damaged")
    with pytest.raises(ConfigurationError):
        SwitchBoard(SwitchFile(path))


async def test_a_disk_that_refuses_changes_nothing() -> None:
    board = SwitchBoard(FullDisk())
    with pytest.raises(OSError, match="no space"):
        await board.change(Side.S3, OFF)
    assert board.current == Switches()
