"""Whether an address is free, for those whose processes share ports: the kernel lets another one
of the same user in, and hands it half of the connections."""

import socket

from tandem.runtime.settings import Address


def refusal(address: Address) -> OSError | None:
    """Why nobody can listen there now; None when somebody can."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            return error
    return None
