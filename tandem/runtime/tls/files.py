"""The names of the PEM files that settings give, and what lies in them at one moment."""

import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tandem.core.certificate import Certificate
from tandem.errors import ConfigurationError
from tandem.runtime import stable_files

SYSTEM: Final = "system"
"""Instead of a file's name: the authorities that this machine trusts."""
_FILE_BYTES_MAX: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Whom to trust, and what to show: for a client, both to the servers that it connects to.

    `certificate` holds the chain, its own certificate first; `key` may be the same file. Without
    both nothing is shown, which a server that demands a certificate refuses.
    """

    ca: str = SYSTEM
    """Certificates of the authorities that are trusted; empty for none, as where clients are not
    asked for a certificate."""
    certificate: str = ""
    key: str = ""
    ca_setting: str = "tls_ca"
    """What messages call `ca`."""
    spare: Path | None = None
    """Directory in which what was last good is kept, for processes that start later."""

    def kept(self) -> "TlsFiles | None":
        """The files that are kept in `spare`; None when there are none."""
        if self.spare is None or not self._kept_ca(self.spare).exists():
            return None
        pair = str(self._kept_pair(self.spare)) if self.certificate else ""
        ca = str(self._kept_ca(self.spare)) if self.ca else ""
        return replace(self, ca=ca, certificate=pair, key=pair, spare=None)

    def keep(self, contents: "Contents", unique: str) -> None:
        """Leaves what is good in `spare`; `unique` tells apart those who do so at the same time.
        Raises OSError."""
        if self.spare is None:
            return
        pair = contents.key + b"\n" + contents.certificate
        for path, text in (
            (self._kept_pair(self.spare), pair),
            (self._kept_ca(self.spare), contents.ca),
        ):
            if not path.exists() or path.read_bytes() != text:
                stable_files.replace(path, text, beside=path.with_name(f"{path.name}.{unique}"))

    def _kept_pair(self, spare: Path) -> Path:
        return spare / f"{self.ca_setting}-pair.pem"

    def _kept_ca(self, spare: Path) -> Path:
        return spare / f"{self.ca_setting}.pem"


@dataclass(frozen=True, slots=True)
class Contents:
    """What the files held when they were read; it was found to fit together."""

    files: TlsFiles
    certificate: bytes
    key: bytes
    ca: bytes
    shown: Certificate | None
    """None when there is nothing to show."""

    def same(self, other: "Contents") -> bool:
        """Whether nothing has changed but the files' names."""
        mine, others = (
            (one.certificate.strip(), one.key.strip(), one.ca.strip()) for one in (self, other)
        )
        return mine == others


def read(files: TlsFiles) -> Contents:
    """Reads and checks them; blocking. ConfigurationError names every setting that is wrong."""
    from tandem.runtime.tls import pem  # its library takes memory that only TLS has to pay

    mistakes: list[str] = []
    certificate = _bytes("tls_certificate", files.certificate, mistakes)
    key = _bytes("tls_key", files.key, mistakes)
    ca = _bytes(files.ca_setting, _authorities(files.ca), mistakes)
    shown = None
    if not mistakes:
        if files.ca and files.ca != SYSTEM:
            mistakes += pem.authorities_mistakes(f"{files.ca_setting} {files.ca}", ca)
        if files.certificate:
            at, key_at = f"tls_certificate {files.certificate}", f"tls_key {files.key}"
            shown, wrong = pem.pair(at, certificate, key_at, key)
            mistakes += wrong
    if mistakes:
        raise ConfigurationError(mistakes)
    return Contents(files, certificate, key, ca, shown)


def _authorities(ca: str) -> str:
    if ca != SYSTEM:
        return ca
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.openssl_cafile


def _bytes(setting: str, name: str, mistakes: list[str]) -> bytes:
    if not name:
        return b""
    try:
        with Path(name).open("rb") as file:
            return file.read(_FILE_BYTES_MAX)
    except OSError as error:
        mistakes.append(f"{setting} {name}: cannot be read: {error.strerror}")
        return b""
