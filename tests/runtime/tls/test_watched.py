"""Files that are replaced while they are in use."""

import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tandem.errors import ConfigurationError
from tandem.runtime.clock import SystemClock
from tandem.runtime.tls import LOOK_S, TlsFiles, Watched
from tandem.runtime.tls.files import Contents, read
from tests.servers.certificates import Authority, Pair

DAY_US = 86_400_000_000


class MovedClock(SystemClock):
    """The machine's, so much later."""

    later_us = 0

    def now_us(self) -> int:
        return super().now_us() + self.later_us

    def monotonic_us(self) -> int:
        return super().monotonic_us() + self.later_us


def serial(contents: Contents) -> str:
    assert contents.shown is not None
    return contents.shown.serial


class Scene:
    """One pair of files, and who looks at them."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory)
        self.files = self.authority.files()
        self.clock = MovedClock()

    def watched(self, files: TlsFiles | None = None) -> Watched[str]:
        return Watched(files or self.files, serial, self.clock)

    def put(self, pair: Pair) -> str:
        pair.write(self.authority.directory)
        return pair.serial


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_good_pair_takes_the_place_of_the_old_one(scene: Scene) -> None:
    watched = scene.watched()
    before = watched.current
    watched.look()
    assert watched.current == before
    new = scene.put(scene.authority.pair())
    watched.look()
    assert watched.current == new != before
    assert not watched.trouble


def other_key(authority: Authority) -> Pair:
    pair = authority.pair()
    return Pair(pair.certificate, authority.pair().key, pair.serial)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (other_key, "is not the key of"),
        (lambda authority: authority.pair(to_days=-0.1), "expired at"),
        (lambda authority: authority.pair(from_days=0.1), "is not valid before"),
        (lambda _: Pair(b"?", b"?", ""), "holds no certificate in PEM form"),
    ],
)
def test_a_bad_pair_changes_nothing_and_is_told(
    scene: Scene, bad: Callable[[Authority], Pair], why: str
) -> None:
    watched = scene.watched()
    before = watched.current
    scene.put(bad(scene.authority))
    watched.look()
    assert watched.current == before
    assert why in watched.trouble
    new = scene.put(scene.authority.pair())
    watched.look()
    assert watched.current == new
    assert not watched.trouble


@pytest.mark.parametrize("which", ["ca", "certificate"])
def test_a_file_that_is_being_written_changes_nothing(scene: Scene, which: str) -> None:
    """Its first certificate is whole, the second one not yet."""
    watched = scene.watched()
    before = watched.current
    file = Path(getattr(scene.files, which))
    whole = file.read_bytes() + scene.authority.pair().certificate
    file.write_bytes(whole[:-40])
    watched.look()
    assert watched.current == before
    assert f"{file}: is cut off in the middle of a certificate" in watched.trouble
    file.write_bytes(whole)
    watched.look()
    assert watched.contents == read(scene.files)
    assert not watched.trouble


def test_a_file_that_is_gone_changes_nothing(scene: Scene) -> None:
    watched = scene.watched()
    before = watched.current
    Path(scene.files.key).unlink()
    watched.look()
    assert watched.current == before
    assert "No such file" in watched.trouble


def test_what_cannot_be_used_changes_nothing(scene: Scene) -> None:
    usable = True

    def make(contents: Contents) -> str:
        if not usable:
            raise ssl.SSLError("ee key too small")
        return serial(contents)

    watched = Watched(scene.files, make, scene.clock)
    before, usable = watched.current, False
    scene.put(scene.authority.pair())
    watched.look()
    assert watched.current == before
    assert "ee key too small" in watched.trouble


def test_expiry_is_told_when_it_comes_and_nothing_else_ends(scene: Scene) -> None:
    watched = scene.watched()
    before = watched.current
    scene.clock.later_us = 31 * DAY_US
    watched.look()
    assert watched.current == before
    assert "expired at" in watched.trouble


def test_an_expired_pair_is_used_at_the_start_and_told(scene: Scene) -> None:
    old = scene.put(scene.authority.pair(from_days=-2, to_days=-1))
    watched = scene.watched()
    assert watched.current == old
    assert "expired at" in watched.trouble


def test_a_start_with_bad_files_is_refused(scene: Scene) -> None:
    scene.put(other_key(scene.authority))
    with pytest.raises(ConfigurationError, match="is not the key of"):
        scene.watched()


def test_who_has_no_task_looks_when_it_is_due(scene: Scene) -> None:
    watched = scene.watched()
    before, new = watched.current, scene.put(scene.authority.pair())
    watched.look_when_due()
    assert watched.current == before
    scene.clock.later_us = int((LOOK_S + 1) * 1e6)
    watched.look_when_due()
    assert watched.current == new


class TestSpare:
    """What was last good, for processes that start when the files are bad."""

    @pytest.fixture
    def files(self, scene: Scene, tmp_path: Path) -> TlsFiles:
        spare = tmp_path / "spare"
        spare.mkdir()
        return replace(scene.files, spare=spare)

    @pytest.mark.parametrize("bad", [other_key, lambda authority: authority.pair(to_days=-0.1)])
    def test_a_later_start_uses_it(
        self, scene: Scene, files: TlsFiles, bad: Callable[[Authority], Pair]
    ) -> None:
        first = scene.watched(files)
        good = scene.put(scene.authority.pair())
        first.look()
        scene.put(bad(scene.authority))
        later = scene.watched(files)
        assert later.current == good
        assert later.trouble
        later.look()
        assert later.current == good
        new = scene.put(scene.authority.pair())
        later.look()
        assert later.current == new
        assert not later.trouble

    def test_good_files_are_preferred(self, scene: Scene, files: TlsFiles) -> None:
        scene.watched(files)
        new = scene.put(scene.authority.pair())
        assert scene.watched(files).current == new

    def test_only_the_owner_can_read_it(self, scene: Scene, files: TlsFiles) -> None:
        scene.watched(files)
        assert files.spare is not None
        kept = list(files.spare.iterdir())
        assert len(kept) == 2
        assert all(path.stat().st_mode & 0o777 == 0o600 for path in kept)

    def test_who_trusts_others_keeps_apart(self, scene: Scene, files: TlsFiles) -> None:
        """A door and a client of one process show the same, and trust different authorities."""
        door = replace(files, ca="", ca_setting="tls_client_ca")
        scene.watched(files)
        scene.watched(door)
        scene.put(other_key(scene.authority))
        assert scene.watched(door).contents.ca == b""
        assert scene.watched(files).contents.ca == scene.authority.file.read_bytes()
