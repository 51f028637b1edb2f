"""The gRPC client library."""

from tandem.client.calls import BatchResult
from tandem.client.client import Client
from tandem.client.large import StreamedEntry
from tandem.client.values import Entry, Item, ListedKey, Seen
from tandem.runtime.tls import TlsFiles
from tandem.wire.codec import JsonText

__all__ = [
    "BatchResult",
    "Client",
    "Entry",
    "Item",
    "JsonText",
    "ListedKey",
    "Seen",
    "StreamedEntry",
    "TlsFiles",
]
