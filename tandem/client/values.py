"""What the client library hands out and takes."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tandem.core.version import NO_VERSION, Version
from tandem.wire.codec import JsonText, JsonValue, decode_metadata
from tandem.wire.v1 import kv_pb2


@dataclass(frozen=True, slots=True)
class Entry:
    """A value with all that is stored beside it."""

    value: bytes
    metadata: JsonValue
    expires_at_s: int | None
    """Seconds since the epoch; None for never."""
    version: Version
    cached: bool = False
    """Whether the gateway answered from memory."""
    stale: bool = False
    """Whether it comes from a home, or a cache, that may lack newer writes."""
    metadata_json: bytes = b""
    """The text of the metadata as it is stored; empty for none. As a JsonText it is stored so."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a read saw, also where there is no value."""

    entry: Entry | None
    version: Version
    """Of the value or of the tombstone; NO_VERSION when nothing is known of the key."""
    unconfirmed: bool
    """Whether it is a miss that one home alone has seen, the other one being down."""


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key as a listing shows it."""

    name: str
    metadata: JsonValue
    expires_at_s: int | None


@dataclass(frozen=True, slots=True)
class Item:
    """What `Client.put_many` stores under a key; the fields mean what they mean in `Client.put`."""

    value: bytes | str
    metadata: JsonValue | JsonText = None
    expires_at: int | datetime | None = None
    ttl: int | timedelta | None = None


def entry_of(reply: kv_pb2.GetReply) -> Entry | None:
    """The entry in a reply; None when there is none."""
    if not reply.found:
        return None
    return Entry(
        reply.value,
        decode_metadata(reply.metadata),
        reply.expires_at_s or None,
        Version(reply.version),
        cached=reply.cache_status != kv_pb2.CACHE_STATUS_MISS,
        stale=reply.stale,
        metadata_json=reply.metadata,
    )


def seen_of(reply: kv_pb2.GetReply) -> Seen:
    """What a reply says that was seen."""
    version = Version(reply.version) if reply.version else NO_VERSION
    return Seen(entry_of(reply), version, reply.unconfirmed)


def listed_key_of(message: kv_pb2.ListedKey) -> ListedKey:
    """One name of a page."""
    return ListedKey(
        message.name.decode(), decode_metadata(message.metadata), message.expires_at_s or None
    )
