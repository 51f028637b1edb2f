"""What PEM texts say, and what is wrong with them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from tandem.core.certificate import Certificate

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"


def authorities_mistakes(where: str, text: bytes) -> Sequence[str]:
    """What is wrong with a file of authorities."""
    return _mistakes(where, text, _certificates(text))


def pair(
    where: str, certificate: bytes, key_where: str, key: bytes
) -> tuple[Certificate | None, Sequence[str]]:
    """The first certificate of a chain whose key this is, and what is wrong with the two."""
    chain = _certificates(certificate)
    mistakes = _mistakes(where, certificate, chain)
    try:
        public = load_pem_private_key(key, None).public_key()
    except TypeError:
        mistakes.append(f"{key_where}: is encrypted; a server that restarts cannot be asked")
    except (ValueError, UnsupportedAlgorithm):
        mistakes.append(f"{key_where}: holds no private key in PEM form")
    else:
        form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        if chain and public.public_bytes(*form) != chain[0].public_key().public_bytes(*form):
            mistakes.append(f"{key_where}: is not the key of {where}")
    return (None, mistakes) if mistakes else (_described(chain[0]), ())


def _mistakes(where: str, text: bytes, found: Sequence[x509.Certificate]) -> list[str]:
    if not found:
        return [f"{where}: holds no certificate in PEM form"]
    if text.count(_BEGIN) > len(found):  # which the parser passes over
        return [f"{where}: is cut off in the middle of a certificate"]
    return []


def _certificates(text: bytes) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError:
        return ()


def _described(certificate: x509.Certificate) -> Certificate:
    return Certificate(
        certificate.subject.rfc4514_string(),
        f"{certificate.serial_number:X}",
        _us(certificate.not_valid_before_utc),
        _us(certificate.not_valid_after_utc),
    )


def _us(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6)
