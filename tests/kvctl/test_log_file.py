"""The log of a part makes room while the part writes, and three files are all there is."""

from pathlib import Path

import pytest

from kvctl.log_file import WORDS_MAX, last_words, make_room

BYTES_MAX = 1_000


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "kvsp.log"


def _found(log: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in log.parent.iterdir()}


def test_a_log_that_is_short_or_not_there_is_left_alone(log: Path) -> None:
    assert not make_room(log, BYTES_MAX)
    assert _found(log) == {}
    log.write_bytes(bytes(BYTES_MAX))
    assert not make_room(log, BYTES_MAX)
    assert _found(log) == {"kvsp.log": bytes(BYTES_MAX)}


def test_whoever_has_it_open_goes_on_at_its_new_beginning(log: Path) -> None:
    with log.open("ab", buffering=0) as writer:
        for number in range(4):
            writer.write(b"%d" % number * (BYTES_MAX + 1))
            assert make_room(log, BYTES_MAX)
            assert log.stat().st_size == 0
        writer.write(b"last\n")
    assert _found(log) == {
        "kvsp.log": b"last\n",
        "kvsp.log.1": b"3" * (BYTES_MAX + 1),
        "kvsp.log.2": b"2" * (BYTES_MAX + 1),
    }


def test_where_there_is_no_room_for_the_copy_nothing_is_lost(small_disk: Path) -> None:
    log = small_disk / "kvsp.log"
    log.write_bytes(b"x" * 100_000)
    log.with_name("kvsp.log.1").write_bytes(b"earlier")
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "ballast").write_bytes(bytes(64 << 20))
    before = _found(log)
    with pytest.raises(OSError, match="No space left"):
        make_room(log, BYTES_MAX)
    assert _found(log) == before


REFUSED = b'{"mistakes": ["one setting", "another"], "event": "cannot_start", "level": "error"}\n'


@pytest.mark.parametrize(
    ("earlier", "written", "words"),
    [
        (b"earlier\n", b"", []),
        (b"earlier\n", b"a\nb\n", ["a", "b"]),
        (b"earlier\n", b"".join(b"%d\n" % n for n in range(99)), [*map(str, range(87, 99))]),
        (b"earlier\n", b"a\n" + REFUSED, ["one setting", "another"]),
        (REFUSED, b"a\n", ["a"]),
        (b"", b"a\n" + REFUSED + b"b\n", ["a", REFUSED.decode().strip(), "b"]),
        (b"", b"ERROR cannot_start mistakes=['x']\n", ["ERROR cannot_start mistakes=['x']"]),
        (b"", b'{"event": "cannot_start"}\n', ['{"event": "cannot_start"}']),
        (b"", b"not \xff UTF-8\n", ["not \ufffd UTF-8"]),
    ],
)
def test_the_last_words_are_those_of_the_last_process_alone(
    log: Path, earlier: bytes, written: bytes, words: list[str]
) -> None:
    log.write_bytes(earlier + written)
    assert last_words(log, len(earlier)) == words
    assert len(words) <= WORDS_MAX


def test_a_log_that_was_begun_anew_or_never_has_last_words_too(log: Path) -> None:
    assert last_words(log, 7) == []
    log.write_bytes(b"a\n")
    assert last_words(log, 7) == ["a"]
