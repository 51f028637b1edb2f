"""Certificates for tests: an authority, and what it issues, as PEM files."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tandem.runtime.tls import TlsFiles

_LOCAL = x509.SubjectAlternativeName(
    [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
)
_SIGNS = x509.KeyUsage(
    key_cert_sign=True, crl_sign=True, digital_signature=False, content_commitment=False,
    key_encipherment=False, data_encipherment=False, key_agreement=False,
    encipher_only=False, decipher_only=False,
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM texts."""

    certificate: bytes
    key: bytes
    serial: str

    def write(self, directory: Path, name: str = "node") -> tuple[Path, Path]:
        """As an operator would replace them: each file at once, the two one after the other."""
        certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
        for path, text in ((certificate, self.certificate), (key, self.key)):
            new = path.with_name(f"{path.name}.new")
            new.write_bytes(text)
            new.replace(path)
        return certificate, key


class Authority:
    """Issues certificates for this machine."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self.directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self._certificate = self._signed(self._name, self._key, -1, 3650, ca=True)
        self.file = directory / f"{name}.crt"
        self.file.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    def pair(
        self, name: str = "node", *, from_days: float = -1, to_days: float = 30, password: str = ""
    ) -> Pair:
        """A certificate that is valid between two moments, in days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(_named(name), key, from_days, to_days, ca=False)
        hidden = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        return Pair(
            certificate.public_bytes(Encoding.PEM),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden),
            f"{certificate.serial_number:X}",
        )

    def files(self, name: str = "node", *, ca: Path | str | None = None) -> TlsFiles:
        """A pair of its own, in files; it trusts this authority, or another."""
        certificate, key = self.pair(name).write(self.directory, name)
        return TlsFiles(str(self.file if ca is None else ca), str(certificate), str(key))

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        from_days: float,
        to_days: float,
        *,
        ca: bool,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        unsigned = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=from_days))
            .not_valid_after(now + timedelta(days=to_days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        for extension in _key_identifiers(key, self._key):
            unsigned = unsigned.add_extension(extension, critical=False)
        if ca:
            unsigned = unsigned.add_extension(_SIGNS, critical=True)
        else:
            unsigned = unsigned.add_extension(_LOCAL, critical=False)
        return unsigned.sign(self._key, hashes.SHA256())


def _key_identifiers(
    key: ec.EllipticCurvePrivateKey, issuer: ec.EllipticCurvePrivateKey
) -> tuple[x509.ExtensionType, ...]:
    """Whose keys they are: from Python 3.13 on, a certificate without these is refused."""
    return (
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()),
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
