"""The way to one of our own gRPC servers."""

from typing import Any, Final

import grpc.aio

_DIRECT: Final = ("grpc.enable_http_proxy", 0)
"""gRPC would go through a proxy named in `http_proxy` or `https_proxy`, even to this machine; one
that is meant for web pages does not let it pass."""


def open_channel(address: str, *options: tuple[str, Any]) -> grpc.aio.Channel:
    """A channel to the server at `address`; it connects when it is first used."""
    return grpc.aio.insecure_channel(address, options=(*options, _DIRECT))
