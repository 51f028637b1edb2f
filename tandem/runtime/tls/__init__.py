"""TLS: certificates as files, looked at again and again, for servers and for those who connect."""

from tandem.runtime.tls.files import SYSTEM, TlsFiles
from tandem.runtime.tls.server import ServerTls, show_certificate
from tandem.runtime.tls.watched import LOOK_S, Watched

__all__ = ["LOOK_S", "SYSTEM", "ServerTls", "TlsFiles", "Watched", "show_certificate"]
