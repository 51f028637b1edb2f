"""Where shared memory is made, and that two starts never share it."""

import os
import shutil
from pathlib import Path

import pytest

from kvgateway.state.shared import SharedMachine
from kvgateway.state.shared_place import Place
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.version import Version
from tandem.errors import ConfigurationError
from tests.kvgateway.state.machines import MAP_BYTES, NOW

KEY = Key("ab" * 16, "k")


def opened(place: Place) -> SharedMachine:
    return SharedMachine(place.directory, gateway_id=b"gw-1", random=os.urandom)


def test_workers_see_one_memory_and_a_new_start_none_of_it(tmp_path: Path) -> None:
    data, shared_memory = tmp_path / "data", tmp_path / "shm"
    shared_memory.mkdir()
    supervisor = Place.make(data, MAP_BYTES, shared_memory)
    assert supervisor.directory.parent == shared_memory
    worker = Place.join(supervisor.directory, data)
    machine = opened(supervisor)
    machine.install([(KEY, seal(Version.at(NOW), b"x"))], NOW)
    machine.close()
    machine = opened(worker)
    assert machine.lookup([KEY], NOW) != [None]
    machine.close()
    with pytest.raises(ConfigurationError, match="another gateway"):
        Place.make(data, MAP_BYTES, shared_memory)
    supervisor.leave()
    with pytest.raises(ConfigurationError, match="another gateway"):
        Place.make(data, MAP_BYTES, shared_memory)
    worker.leave()
    again = Place.make(data, MAP_BYTES, shared_memory)
    assert again.directory == supervisor.directory
    machine = opened(again)
    assert machine.lookup([KEY], NOW) == [None]
    machine.close()
    again.leave()


def test_without_shared_memory_it_lies_on_disk(tmp_path: Path) -> None:
    place = Place.make(tmp_path / "data", MAP_BYTES, tmp_path / "nowhere")
    assert place.directory == tmp_path / "data" / "machine"
    assert (place.directory / "data.mdb").stat().st_blocks * 512 >= MAP_BYTES
    place.leave()


def test_no_room_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no room"):
        Place.make(tmp_path, 1 << 60, tmp_path / "nowhere")
    Place.make(tmp_path, MAP_BYTES, tmp_path / "nowhere").leave()


def test_a_start_gives_back_what_killed_gateways_have_left(tmp_path: Path) -> None:
    shared_memory = tmp_path / "shm"
    shared_memory.mkdir()
    used = Place.make(tmp_path / "used", MAP_BYTES, shared_memory)
    killed = Place.make(tmp_path / "killed", MAP_BYTES, shared_memory)
    gone = Place.make(tmp_path / "gone", MAP_BYTES, shared_memory)
    foreign = shared_memory / "tandem-kv-of-somebody-else"
    foreign.mkdir()
    for place in (killed, gone):
        place.leave()
    shutil.rmtree(tmp_path / "gone")
    another = Place.make(tmp_path / "another", MAP_BYTES, shared_memory)
    left = sorted(directory.name for directory in shared_memory.iterdir())
    assert left == sorted([used.directory.name, another.directory.name, foreign.name])
    for place in (used, another):
        place.leave()


def test_memory_of_which_nothing_can_be_told_keeps_no_gateway_from_starting(tmp_path: Path) -> None:
    """As where its data directory is on a read-only disk: here, a lock that cannot be opened."""
    shared_memory = tmp_path / "shm"
    shared_memory.mkdir()
    other = Place.make(tmp_path / "other", MAP_BYTES, shared_memory)
    other.leave()
    (tmp_path / "other" / "supervisor.lock").unlink()
    (tmp_path / "other" / "supervisor.lock").mkdir()
    Place.make(tmp_path / "another", MAP_BYTES, shared_memory).leave()
    assert other.directory.is_dir()
