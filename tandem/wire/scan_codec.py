"""Messages of a listing <-> the types of the core: the sides of KVSP and of its client together."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from tandem.core.envelope import DIGEST_BYTES
from tandem.core.limits import KEY_NAME_BYTES_MAX
from tandem.core.namespace import check_namespace_form
from tandem.core.record import Kind
from tandem.core.scan_diff import Entry, entry_of
from tandem.core.version import VERSION_BYTES, Version
from tandem.errors import InvalidArgument
from tandem.wire.v1 import storage_pb2 as pb

SCAN_LIMIT_MAX: Final = 10_000
_KINDS: Final = {int(kind): kind for kind in Kind}

Row: TypeAlias = tuple[bytes, bytes, bytes, int, int, int, bytes, str | None]
"""One name as a cluster lists it: name, version, digest, size of the envelope, kind, expires_at_s,
metadata, and where the envelope is if not in its row. A plain tuple, as SQLite gives it: a crawl
makes one for every key."""


class Scan(NamedTuple):
    """A listing that is asked for: names above `after` that begin with `prefix`."""

    namespace: str
    after: bytes
    prefix: bytes
    limit: int


def parse_scan(request: pb.ScanRequest) -> Scan:
    """What the message asks for; InvalidArgument when a field is out of bounds."""
    check_namespace_form(request.namespace)
    if not 1 <= request.limit <= SCAN_LIMIT_MAX:
        raise InvalidArgument("limit", f"must be from 1 to {SCAN_LIMIT_MAX}")
    if max(len(request.after), len(request.prefix)) > KEY_NAME_BYTES_MAX:
        raise InvalidArgument("prefix", f"names have at most {KEY_NAME_BYTES_MAX} bytes")
    return Scan(request.namespace, request.after, request.prefix, request.limit)


def scan_request(scan: Scan) -> pb.ScanRequest:
    """The message that asks for `scan`."""
    return pb.ScanRequest(
        namespace=scan.namespace, after=scan.after, prefix=scan.prefix, limit=scan.limit
    )


def add_rows(reply: pb.ScanReply, rows: Sequence[Row]) -> None:
    """Fills in the lines of a listing."""
    if not rows:
        return
    names, versions, digests, sizes, kinds, expiries, metadata, _ = zip(*rows, strict=True)
    reply.names.extend(names)
    reply.versions = b"".join(versions)
    reply.digests = b"".join(digests)
    reply.sizes.extend(sizes)
    reply.kinds = bytes(kinds)
    reply.expires_at_s.extend(expiries)
    reply.metadata.extend(metadata)


def parse_entries(reply: pb.ScanReply) -> tuple[Entry, ...]:
    """The lines of a listing; ValueError or KeyError when its columns cannot be those of one."""
    columns = (
        map(bytes.decode, reply.names),
        _cut(reply.digests, DIGEST_BYTES),
        reply.sizes,
        map(Version, _cut(reply.versions, VERSION_BYTES)),
        map(_KINDS.__getitem__, reply.kinds),
        reply.expires_at_s,
        reply.metadata,
    )
    return tuple(map(entry_of, zip(*columns, strict=True)))


def _cut(column: bytes, size: int) -> Iterator[bytes]:
    """The values of a column of so many bytes each."""
    return (column[at : at + size] for at in range(0, len(column), size))
