"""A data directory that cannot be used is a mistake in the configuration, and no fault."""

import errno
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from tandem.errors import ConfigurationError
from tandem.runtime import data_directory

ADVICE = "choose another one with --data or TANDEM_DATA"


def refusal(data: Path) -> str:
    with pytest.raises(ConfigurationError) as refused:
        data_directory.prepare(data)
    assert not refused.value.passes
    return str(refused.value)


def test_it_is_made_with_all_that_leads_to_it_and_may_be_there(tmp_path: Path) -> None:
    data = tmp_path / "srv" / "tandem"
    data_directory.prepare(data)
    (data / "kept").touch()
    data_directory.prepare(data)
    assert (data / "kept").exists()


def test_others_on_the_machine_see_nothing_of_a_new_one(tmp_path: Path) -> None:
    new, old = tmp_path / "new" / "data", tmp_path / "old"
    old.mkdir(mode=0o750)
    for data in (new, old):
        data_directory.prepare(data)
    assert stat.S_IMODE(new.stat().st_mode) == 0o700
    assert stat.S_IMODE(old.stat().st_mode) == 0o750, "somebody has chosen it"


@pytest.mark.parametrize("below", ["", "data"])
def test_a_file_in_its_place_is_told(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    data = tmp_path / "file" / below
    why = "Not a directory" if below else "File exists"
    assert refusal(data) == f"{data}: no directory for data: {why}; {ADVICE}"


def test_one_that_may_not_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode & os.W_OK == 0)  # root may all
    assert "this user may not write there" in refusal(tmp_path)


def test_a_disk_without_room_for_it_is_no_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(ConfigurationError, match="No space left on device") as refused:
        data_directory.prepare(tmp_path / "data")
    assert refused.value.passes


def test_a_disk_that_has_become_read_only_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode & os.W_OK == 0)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_RDONLY))
    assert "its disk is read-only" in refusal(tmp_path)
