"""Bodies that are in the home before their records: the leg is the same with and without."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from threading import Event

import pytest

from tandem.backends.file import FileHome
from tandem.backends.file.ahead import AheadFiles
from tandem.backends.file.ahead_file import BEHIND_BYTES_MAX, SUFFIX, AheadFile
from tandem.backends.file.lane import LaneBounds
from tandem.backends.port import Ahead, TakesAhead
from tandem.core.envelope import TRAILER_BYTES_MAX, seal
from tandem.core.key import Key
from tandem.core.limits import KIB, MIB
from tandem.core.record import Record
from tandem.core.reply import Failed, Found, Stored, Superseded
from tandem.core.version import Version
from tandem.runtime.clock import SystemClock
from tandem.runtime.intake import Intake

CLOCK = SystemClock()
KEY = Key("ab" * 16, "large")
PIECE = bytes(range(256)) * KIB
DIGEST = b"d" * 16


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    return tmp_path / "objects.db-bodies"


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[FileHome]:
    opened = await FileHome.open(tmp_path / "objects.db", CLOCK)
    yield opened
    await opened.aclose()


async def taken_in(ahead: Ahead | None, pieces: int) -> Record:
    intake = Intake(pieces * len(PIECE) + TRAILER_BYTES_MAX, ahead)
    for _ in range(pieces):
        await intake.add(PIECE)
    await intake.whole()
    return seal(Version.at(CLOCK.now_us()), intake, metadata=b'{"n":1}')


async def held(home: FileHome) -> object:
    found = await home.get(KEY, 20.0)
    return found.record if isinstance(found, Found) else found


async def left(bodies: Path, *envelopes: bytes) -> None:
    """Returns once the files are those with these bytes, each with its name for good."""
    async with asyncio.timeout(50):
        while sorted(map(_content, bodies.glob("*"))) != sorted(envelopes):
            await asyncio.sleep(0.01)
    assert not list(bodies.glob(f"*{SUFFIX}"))


def _content(file: Path) -> bytes:
    with suppress(FileNotFoundError):  # it has just been removed
        return file.read_bytes()
    return b""


@pytest.mark.parametrize("pieces", [4, 5, 17, 100])
async def test_a_body_that_was_written_ahead_is_the_one_that_the_row_names(
    home: FileHome, bodies: Path, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(home, TakesAhead)
    monkeypatch.setattr("tandem.backends.file.body_files._write_all", _never)
    with home.ahead() as ahead:
        record = await taken_in(ahead, pieces)
        assert isinstance(await home.put_if_newer(KEY, record, 20.0), Stored)
    assert await held(home) == record
    await left(bodies, record.envelope)


def _never(*_: object) -> None:
    pytest.fail("the body was written again")


async def test_most_of_it_is_there_before_the_record(home: FileHome, bodies: Path) -> None:
    with home.ahead() as ahead:
        assert ahead is not None
        for _ in range(8):
            ahead.add(PIECE)
        async with asyncio.timeout(50):
            while not any(file.stat().st_size == 2 * MIB for file in bodies.glob(f"*{SUFFIX}")):
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("ended", [True, False])
async def test_without_a_leg_nothing_is_left(home: FileHome, bodies: Path, ended: bool) -> None:
    with home.ahead() as ahead:
        assert ahead is not None
        for _ in range(8):
            ahead.add(PIECE)
        async with asyncio.timeout(50):
            while not list(bodies.glob(f"*{SUFFIX}")):
                await asyncio.sleep(0.01)
        if ended:
            ahead.end(DIGEST)
    await left(bodies)
    ahead.end(DIGEST)  # its record came after the client had gone
    assert home._files.ahead.taken(DIGEST) is None
    record = await taken_in(None, 8)
    assert isinstance(await home.put_if_newer(KEY, record, 20.0), Stored)
    await left(bodies, record.envelope)


async def test_a_leg_that_finds_a_newer_record_leaves_nothing(home: FileHome, bodies: Path) -> None:
    newer = seal(Version.at(CLOCK.now_us() + 400_000), b"newer")
    assert isinstance(await home.put_if_newer(KEY, newer, 20.0), Stored)
    with home.ahead() as ahead:
        older = await taken_in(ahead, 8)
        assert isinstance(await home.put_if_newer(KEY, older, 20.0), Superseded)
    await left(bodies)
    assert await held(home) == newer


async def test_a_leg_that_outlives_its_client_has_its_file(
    home: FileHome, bodies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tandem.backends.file.body_files._write_all", _never)
    with home.ahead() as ahead:
        record = await taken_in(ahead, 8)
        leg = home.put_if_newer(KEY, record, 20.0)
    assert isinstance(await leg, Stored)
    await left(bodies, record.envelope)


async def test_a_leg_that_is_refused_leaves_nothing(
    tmp_path: Path, bodies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tandem.backends.file.home._FILED", LaneBounds(0, group_max=1))
    home = await FileHome.open(tmp_path / "objects.db", CLOCK)
    with home.ahead() as ahead:
        record = await taken_in(ahead, 8)
        assert isinstance(await home.put_if_newer(KEY, record, 20.0), Failed)
    await left(bodies)
    await home.aclose()


async def test_each_of_a_group_has_its_own(home: FileHome, bodies: Path) -> None:
    replies: dict[int, object] = {}
    with home.ahead() as first, home.ahead() as second:
        puts = [
            (Key(KEY.namespace, name), await taken_in(ahead, pieces))
            for name, ahead, pieces in (("a", first, 5), ("b", second, 9), ("c", None, 6))
        ]
        home.put_all(puts, 20.0, replies.update)
        async with asyncio.timeout(50):
            while len(replies) < len(puts):
                await asyncio.sleep(0.01)
    assert {type(reply) for reply in replies.values()} == {Stored}
    await left(bodies, *(record.envelope for _, record in puts))


@pytest.mark.parametrize("broken", ["fdatasync", "rename", "open"])
async def test_a_disk_that_fails_ahead_does_not_fail_the_leg(
    home: FileHome, bodies: Path, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError("broken")

    place: object = Path if broken == "rename" else os
    monkeypatch.setattr(place, broken, fails)
    with home.ahead() as ahead:
        record = await taken_in(ahead, 40)
        async with asyncio.timeout(50):
            while broken == "fdatasync" and list(bodies.glob("*")):
                await asyncio.sleep(0.01)
        if broken == "open":
            monkeypatch.undo()
        assert isinstance(await home.put_if_newer(KEY, record, 20.0), Stored)
    assert await held(home) == record
    await left(bodies, record.envelope)


async def test_a_file_that_was_taken_for_an_old_one_does_not_fail_the_leg(
    home: FileHome, bodies: Path
) -> None:
    with home.ahead() as ahead:
        record = await taken_in(ahead, 8)
        async with asyncio.timeout(50):
            while not (begun := list(bodies.glob(f"*{SUFFIX}"))):
                await asyncio.sleep(0.01)
        begun[0].unlink()
        assert isinstance(await home.put_if_newer(KEY, record, 20.0), Stored)
    assert await held(home) == record
    await left(bodies, record.envelope)


class TestOneFile:
    """What becomes of it where its thread does as the test wants."""

    @pytest.fixture
    def works(self) -> list[Callable[[], None]]:
        return []

    @pytest.fixture
    def file(self, tmp_path: Path, works: list[Callable[[], None]]) -> Iterator[AheadFile]:
        before = len(list(Path("/dev/fd").iterdir()))
        made = AheadFile(tmp_path / "body", works.append, lambda: None, {})
        yield made
        made.drop()
        for work in works:
            work()
        assert len(list(Path("/dev/fd").iterdir())) == before, "it is still open"

    def test_a_disk_that_keeps_up_has_it_all_before_the_leg_comes(
        self, file: AheadFile, works: list[Callable[[], None]], tmp_path: Path
    ) -> None:
        for _ in range(100):
            file.add(PIECE)
            while works:
                works.pop()()
        assert [one.stat().st_size for one in tmp_path.iterdir()] == [100 * len(PIECE)]

    def test_a_disk_that_never_writes_holds_little_and_the_leg_writes_the_rest(
        self, file: AheadFile, works: list[Callable[[], None]], tmp_path: Path
    ) -> None:
        envelope = PIECE * 100
        for start in range(0, len(envelope), len(PIECE)):
            file.add(envelope[start : start + len(PIECE)])
            assert sum(map(len, file._pieces)) <= BEHIND_BYTES_MAX
        assert len(works) == BEHIND_BYTES_MAX // MIB
        works[0]()
        assert file.finished(envelope) == tmp_path / "body"
        assert (tmp_path / "body").read_bytes() == envelope

    def test_nothing_is_written_behind_a_gap(
        self, file: AheadFile, works: list[Callable[[], None]], tmp_path: Path
    ) -> None:
        envelope = Random(1).randbytes(24 * MIB)
        for start in range(0, len(envelope), MIB):
            if start == 2 * BEHIND_BYTES_MAX:
                works[0]()  # the disk was slow, and is quick again
            file.add(envelope[start : start + MIB])
        for work in works:
            work()
        assert file.finished(envelope) == tmp_path / "body"
        assert (tmp_path / "body").read_bytes() == envelope

    def test_views_of_the_envelope_may_wait_for_the_disk_however_many(
        self, file: AheadFile, works: list[Callable[[], None]], tmp_path: Path
    ) -> None:
        envelope = PIECE * 100
        for start in range(0, len(envelope), len(PIECE)):
            file.add(memoryview(envelope)[start : start + len(PIECE)])
        works[0]()
        assert [one.stat().st_size for one in tmp_path.iterdir()] == [len(envelope)]
        assert file.finished(envelope) == tmp_path / "body"
        assert (tmp_path / "body").read_bytes() == envelope

    def test_what_it_has_let_go_of_the_leg_writes(
        self, file: AheadFile, works: list[Callable[[], None]], tmp_path: Path
    ) -> None:
        envelope = bytearray(PIECE * 12)
        for start in range(0, len(envelope), len(PIECE)):
            file.add(memoryview(envelope)[start : start + len(PIECE)])
            if start == 4 * len(PIECE):
                works[0]()
        file.let_go()
        envelope.extend(b"nobody has a part of it")
        file.add(b"too late" * MIB)
        for work in works[1:]:
            work()
        assert file.finished(bytes(envelope)) == tmp_path / "body"
        assert (tmp_path / "body").read_bytes() == envelope

    def test_what_is_late_does_not_touch_a_finished_file(
        self, file: AheadFile, works: list[Callable[[], None]], tmp_path: Path
    ) -> None:
        for _ in range(4):
            file.add(PIECE)
        assert file.finished(PIECE * 4 + b"end") is not None
        file.drop()
        for work in works:
            work()
        assert [one.name for one in tmp_path.iterdir()] == ["body"]
        assert (tmp_path / "body").read_bytes() == PIECE * 4 + b"end"

    def test_what_was_dropped_is_not_finished(
        self, file: AheadFile, works: list[Callable[[], None]], tmp_path: Path
    ) -> None:
        for _ in range(4):
            file.add(PIECE)
        works[0]()
        file.drop()
        assert file.finished(PIECE * 4) is None
        file.add(PIECE)
        assert not file._pieces
        for work in [*works, *works]:  # one of another thread may come last
            work()
        assert list(tmp_path.iterdir()) == []


class TestBounds:
    async def test_beyond_the_bound_there_is_no_place_until_one_is_left(
        self, tmp_path: Path
    ) -> None:
        files = AheadFiles(lambda: tmp_path / "body", lambda: None)
        places = [files.one() for _ in range(65)]
        given = [place.__enter__() for place in places]
        assert [ahead is None for ahead in given] == [False] * 64 + [True]
        for place in places:
            place.__exit__(None, None, None)
        async with asyncio.timeout(50):
            while not _has_place(files):
                await asyncio.sleep(0.01)
        files.close()

    async def test_a_disk_that_hangs_is_asked_by_so_many_and_holds_nothing_of_them(
        self, tmp_path: Path
    ) -> None:
        hangs = Event()
        files = AheadFiles(lambda: tmp_path / "body", lambda: None)
        dropped: list[AheadFile] = []
        try:
            for _ in range(4):
                files._threads.submit(hangs.wait)
            for _ in range(100):
                with files.one() as ahead:
                    if ahead is not None:
                        dropped.append(ahead)
                        for _ in range(8):
                            ahead.add(PIECE)
            assert len(dropped) == 64
            assert not any(ahead._pieces for ahead in dropped)
        finally:
            hangs.set()
            files.close()

    def test_a_home_that_is_closed_has_no_place(self, tmp_path: Path) -> None:
        files = AheadFiles(lambda: tmp_path / "body", lambda: None)
        with files.one() as begun:
            assert begun is not None
            files.close()
            for _ in range(8):
                begun.add(PIECE)
            with files.one() as ahead:
                assert ahead is None
        assert list(tmp_path.iterdir()) == []


def _has_place(files: AheadFiles) -> bool:
    with files.one() as ahead:
        return ahead is not None
