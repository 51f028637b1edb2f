"""What is stored: envelopes, names, cursors, system records, mirrors, a gateway's files."""

import asyncio
import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvgateway.homes.trust import Trust
from kvgateway.homes.trust_file import DiskTrustFile
from kvgateway.registry.book import Kept
from kvgateway.registry.file import DiskCopy, to_json
from kvgateway.registry.form import NAMESPACES, TOKENS, RecordForm, T
from kvgateway.state.clock_bound import ClockBound
from kvgateway.state.journal_frames import Mark, UnknownFrame, frame, frames, left_over
from kvgateway.state.minting import GATEWAY_ID_BYTES
from kvgateway.state.ports import Intent
from kvgateway.state.switches import SwitchFile
from tandem.backends.s3.verdict import Verdict, VerdictFile
from tandem.core.access import Permission
from tandem.core.cluster_life import (
    BadMirror,
    ClusterLife,
    decode_mirror,
    encode_mirror,
    is_behind,
    mirrored,
)
from tandem.core.envelope import BadEnvelope, open_envelope, seal, seal_tombstone
from tandem.core.key import Key, decode_name, decode_object_name, encode_name
from tandem.core.namespace import Namespace, Settings, decode_namespace, encode_namespace
from tandem.core.reply import Side
from tandem.core.token import Token, decode_token, encode_token, hash_of
from tandem.core.version import Version
from tandem.errors import ConfigurationError, InvalidArgument
from tandem.wire.cursor import decode_cursor, encode_cursor
from tests.fuzz.mutations import malformed, malformed_json

NAMESPACE = "ab" * 16
VERSION = Version.at(1_700_000_000_000_000)
ENVELOPES = [
    seal(VERSION, b"value", metadata=b'{"a":1}', expires_at_s=9).envelope,
    seal(VERSION, b"").envelope,
    seal_tombstone(VERSION).envelope,
]
NAMESPACE_RECORD = Namespace(NAMESPACE, "articles", Settings(), 7, "acme")
TOKEN_RECORD = Token(
    "0" * 16, "ci", Permission.READ, hash_of("x"), "acme", frozenset({NAMESPACE}), 1, 2
)
LIFE = mirrored(ClusterLife("cluster-0", "0-ab", 7, {}), None, NAMESPACE, b"a", b"b", VERSION)
INTENTS = [Intent(Key(NAMESPACE, name), VERSION) for name in ("k", "é" * 100)]
JOURNAL = b"".join(
    frame(mark, intent) for intent in INTENTS for mark in (Mark.WANTED, Mark.DONE, Mark.WANTED)
)
WHOLE = [*frames(JOURNAL)]
SWITCHES = b'{"epoch": 3, "homes": {"kvsp": {"reads": true, "writes": true}, "s3": {"reads": false, "writes": true}}}'  # noqa: E501 - a file's text
URL = "http://s3/bucket"


@dataclass(frozen=True)
class Form:
    """Something stored, its decoder, and the one error that it may raise."""

    samples: Sequence[bytes]
    decode: Callable[[bytes], Any]
    refusal: type[Exception]
    json: bool = False

    def malformed(self) -> st.SearchStrategy[bytes]:
        return malformed_json(self.samples) if self.json else malformed(self.samples)


FORMS = {
    "envelope": Form(ENVELOPES, open_envelope, BadEnvelope),
    "namespace": Form([encode_namespace(NAMESPACE_RECORD)], decode_namespace, ValueError, True),
    "token": Form([encode_token(TOKEN_RECORD)], decode_token, ValueError, True),
    "mirror": Form([encode_mirror(LIFE)], decode_mirror, BadMirror, True),
    "name": Form([b"name", "né".encode()], decode_name, InvalidArgument),
    "cursor": Form(
        [encode_cursor(NAMESPACE, "p", "p/q").encode()],
        lambda raw: decode_cursor(NAMESPACE, "p", raw.decode(errors="surrogateescape")),
        InvalidArgument,
    ),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_sample_is_decoded(form: Form) -> None:
    for sample in form.samples:
        form.decode(sample)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@given(data=st.data())
def test_malformed_bytes_are_decoded_or_refused(form: Form, data: st.DataObject) -> None:
    with suppress(form.refusal):
        form.decode(data.draw(form.malformed()))


@given(malformed(ENVELOPES))
def test_what_opens_is_what_was_in_the_envelope(raw: bytes) -> None:
    with suppress(BadEnvelope):
        record = open_envelope(raw)
        assert record.envelope == raw
        made = seal(
            record.version, record.value, metadata=record.metadata, expires_at_s=record.expires_at_s
        )
        assert raw in (made.envelope, seal_tombstone(record.version).envelope)


@given(st.text() | st.text("0123456789ABCDEFGHIJKLMNOPQRSTUV", max_size=900))
def test_any_object_name_is_a_keys_or_foreign(text: str) -> None:
    name = decode_object_name(text)
    assert name is None or encode_name(name) == text


@given(malformed_json([encode_mirror(LIFE)]))
def test_a_mirror_that_is_decoded_can_be_compared(raw: bytes) -> None:
    with suppress(BadMirror):
        mirror = decode_mirror(raw)
        is_behind(LIFE, mirror)
        mirrored(LIFE, mirror, NAMESPACE, b"", b"", VERSION)


@given(malformed([JOURNAL]))
def test_a_journal_is_read_up_to_what_is_torn(raw: bytes) -> None:
    assert all(found in WHOLE for found in frames(raw))
    left_over([raw, JOURNAL])


@given(st.binary(min_size=34, max_size=600))
def test_a_frame_with_a_right_checksum_and_a_wild_body_is_refused(body: bytes) -> None:
    """As a newer program, or a disk that lies consistently, would leave it."""
    made = struct.pack(">II", len(body), zlib.crc32(body)) + body
    found = []
    with suppress(UnknownFrame):
        for one in frames(JOURNAL + made + JOURNAL):
            found.append(one)  # noqa: PERF402 - what came before it counts too
    assert found[: len(WHOLE)] == WHOLE


def _loaded(load: Callable[[Path], Any], content: bytes) -> Any:  # noqa: ANN401 - as it loads
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "file"
        path.write_bytes(content)
        return load(path)


@given(malformed_json([SWITCHES]))
def test_switches_that_cannot_be_read_stop_the_start(raw: bytes) -> None:
    with suppress(ConfigurationError):
        _loaded(lambda path: SwitchFile(path).load(), raw)


def _copies(form: RecordForm[T], item: T) -> tuple[bytes, Callable[[Path], Sequence[Kept[T]]]]:
    kept = [Kept(item.id, VERSION, b"d" * 16, item), Kept("f" * 32, VERSION, b"d" * 16, None)]
    return to_json(form, kept), lambda path: DiskCopy(path, form).load()


COPIES = [_copies(NAMESPACES, NAMESPACE_RECORD), _copies(TOKENS, TOKEN_RECORD)]


@given(data=st.data())
def test_a_copy_of_records_that_cannot_be_read_counts_as_none(data: st.DataObject) -> None:
    whole, load = data.draw(st.sampled_from(COPIES))
    assert len(_loaded(load, whole)) == 2
    _loaded(load, data.draw(malformed_json([whole])))


def _trust() -> bytes:
    trust = Trust()
    trust.missed(Side.S3, NAMESPACE, 5)
    return trust.to_json().encode()


@given(malformed_json([_trust()]))
def test_trust_that_cannot_be_read_counts_as_none(raw: bytes) -> None:
    mine = Trust()
    _loaded(lambda path: asyncio.run(DiskTrustFile(path).exchange(mine)), raw)
    mine.settle(frozenset({NAMESPACE}))
    mine.to_json()


def _verdicts() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "file"
        VerdictFile(path).save(URL, Verdict(True, True, True, 5, "server", 6))
        return path.read_bytes()


@given(malformed_json([_verdicts()]))
def test_a_verdict_that_cannot_be_read_is_none(raw: bytes) -> None:
    verdict = _loaded(lambda path: VerdictFile(path).load(URL), raw)
    if verdict is not None:
        verdict.valid("server", 7)
        verdict.describe()


def _bound() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "file"
        ClockBound.open(path, bytes).close(5)
        return path.read_bytes()


@given(malformed([_bound()]))
def test_a_clock_bound_that_cannot_be_read_gets_a_new_id(raw: bytes) -> None:
    bound = _loaded(lambda path: ClockBound.open(path, lambda size: b"n" * size), raw)
    assert bound.gateway_id in (bytes(GATEWAY_ID_BYTES), b"n" * GATEWAY_ID_BYTES), "the old, or new"
    bound.wait_us(10)
    bound.close()
