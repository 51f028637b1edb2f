"""Envelopes: what is sealed opens again, and what is not an envelope is refused, never guessed."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.core.envelope import (
    FORMAT,
    TOMBSTONE_BYTES,
    TRAILER_BYTES_MAX,
    BadEnvelope,
    open_envelope,
    read_trailer,
    seal,
    seal_tombstone,
    tells,
)
from tandem.core.limits import METADATA_BYTES_MAX
from tandem.core.record import Kind, Record
from tandem.core.version import VERSION_BYTES, Version

VERSION = Version.of(0x0123456789ABCDEF, b"nonce678")

versions = st.binary(min_size=VERSION_BYTES, max_size=VERSION_BYTES).map(Version)
values = st.builds(
    seal,
    versions,
    st.binary(max_size=64),
    metadata=st.binary(max_size=64),
    expires_at_s=st.integers(0, 2**64 - 1),
)
tombstones = st.builds(seal_tombstone, versions)

SAMPLES = {
    "value": seal(VERSION, b"value", metadata=b'{"a":1}', expires_at_s=0x0102030405060708),
    "empty value": seal(VERSION, b""),
    "fullest trailer": seal(VERSION, b"v", metadata=b"m" * METADATA_BYTES_MAX),
    "tombstone": seal_tombstone(VERSION),
}


def test_the_bytes_of_format_2_never_change() -> None:
    sealed = seal(VERSION, b"value", metadata=b"{}", expires_at_s=258)
    assert sealed.envelope == (
        b"value{}" + b"\x01" + VERSION + b"\x00\x00\x00\x00\x00\x00\x01\x02" + b"\x00\x21\x02TKV"
    )
    assert seal_tombstone(VERSION).envelope == b"\x02" + VERSION + b"\x00\x17\x02TKV"


class _Draft:
    """A value that is in place already."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def __len__(self) -> int:
        return len(self._value)

    def end(self, trailer: bytes) -> tuple[bytes, bytes]:
        envelope = self._value + trailer
        return envelope, hashlib.md5(envelope, usedforsecurity=False).digest()


@pytest.mark.parametrize("value", [b"", b"value"])
def test_a_draft_is_sealed_into_the_same_record_as_its_value(value: bytes) -> None:
    sealed = seal(VERSION, _Draft(value), metadata=b"{}", expires_at_s=258)
    assert sealed == seal(VERSION, value, metadata=b"{}", expires_at_s=258)
    assert open_envelope(sealed.envelope) == sealed


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_the_last_bytes_tell_what_the_whole_envelope_does(sample: Record) -> None:
    end = sample.envelope[sample.value_size :]
    trailer = read_trailer(end, len(sample.envelope))
    assert trailer == read_trailer(sample.envelope, len(sample.envelope))
    assert trailer[:4] == (sample.version, sample.kind, sample.expires_at_s, sample.metadata)
    assert trailer.size == len(end)


@given(
    versions,
    st.binary(max_size=2000),
    st.binary(max_size=METADATA_BYTES_MAX),
    st.integers(0, 2**64 - 1),
)
def test_a_value_opens_as_it_was_sealed(
    version: Version, value: bytes, metadata: bytes, expires_at_s: int
) -> None:
    sealed = seal(version, value, metadata=metadata, expires_at_s=expires_at_s)
    opened = open_envelope(sealed.envelope)
    assert opened == sealed
    assert (opened.version, opened.kind) == (version, Kind.VALUE)
    assert (opened.value, opened.value_size) == (value, len(value))
    assert (opened.metadata, opened.expires_at_s) == (metadata, expires_at_s)


@given(versions)
def test_a_tombstone_opens_as_it_was_sealed(version: Version) -> None:
    opened = open_envelope(seal_tombstone(version).envelope)
    assert opened == seal_tombstone(version)
    assert (opened.version, opened.kind) == (version, Kind.TOMBSTONE)
    assert (opened.value, opened.value_size, opened.metadata) == (b"", 0, b"")


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_the_digest_is_the_md5_that_an_s3_listing_shows(sample: Record) -> None:
    assert sample.digest == hashlib.md5(sample.envelope, usedforsecurity=False).digest()
    assert open_envelope(sample.envelope, b"known already...").digest == b"known already..."


def test_no_value_is_as_long_as_a_tombstone() -> None:
    assert all(len(seal(VERSION, bytes(size)).envelope) > TOMBSTONE_BYTES for size in range(99))
    assert len(seal_tombstone(VERSION).envelope) == TOMBSTONE_BYTES


def test_no_trailer_is_longer_than_the_longest() -> None:
    fullest = SAMPLES["fullest trailer"]
    assert len(fullest.envelope) - fullest.value_size == TRAILER_BYTES_MAX
    with pytest.raises(AssertionError, match="no reader would open it"):
        seal(VERSION, b"", metadata=bytes(METADATA_BYTES_MAX + 1))


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_a_truncated_envelope_is_refused_and_one_without_its_beginning_is_another_record(
    sample: Record,
) -> None:
    for size in range(len(sample.envelope)):
        with pytest.raises(BadEnvelope):
            open_envelope(sample.envelope[:size])
    for lost in range(1, sample.value_size + 1):
        opened = open_envelope(sample.envelope[lost:])
        assert opened.value == sample.value[lost:]
        assert opened.digest != sample.digest


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_a_flipped_bit_of_the_trailer_is_refused_or_makes_another_record(sample: Record) -> None:
    kind_at = -23 if sample.kind is Kind.TOMBSTONE else -31
    for bit in range(sample.value_size * 8, len(sample.envelope) * 8):
        flipped = bytearray(sample.envelope)
        flipped[bit // 8] ^= 1 << bit % 8
        _opens_to_itself_or_is_refused(bytes(flipped))
        at = bit // 8 - len(flipped)
        if at >= -4 or at == kind_at:  # the format, the magic, the kind
            with pytest.raises(BadEnvelope):
                open_envelope(bytes(flipped))


@pytest.mark.parametrize("form", [number for number in range(256) if number != FORMAT])
def test_an_unknown_format_is_refused(form: int) -> None:
    for sample in SAMPLES.values():
        with pytest.raises(BadEnvelope, match=f"format {form} is not known"):
            open_envelope(sample.envelope[:-4] + bytes([form]) + b"TKV")


def test_a_tombstone_with_anything_before_it_is_refused() -> None:
    with pytest.raises(BadEnvelope, match="wrong length"):
        open_envelope(b"v" + seal_tombstone(VERSION).envelope)


def test_a_trailer_with_more_metadata_than_allowed_is_refused() -> None:
    fullest = SAMPLES["fullest trailer"].envelope
    longer = (int.from_bytes(fullest[-6:-4], "big") + 1).to_bytes(2, "big")
    with pytest.raises(BadEnvelope, match="a trailer of"):
        open_envelope(fullest[:-6] + longer + fullest[-4:])


@given(
    st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(lambda head: head + b"\x02TKV"))
)
def test_no_bytes_raise_anything_but_bad_envelope(garbage: bytes) -> None:
    _opens_to_itself_or_is_refused(garbage)


@given(st.one_of(values, tombstones), st.data())
def test_no_damage_raises_anything_but_bad_envelope(record: Record, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(record.envelope)))
    end = data.draw(st.integers(start, len(record.envelope)))
    splice = data.draw(st.binary(max_size=16))
    _opens_to_itself_or_is_refused(record.envelope[:start] + splice + record.envelope[end:])


def _opens_to_itself_or_is_refused(envelope: bytes) -> None:
    """Whatever opens is what sealing its parts makes: no two readings, nothing dropped."""
    try:
        opened = open_envelope(envelope)
    except BadEnvelope:
        return
    match opened.kind:
        case Kind.VALUE:
            again = seal(
                opened.version,
                opened.value,
                metadata=opened.metadata,
                expires_at_s=opened.expires_at_s,
            )
        case Kind.TOMBSTONE:
            again = seal_tombstone(opened.version)
    assert opened == again
    assert opened.envelope == envelope


@given(st.one_of(values, tombstones), st.one_of(values, tombstones))
def test_an_envelope_tells_its_own_columns_and_no_others(one: Record, other: Record) -> None:
    columns = [(each.version, each.kind, each.expires_at_s, each.metadata) for each in (one, other)]
    assert tells(one.envelope, *columns[0])
    assert tells(one.envelope, *columns[1]) == (columns[0] == columns[1])


@pytest.mark.parametrize(("kind", "expires_at_s"), [(999, 0), (-1, 0), (1, -1), (1, 1 << 64)])
def test_no_envelope_tells_a_number_that_it_has_no_room_for(kind: int, expires_at_s: int) -> None:
    assert not tells(seal(Version.at(1), b"v").envelope, Version.at(1), kind, expires_at_s, b"")
