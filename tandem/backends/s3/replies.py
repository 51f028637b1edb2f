"""What a reply of the store means: the error it names, the object it shows, the failure it is."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tandem.backends.s3.exchange import FailureKind, HttpReply, TransportError
from tandem.core.envelope import DIGEST_BYTES
from tandem.core.record import Record, Stamp
from tandem.core.reply import Failed, Reason
from tandem.core.version import VERSION_BYTES, Version

VERSION_HEADER: Final = "x-amz-meta-tandem-version"
_DETAIL_CHARS_MAX: Final = 300
_MD5_HEX_CHARS: Final = 2 * DIGEST_BYTES
_REASONS: Final = {
    FailureKind.BUSY: Reason.OVERLOADED,
    FailureKind.REFUSED: Reason.UNREACHABLE,
    FailureKind.TIMEOUT: Reason.TIMEOUT,
    FailureKind.RESET: Reason.UNREACHABLE,
    FailureKind.MALFORMED: Reason.ERROR,
    FailureKind.TOO_LARGE: Reason.ERROR,
    FailureKind.CLOSED: Reason.UNREACHABLE,
}


class BadXml(ValueError):
    """A body that is not the XML that S3 sends."""


@dataclass(frozen=True, slots=True)
class StoreError:
    """What an error reply says; empty where it does not."""

    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """An object of ours as headers show it; `etag` stands without quotes."""

    version: Version
    etag: str

    @classmethod
    def of(cls, record: Record | Stamp) -> "Held":
        """As headers show the object that has this record's envelope."""
        return cls(record.version, record.digest.hex())

    @property
    def digest(self) -> bytes:
        """The MD5 of the body; other bytes, which equal no MD5, where the ETag is none."""
        return digest_in(self.etag)


def parse_xml(body: bytes) -> ET.Element:
    """The root element; BadXml for anything with a document type, which S3 never sends and in
    which alone entities could be declared."""
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise BadXml("a document type declaration")
    try:
        return ET.fromstring(body, ET.XMLParser(encoding="utf-8"))
    except ET.ParseError as error:
        raise BadXml(str(error)) from error


def text_of(element: ET.Element, name: str) -> str:
    """The text of the child `name`, in whatever namespace; empty if there is none."""
    return element.findtext(f"{{*}}{name}") or ""


def error_of(reply: HttpReply) -> StoreError:
    """The code and message of an error reply; the answer to a HEAD has neither."""
    try:
        root = parse_xml(reply.body)
    except BadXml:
        return StoreError()
    return StoreError(text_of(root, "Code"), text_of(root, "Message"))


def condition_failed(reply: HttpReply) -> bool:
    """Whether a request did nothing since what it was to meet is not there (any more)."""
    return reply.status in {409, 412} or error_of(reply).code == "NoSuchKey"


def held_in(headers: Mapping[str, str]) -> Held | None:
    """The object that a GET or HEAD shows; None for one that Tandem did not write."""
    try:
        version = bytes.fromhex(headers.get(VERSION_HEADER, ""))
    except ValueError:
        return None
    etag = unquoted(headers.get("etag", ""))
    if len(version) != VERSION_BYTES or not etag:
        return None
    return Held(Version(version), etag)


def unquoted(etag: str) -> str:
    """An ETag without its quotes."""
    return etag.strip('"')


def digest_in(etag: str) -> bytes:
    """The MD5 that an ETag is; its plain bytes where it is none, as after a multipart upload."""
    if len(etag) == _MD5_HEX_CHARS:
        try:
            return bytes.fromhex(etag)
        except ValueError:
            pass
    return etag.encode()


def digests_in(etags: Sequence[str]) -> list[bytes]:
    """`digest_in` of many at once."""
    if {len(etag) for etag in etags} == {_MD5_HEX_CHARS}:
        try:
            digests = bytes.fromhex("".join(etags))
        except ValueError:
            digests = b""
        if len(digests) == len(etags) * DIGEST_BYTES:  # fromhex passes over blanks
            return [digests[at : at + DIGEST_BYTES] for at in range(0, len(digests), DIGEST_BYTES)]
    return [digest_in(etag) for etag in etags]


def has_put(reply: HttpReply, digest: bytes) -> bool:
    """Whether the answer to a PUT says that the body of this MD5 is stored: its ETag is that of the
    body, which no proxy between here and the store would know to make up."""
    return reply.status == 200 and digest_in(unquoted(reply.headers.get("etag", ""))) == digest


def failed(reply: HttpReply, time_us: int) -> Failed:
    """The failure that an unexpected status is. A proxy's may come without a `Date`: then it says
    nothing of the store's time."""
    error = error_of(reply)
    if reply.status == 200:
        return Failed(Reason.ERROR, "200 without a store's sign that it is done: a proxy's answer")
    reason = Reason.OVERLOADED if reply.status in {429, 503} else Reason.ERROR
    detail = " ".join(filter(None, (str(reply.status), error.code, error.message)))
    heard_us = time_us if "date" in reply.headers else 0
    return Failed(reason, detail[:_DETAIL_CHARS_MAX], heard_us)


def no_reply(error: TransportError) -> Failed:
    """The failure that the absence of a reply is."""
    reason = _REASONS[error.kind]
    said = error.detail if reason.value == error.kind.value else str(error)
    return Failed(reason, said[:_DETAIL_CHARS_MAX])


def foreign(name: str, time_us: int) -> Failed:
    """The failure that an object under one of our names is which we did not write."""
    detail = f"the object {name} was not written by Tandem: move it away"
    return Failed(Reason.FOREIGN, detail, time_us)
