"""What servers need to speak TLS: gRPC's credentials, and contexts for HTTP."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

import grpc

from tandem.core.certificate import CertificateInUse
from tandem.errors import ConfigurationError
from tandem.runtime.clock import Clock
from tandem.runtime.tls.files import Contents, TlsFiles, read
from tandem.runtime.tls.watched import Watched

if TYPE_CHECKING:  # the client library comes by here too, and must not load OpenTelemetry's SDK
    from tandem.runtime.telemetry import Metrics

_Fetcher: TypeAlias = Callable[[], grpc.ServerCertificateConfiguration]
"""As it is typed; by gRPC's documentation it may return None, too."""


@dataclass(frozen=True, slots=True)
class _Made:
    contexts: Mapping[bool, ssl.SSLContext]
    """By whether clients must show a certificate."""
    rpc: grpc.ServerCertificateConfiguration


class ServerTls:
    """The certificate of a program's doors. Each handshake uses what is in use by then."""

    def __init__(self, files: TlsFiles, clock: Clock) -> None:
        """Blocking; ConfigurationError when the files are no good."""
        self._clock = clock
        self._watched = Watched(files, _made, clock)
        self._demands = bool(files.ca)

    def rpc(self, *, demand: bool = True) -> grpc.ServerCredentials:
        """For a gRPC server; without `demand` clients need no certificate in any case."""
        given = self._watched.current.rpc

        def newer() -> grpc.ServerCertificateConfiguration | None:
            """Called by a thread of gRPC before each handshake; None changes nothing."""
            nonlocal given
            latest = self._watched.current.rpc
            if latest is given:
                return None
            given = latest
            return latest

        return grpc.dynamic_ssl_server_credentials(
            given,
            cast(_Fetcher, newer),
            require_client_authentication=demand and self._demands,
        )

    def http(self, *, demand: bool = True) -> Callable[[], ssl.SSLContext]:
        """For an HTTP server: gives the context of the next handshake."""
        demanded = demand and self._demands
        return lambda: self._watched.current.contexts[demanded]

    def in_use(self) -> CertificateInUse:
        """Which certificate it is, and what is wrong."""
        shown = self._watched.contents.shown
        assert shown is not None
        return CertificateInUse(shown, self._watched.trouble)

    def days_left(self) -> float:
        """Until the certificate in use expires."""
        return self.in_use().certificate.days_left(self._clock.now_us())

    async def keep_looking(self) -> None:
        """Notices replaced files, for ever; run it in a task."""
        await self._watched.keep_looking()


def show_certificate(metrics: "Metrics", tls: ServerTls) -> None:
    """Declares what alarms are made of."""
    metrics.gauge(
        "tandem_certificate_days_left", "until the certificate in use expires", tls.days_left
    )
    metrics.gauge(
        "tandem_certificate_trouble", "1 while new files are refused, or the old ones expired",
        lambda: float(bool(tls.in_use().trouble)),
    )  # fmt: skip


def _made(contents: Contents) -> _Made:
    contexts = {demand: _context(contents, demand) for demand in (False, True)}
    if not read(contents.files).same(contents):
        raise ConfigurationError(["tls_certificate, tls_key: are just being replaced"])
    rpc = grpc.ssl_server_certificate_configuration(
        [(contents.key, contents.certificate)], contents.ca or None
    )
    return _Made(contexts, rpc)


def _context(contents: Contents, demand: bool) -> ssl.SSLContext:
    """The library takes a certificate from files alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(contents.files.certificate, contents.files.key)
    if demand and contents.ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=contents.ca.decode())
    return context
