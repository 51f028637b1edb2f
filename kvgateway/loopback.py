"""An entrance for one's own machine: whoever reaches a loopback address may do everything.

On any other address nobody is let in.
"""

import ipaddress
from dataclasses import dataclass
from typing import Final

from kvgateway.service import KeyValues, NamespaceRegistry, Operations
from tandem.core.access import Grant, Permission
from tandem.errors import Unauthenticated

_EVERYTHING: Final = Grant("loopback", Permission.ADMIN)


@dataclass(frozen=True, slots=True)
class OpenCaller:
    """See `kvgateway.service.Caller`."""

    keyvalues: KeyValues
    namespaces: NamespaceRegistry
    operations: Operations
    grant: Grant = _EVERYTHING


class LoopbackEntrance:
    """See `kvgateway.service.Entrance`; `host` is where the front door listens."""

    def __init__(
        self,
        host: str,
        keyvalues: KeyValues,
        namespaces: NamespaceRegistry,
        operations: Operations,
    ) -> None:
        self._caller = OpenCaller(keyvalues, namespaces, operations)
        self._open = is_loopback(host)

    def known(self, credential: str) -> OpenCaller:
        """The one caller that there is, whatever the credential."""
        if not self._open:
            raise Unauthenticated("this gateway lets in loopback callers only")
        return self._caller

    async def find(self, credential: str) -> OpenCaller:
        """The same; nobody has to be looked for."""
        return self.known(credential)


def is_loopback(host: str) -> bool:
    """Whether an address, or the name "localhost", is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
