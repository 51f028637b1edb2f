"""The settings of TLS, which every program has: what they must be to each other, and mean."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tandem.runtime.listening import is_loopback
from tandem.runtime.logs import Logger
from tandem.runtime.settings import Address, Relation
from tandem.runtime.tls.files import TlsFiles


class TlsSettings(Protocol):
    """What programs have in common."""

    @property
    def tls_certificate(self) -> str: ...
    @property
    def tls_key(self) -> str: ...
    @property
    def tls_ca(self) -> str: ...
    @property
    def tls_client_ca(self) -> str: ...


def broken_relations(settings: TlsSettings) -> Sequence[Relation]:
    """Which of them need another one."""
    broken = []
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        broken.append(
            Relation(("tls_certificate", "tls_key"), "a certificate and its key are given together")
        )
    if settings.tls_client_ca and not settings.tls_certificate:
        broken.append(
            Relation(
                ("tls_client_ca", "tls_certificate"),
                "whoever asks for certificates of clients has one of its own",
            )
        )
    return broken


def server_files(settings: TlsSettings, spare: Path | None = None) -> TlsFiles | None:
    """For the doors of a program; None when they speak plain text."""
    if not settings.tls_certificate:
        return None
    return TlsFiles(
        settings.tls_client_ca, settings.tls_certificate, settings.tls_key, "tls_client_ca", spare
    )


def client_files(settings: TlsSettings, spare: Path | None = None) -> TlsFiles | None:
    """For connections to the other programs; None when these speak plain text."""
    if not settings.tls_ca:
        return None
    return TlsFiles(settings.tls_ca, settings.tls_certificate, settings.tls_key, spare=spare)


def warn_of_plain_text(settings: TlsSettings, log: Logger, *doors: Address) -> None:
    """Says once, at the start, that others can read what goes through these doors."""
    exposed = [str(door) for door in doors if not is_loopback(door.host)]
    if exposed and not settings.tls_certificate:
        log.warning(
            "plain_text", doors=exposed,
            effect="tokens and values can be read on the way, unless a proxy in front speaks TLS",
        )  # fmt: skip
