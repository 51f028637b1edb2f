"""What may be in the files of TLS, and what is said of the rest."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tandem.errors import ConfigurationError
from tandem.runtime.tls import SYSTEM, TlsFiles
from tandem.runtime.tls.files import read
from tests.servers.certificates import Authority

Spoil = Callable[[Authority, TlsFiles], TlsFiles | None]


def spoiled(text: bytes, *fields: str) -> Spoil:
    """Puts a text in the place of files."""

    def spoil(_: Authority, files: TlsFiles) -> None:
        for field in fields:
            Path(getattr(files, field)).write_bytes(text)

    return spoil


def absent(field: str) -> Spoil:
    def spoil(_: Authority, files: TlsFiles) -> None:
        Path(getattr(files, field)).unlink()

    return spoil


def other_key(authority: Authority, files: TlsFiles) -> None:
    Path(files.key).write_bytes(authority.pair().key)


def encrypted_key(authority: Authority, files: TlsFiles) -> None:
    Path(files.key).write_bytes(authority.pair(password="known to nobody").key)


def directory_for_key(_: Authority, files: TlsFiles) -> TlsFiles:
    return replace(files, key=str(Path(files.key).parent))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_a_good_pair_is_described(authority: Authority) -> None:
    files = authority.files("gateway 1")
    contents = read(files)
    assert contents.shown is not None
    assert contents.shown.subject == "CN=gateway 1"
    assert contents.shown.serial.isalnum()
    assert 29 < contents.shown.days_left(contents.shown.not_before_us) <= 31
    assert contents.ca == authority.file.read_bytes()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (absent("certificate"), ["tls_certificate {certificate}: cannot be read: No such file"]),
        (absent("key"), ["tls_key {key}: cannot be read: No such file"]),
        (absent("ca"), ["tls_ca {ca}: cannot be read: No such file"]),
        (directory_for_key, ["tls_key {key}: cannot be read: Is a directory"]),
        (spoiled(b"", "certificate"), ["tls_certificate {certificate}: holds no certificate"]),
        (spoiled(b"\xff\x00", "key"), ["tls_key {key}: holds no private key"]),
        (spoiled(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "ca"),
         ["tls_ca {ca}: holds no certificate"]),
        (other_key, ["tls_key {key}: is not the key of tls_certificate {certificate}"]),
        (encrypted_key, ["tls_key {key}: is encrypted"]),
        (spoiled(b"nothing", "certificate", "key", "ca"),
         ["tls_ca {ca}: ", "tls_certificate {certificate}: ", "tls_key {key}: "]),
    ],
)  # fmt: skip
def test_each_mistake_is_told_with_its_setting_and_file(
    authority: Authority, spoil: Spoil, says: list[str]
) -> None:
    files = authority.files()
    files = spoil(authority, files) or files
    with pytest.raises(ConfigurationError) as refused:
        read(files)
    assert len(refused.value.mistakes) == len(says)
    for mistake, front in zip(refused.value.mistakes, says, strict=True):
        names = {"certificate": files.certificate, "key": files.key, "ca": files.ca}
        assert mistake.startswith(front.format(**names))


def test_one_file_may_hold_all_in_any_order(authority: Authority) -> None:
    pair, one = authority.pair(), authority.directory / "all.pem"
    for text in (pair.certificate + pair.key, pair.key + pair.certificate):
        one.write_bytes(text)
        contents = read(TlsFiles(str(authority.file), str(one), str(one)))
        assert contents.shown is not None
        assert contents.shown.serial == pair.serial


def test_who_shows_nothing_needs_no_pair(authority: Authority) -> None:
    assert read(TlsFiles(str(authority.file))).shown is None


def test_nobody_or_the_authorities_of_the_machine_may_be_trusted(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(TlsFiles("")).ca == b""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    assert read(TlsFiles(SYSTEM)).ca == authority.file.read_bytes()
