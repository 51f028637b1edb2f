"""The kill switches' file: the newest epoch wins, and nothing is ever guessed."""

import json
import threading
from pathlib import Path

import pytest

from kvgateway.state.switches import HomeSwitch, Switches, SwitchFile
from tandem.core.reply import Side
from tandem.errors import ConfigurationError
from tests.memory.switches import MemorySwitches

OFF = HomeSwitch(reads=False, writes=False)
ON = {"reads": True, "writes": True}


def text_of(epoch: object, **homes: object) -> str:
    return json.dumps({"epoch": epoch, "homes": {"kvsp": ON, "s3": ON, **homes}})


@pytest.fixture(params=["file", "memory"])
def switches(request: pytest.FixtureRequest, tmp_path: Path) -> SwitchFile | MemorySwitches:
    return SwitchFile(tmp_path / "switches.json") if request.param == "file" else MemorySwitches()


def test_all_is_on_at_first(switches: SwitchFile | MemorySwitches) -> None:
    assert switches.load() == Switches()
    assert switches.load().of(Side.S3) == switches.load().of(Side.KVSP) == HomeSwitch()


def test_the_newest_epoch_wins(switches: SwitchFile | MemorySwitches) -> None:
    second = Switches(2, kvsp=OFF, s3=HomeSwitch(reads=True, writes=False))
    assert switches.store(second) == second == switches.load()
    assert switches.store(Switches(1)) == second
    assert switches.store(Switches(2)) == second
    assert switches.load().of(Side.KVSP) == OFF
    third = Switches(3)
    assert switches.store(third) == third == switches.load()


def test_a_restart_finds_what_was_stored(tmp_path: Path) -> None:
    path = tmp_path / "new" / "switches.json"
    SwitchFile(path).store(Switches(5, s3=OFF))
    assert SwitchFile(path).load() == Switches(5, s3=OFF)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "\xff",
        '{"epoch": 1}',
        text_of(True),
        text_of(-1),
        text_of(1, r2=ON),
        text_of(1, kvsp={"reads": 1, "writes": True}),
        text_of(1, s3={"reads": True, "writes": 0}),
        '{"epoch": 1, "homes": {"kvsp": {"reads": true, "writes": true}}}',
        '{"epoch": 1, "homes": {"kvsp": {"reads": true}, "s3": {}}}',
        '{"epoch": 1, "homes": []}',
        '{"epoch": 1, "homes": {"kvsp": 1, "s3": 2}}',
        text_of(1).ljust(5000),
        "[" * 4000,
    ],
)
def test_a_corrupt_file_is_an_error_and_never_a_default(tmp_path: Path, text: str) -> None:
    path = tmp_path / "switches.json"
    path.write_bytes(text.encode("latin-1"))
    for use in (SwitchFile(path).load, lambda: SwitchFile(path).store(Switches(9))):
        with pytest.raises(ConfigurationError, match=r"switches\.json"):
            use()
    assert path.read_bytes() == text.encode("latin-1")


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "switches.json"
    path.mkdir()
    with pytest.raises(ConfigurationError, match=r"switches\.json"):
        SwitchFile(path).load()


def test_stores_at_once_leave_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "switches.json"
    epochs = [list(range(start, 60, 6)) for start in range(1, 7)]

    def store(own: list[int]) -> None:
        for epoch in own:
            SwitchFile(path).store(Switches(epoch, s3=OFF))

    threads = [threading.Thread(target=store, args=(own,)) for own in epochs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert SwitchFile(path).load() == Switches(max(map(max, epochs)), s3=OFF)
