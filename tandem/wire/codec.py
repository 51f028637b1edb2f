"""Messages of the KV service <-> the domain's requests and results.

A request is checked here, by the functions of `tandem.core`, and nowhere behind this module. Each
function of a request raises InvalidArgument or NamespaceNotFound.
"""

import json
from dataclasses import dataclass
from typing import Final

from tandem.core.envelope import Value
from tandem.core.key import Key, check_name_length, decode_name
from tandem.core.limits import BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX, VALUE_BYTES_MAX
from tandem.core.namespace import check_namespace_id
from tandem.core.record import is_live
from tandem.core.request import (
    Delete,
    Listing,
    ListPage,
    Put,
    Read,
    ReadResult,
    Written,
    check_cache_ttl,
    check_expiration,
    check_metadata,
    check_page_limit,
    check_value_size,
    check_version,
)
from tandem.core.version import NO_VERSION
from tandem.errors import InvalidArgument
from tandem.wire.cursor import decode_cursor, encode_cursor
from tandem.wire.v1 import kv_pb2

_HIT: Final = kv_pb2.CACHE_STATUS_HIT
_MISS: Final = kv_pb2.CACHE_STATUS_MISS
_STALE: Final = kv_pb2.CACHE_STATUS_STALE


def read_of(message: kv_pb2.GetRequest) -> Read:
    """The read that a message asks for."""
    return Read(
        Key(check_namespace_id(message.namespace), decode_name(message.key)),
        check_version(message.min_version, "min_version"),
        check_cache_ttl(message.cache_ttl_s or None),
    )


def put_of(message: kv_pb2.PutRequest, now_s: int, value: Value | None = None) -> Put:
    """The put that a message asks for at `now_s` (seconds since the epoch).

    A `value` that came in pieces stands for the message's own.
    """
    key = Key(check_namespace_id(message.namespace), decode_name(message.key))
    expires_at_s = check_expiration(
        message.expires_at_s or None, message.expiration_ttl_s or None, now_s
    )
    metadata = message.metadata
    check_metadata(metadata)
    if value is None:
        value = message.value
    check_value_size(len(value))
    return Put(key, value, metadata, expires_at_s, check_version(message.above, "above"))


def delete_of(message: kv_pb2.DeleteRequest) -> Delete:
    """The delete that a message asks for."""
    key = Key(check_namespace_id(message.namespace), decode_name(message.key))
    return Delete(key, check_version(message.above, "above"))


def listing_of(message: kv_pb2.ListRequest) -> Listing:
    """The page that a message asks for."""
    namespace = check_namespace_id(message.namespace)
    try:
        prefix = message.prefix.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgument("prefix", f"is not valid UTF-8 at byte {error.start}") from None
    check_name_length(prefix, "prefix")
    after = decode_cursor(namespace, prefix, message.cursor)
    return Listing(namespace, prefix, after, check_page_limit(message.limit or None))


def check_batch(message: kv_pb2.BatchRequest, size: int) -> None:
    """Raises InvalidArgument when a batch of `size` bytes holds too much; nothing of it may be
    started then."""
    operations = len(message.gets) + len(message.puts) + len(message.deletes)
    if operations > BATCH_OPERATIONS_MAX:
        raise InvalidArgument(
            "batch", f"{operations} operations exceed the limit of {BATCH_OPERATIONS_MAX}"
        )
    if size > BATCH_BYTES_MAX:
        raise InvalidArgument("batch", f"{size} bytes exceed the limit of {BATCH_BYTES_MAX}")


def fill_read(
    reply: kv_pb2.GetReply,
    result: ReadResult,
    now_s: float,
    value_bytes_max: int = VALUE_BYTES_MAX,
) -> None:
    """Writes what a read found at `now_s` into its reply, of its value the first bytes."""
    record = result.record
    version = result.version if record is None else record.version
    if version != NO_VERSION:
        reply.version = version
    if record is not None and is_live(record.kind, record.expires_at_s, now_s):
        reply.found = True
        reply.value = record.envelope[: min(record.value_size, value_bytes_max)]
        if record.metadata:
            reply.metadata = record.metadata
        if record.expires_at_s:
            reply.expires_at_s = record.expires_at_s
    if result.cached:
        reply.cache_status = _STALE if result.stale else _HIT
    else:
        reply.cache_status = _MISS
    if result.unconfirmed:
        reply.unconfirmed = True
    if result.stale:
        reply.stale = True


def fill_written(reply: kv_pb2.WriteReply, written: Written) -> None:
    """Writes an acknowledged write into its reply."""
    reply.version = written.version
    if written.superseded_by is not None:
        reply.superseded_by = written.superseded_by


def list_reply_of(listing: Listing, page: ListPage) -> kv_pb2.ListReply:
    """The reply that carries a page of `listing`."""
    reply = kv_pb2.ListReply(stale=page.stale)
    for listed in page.names:
        reply.keys.add(
            name=listed.name.encode(), expires_at_s=listed.expires_at_s, metadata=listed.metadata
        )
    if page.next_after is not None:
        reply.cursor = encode_cursor(listing.namespace, listing.prefix, page.next_after)
    return reply


JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]
"""What metadata may be."""


@dataclass(frozen=True, slots=True)
class JsonText:
    """Metadata as the JSON text that shall be stored, letter for letter.

    Of a value a text is made, and not always the one that it was read from: `1e2` is `100.0`, of
    two members with one name the last is left, and spaces go.
    """

    raw: bytes
    """Empty for none."""


def encode_metadata(metadata: JsonValue | JsonText) -> bytes:
    """The JSON text of metadata, empty for None; InvalidArgument when it is too long or no JSON.

    Half a surrogate pair, which UTF-8 cannot hold, is in JSON an escape.
    """
    if isinstance(metadata, JsonText):
        check_metadata(metadata.raw)
        return metadata.raw
    if metadata is None:
        return b""
    try:
        raw = json.dumps(
            metadata, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode(errors="backslashreplace")
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument("metadata", f"is not valid JSON: {error}") from None
    check_metadata(raw)
    return raw


def decode_metadata(raw: bytes) -> JsonValue:
    """The metadata behind its JSON text."""
    value: JsonValue = json.loads(raw) if raw else None
    return value
