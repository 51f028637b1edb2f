"""A key-value store that lives in two homes: the library that every program builds on."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tandem.client import Client, TlsFiles

__all__ = ["Client", "TlsFiles"]


def __getattr__(name: str) -> object:
    """Loads the client library on first use, so that the core can be imported without gRPC."""
    if name in __all__:
        from tandem import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
