"""The tokens of a configuration, and which hosts are this machine alone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tandem.errors import ConfigurationError
from tandem.runtime.listening import is_loopback
from tandem.runtime.local_tokens import (
    admin_token,
    crawler_token,
    development_token,
    last_characters,
    make_crawler_token,
    make_development_token,
)
from tandem.runtime.randomness import Entropy, SystemEntropy

MADE = (
    ("development-token", "tdmdev_", development_token, make_development_token),
    ("crawler-token", "tdmcrawler_", crawler_token, make_crawler_token),
)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "localhost.lan", "127.0.0.1.nip", "", "::ffff:10.0.0.1"]
)
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(("file", "prefix", "read", "make"), MADE)
def test_a_token_of_the_data_directory_is_made_once(
    tmp_path: Path,
    file: str,
    prefix: str,
    read: Callable[[Path], str],
    make: Callable[[Path, Entropy], str],
) -> None:
    data = tmp_path / "deep" / "data"
    assert read(data) == ""
    made = make(data, SystemEntropy())
    assert made.startswith(prefix)
    assert len(made) == len(prefix) + 64
    assert make(data, SystemEntropy()) == read(data) == made
    assert [path.name for path in data.iterdir()] == [file]
    assert (data / file).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [b"", b"tdm", b"\xee" * 80, b"two lines of some\nlength"])
@pytest.mark.parametrize(("file", "prefix", "read", "make"), MADE)
def test_one_that_was_damaged_is_none_and_made_anew(
    tmp_path: Path,
    file: str,
    prefix: str,
    read: Callable[[Path], str],
    make: Callable[[Path, Entropy], str],
    damage: bytes,
) -> None:
    (tmp_path / file).write_bytes(damage)
    (tmp_path / f"{file}.new").write_text("half")
    assert read(tmp_path) == ""
    assert make(tmp_path, SystemEntropy()).startswith(prefix)
    assert [path.name for path in tmp_path.iterdir()] == [file]
    assert (tmp_path / file).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("file", "_prefix", "read", "make"), MADE)
def test_a_directory_in_its_place_is_told(
    tmp_path: Path,
    file: str,
    _prefix: str,
    read: Callable[[Path], str],
    make: Callable[[Path, Entropy], str],
) -> None:
    (tmp_path / file).mkdir()
    assert read(tmp_path) == ""
    with pytest.raises(ConfigurationError, match=f"{file} cannot be used: Is a directory"):
        make(tmp_path, SystemEntropy())


@pytest.mark.parametrize("text", ["", "a" * 16, "~!" * 50])
def test_admin_tokens(text: str, tmp_path: Path) -> None:
    assert admin_token(text, "") == text
    if text:
        (tmp_path / "file").write_text(f" {text}\n")
        assert admin_token("", str(tmp_path / "file")) == text


@pytest.mark.parametrize("text", ["a" * 15, "a b" * 10, "é" * 16, "a\n" * 10])
def test_what_is_no_admin_token_is_not_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        admin_token(text, "")
    assert text not in str(refused.value)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff" * 20)
    for name in ("file", "absent", "."):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            admin_token("", str(tmp_path / name))


def test_what_is_shown_of_a_token() -> None:
    assert last_characters("0123456789abcdef") == "...cdef"
    assert last_characters("short") == "(hidden)"
