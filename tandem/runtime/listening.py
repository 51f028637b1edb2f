"""What is known of an address before anybody listens on it."""

import ipaddress
import socket

from tandem.runtime.settings import Address


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there. A name counts as one that others may
    reach, but for `localhost`: what it stands for may change."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_here(host: str) -> bool:
    """Whether it is an address, or a name, of this machine: nobody can listen at another's."""
    return refusal(Address(host, 0)) is None


def refusal(address: Address) -> OSError | None:
    """Why nobody can listen there now; None when somebody can.

    For those whose processes share ports: the kernel lets another one of the same user in, and
    hands it half of the connections.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            return error
    return None
