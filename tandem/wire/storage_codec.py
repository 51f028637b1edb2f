"""Storage messages <-> the core's types: KVSP's side and its client's side, beside each other.

A failure crosses the wire as the text of its `Failed`, whose first word names the reason.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple, assert_never

from tandem.core.envelope import TRAILER_BYTES_MAX, BadEnvelope, open_envelope
from tandem.core.key import Key, decode_name
from tandem.core.limits import (
    BATCH_BYTES_MAX,
    MIB,
    VALUE_BYTES_MAX,
    WHOLE_BYTES_MAX,
)
from tandem.core.namespace import check_namespace_form
from tandem.core.record import Record, RecordHead
from tandem.core.reply import (
    Failed,
    Found,
    Missing,
    ReadReply,
    Reason,
    Refusal,
    Refused,
    Stored,
    Superseded,
    WriteReply,
)
from tandem.core.version import NO_VERSION, Version
from tandem.errors import InvalidArgument
from tandem.wire.v1 import storage_pb2 as pb

Request = pb.StorageRequest
Reply = pb.StorageReply

MESSAGE_BYTES_MAX: Final = BATCH_BYTES_MAX + MIB
"""What either side accepts: more than a page of 10,000 names of full length takes."""

_REASONS: Final = {reason.value: reason for reason in Reason}
_OUTCOMES: Final = {
    Refusal.FLOOR: pb.WRITE_OUTCOME_BELOW_FLOOR,
    Refusal.LATE: pb.WRITE_OUTCOME_LATE,
    Refusal.FUTURE: pb.WRITE_OUTCOME_FUTURE,
    Refusal.DELETED_NAMESPACE: pb.WRITE_OUTCOME_DELETED_NAMESPACE,
}
_REFUSALS: Final = {outcome: refusal for refusal, outcome in _OUTCOMES.items()}


class Get(NamedTuple):
    """A read that a gateway asks for; `raw_name` is the key's name in bytes."""

    id: int
    key: Key
    raw_name: bytes


class Put(NamedTuple):
    """A write that a gateway asks for. `heal_read_at_us` is 0 for a client's leg."""

    id: int
    key: Key
    raw_name: bytes
    record: Record
    heal_read_at_us: int = 0
    over_corrupt: bool = False

    def without_envelope(self) -> "LargePut":
        """The same write, its envelope apart."""
        return LargePut(
            self.key, self.raw_name, self.record.head, self.heal_read_at_us, self.over_corrupt
        )


class LargePut(NamedTuple):
    """A write whose envelope comes in pieces, or is written piece by piece."""

    key: Key
    raw_name: bytes
    record: RecordHead
    heal_read_at_us: int = 0
    over_corrupt: bool = False


class LargeRecord(NamedTuple):
    """What KVSP answers in the place of a record that has to be asked for in pieces."""

    blob: str
    version: Version
    digest: bytes
    size: int


def add_get(request: pb.StorageRequest, number: int, key: Key) -> None:
    """Appends a read to `request`; its reply will carry `number`."""
    request.gets.add(id=number, namespace=key.namespace, name=key.name.encode())


def add_put(request: pb.StorageRequest, number: int, key: Key, envelope: bytes) -> None:
    """Appends a client's write to `request`; its reply will carry `number`."""
    request.puts.add(id=number, namespace=key.namespace, name=key.name.encode(), envelope=envelope)


def add_heal(
    request: pb.StorageRequest,
    number: int,
    key: Key,
    envelope: bytes,
    read_at_us: int,
    over_corrupt: bool,
) -> None:
    """Appends a write that heals to `request`; its reply will carry `number`."""
    request.puts.add(
        id=number,
        namespace=key.namespace,
        name=key.name.encode(),
        envelope=envelope,
        heal_read_at_us=heal_basis(read_at_us),
        over_corrupt=over_corrupt,
    )


def heal_basis(read_at_us: int) -> int:
    """How the time that a heal rests on travels: 0 means a leg, so a heal that rests on no known
    time is as old as can be."""
    return max(1, read_at_us)


def parse_get(get: pb.StorageGet) -> Get:
    """What the message asks for; InvalidArgument unless it can be answered."""
    name = get.name
    return Get(get.id, parse_key(get.namespace, name), name)


def parse_put(put: pb.StoragePut) -> Put:
    """What the message asks for; InvalidArgument unless it holds a whole envelope."""
    name = put.name
    key = parse_key(put.namespace, name)
    envelope = put.envelope
    if len(envelope) > WHOLE_BYTES_MAX:
        raise InvalidArgument("envelope", f"of {len(envelope)} bytes has to come in pieces")
    try:
        record = open_envelope(envelope)
    except BadEnvelope as error:
        raise InvalidArgument("envelope", str(error)) from None
    return Put(put.id, key, name, record, put.heal_read_at_us, put.over_corrupt)


def parse_key(namespace: str, name: bytes) -> Key:
    """The key of an operation; InvalidArgument unless there can be such a one."""
    check_namespace_form(namespace)
    return Key(namespace, decode_name(name))


def new_reply(home_time_us: int) -> pb.StorageReply:
    """An empty message of answers."""
    return pb.StorageReply(home_time_us=home_time_us)


def add_envelope(reply: pb.StorageReply, number: int, envelope: bytes) -> None:
    """Appends the answer to a read that found a record."""
    reply.reads.add(id=number, envelope=envelope)


def add_large(reply: pb.StorageReply, number: int, large: LargeRecord) -> None:
    """Appends the answer to a read whose record has to be asked for in pieces."""
    record = pb.LargeRecord(
        blob=large.blob, version=large.version, digest=large.digest, size=large.size
    )
    reply.reads.add(id=number, large=record)


def add_missing(reply: pb.StorageReply, number: int, floor: Version) -> None:
    """Appends the answer to a read that found nothing."""
    reply.reads.add(id=number, floor=floor)


def add_failed_read(reply: pb.StorageReply, number: int, failed: Failed) -> None:
    """Appends the answer to a read that could not be made."""
    corrupt = failed.reason is Reason.CORRUPT
    reply.reads.add(id=number, failure=str(failed), corrupt=corrupt)


def add_written(reply: pb.StorageReply, number: int, outcome: WriteReply) -> None:
    """Appends the answer to a write; the time is the whole reply's."""
    match outcome:
        case Stored():
            reply.writes.add(id=number, outcome=pb.WRITE_OUTCOME_STORED)
        case Superseded(newest):
            reply.writes.add(id=number, outcome=pb.WRITE_OUTCOME_SUPERSEDED, newest=newest)
        case Refused(refusal):
            reply.writes.add(id=number, outcome=_OUTCOMES[refusal])
        case Failed():
            reply.writes.add(id=number, outcome=pb.WRITE_OUTCOME_FAILED, failure=str(outcome))
        case _:
            assert_never(outcome)


def read_reply(read: pb.StorageRead, home_time_us: int) -> ReadReply | LargeRecord:
    """The core's reply in one line of a message that was sealed at `home_time_us`."""
    envelope = read.envelope
    if envelope:
        try:
            return Found(open_envelope(envelope), home_time_us)
        except BadEnvelope as error:
            return Failed(Reason.CORRUPT, str(error), home_time_us)
    if read.HasField("large"):
        large = read.large
        if large.size > VALUE_BYTES_MAX + TRAILER_BYTES_MAX:
            return Failed(Reason.CORRUPT, f"no record has {large.size} bytes", home_time_us)
        return LargeRecord(large.blob, Version.parse(large.version), large.digest, large.size)
    if read.corrupt:
        detail = read.failure.removeprefix(f"{Reason.CORRUPT.value}: ")
        return Failed(Reason.CORRUPT, detail, home_time_us)
    if read.failure:
        return _parse_failure(read.failure, home_time_us)
    return Missing(home_time_us, Version.parse(read.floor) if read.floor else NO_VERSION)


def write_replies(reply: pb.StorageReply) -> Iterator[tuple[int, WriteReply]]:
    """The number of each write that a message answers, with the core's reply."""
    stored = Stored(reply.home_time_us)
    for written in reply.writes:
        if written.outcome == pb.WRITE_OUTCOME_STORED:
            yield written.id, stored
        else:
            yield written.id, _not_stored(written, reply.home_time_us)


def _not_stored(written: pb.StorageWritten, home_time_us: int) -> WriteReply:
    if written.outcome == pb.WRITE_OUTCOME_SUPERSEDED:
        return Superseded(Version.parse(written.newest), home_time_us)
    refusal = _REFUSALS.get(written.outcome)
    if refusal is not None:
        return Refused(refusal, home_time_us)
    return _parse_failure(written.failure, home_time_us)


def _parse_failure(text: str, home_time_us: int) -> Failed:
    reason, _, detail = text.partition(": ")
    if reason in _REASONS:
        return Failed(_REASONS[reason], detail, home_time_us)
    return Failed(Reason.ERROR, text, home_time_us)
