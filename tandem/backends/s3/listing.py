"""Listing a namespace: ListObjectsV2 pages as entries, names that are not ours left out.

Five bits of a name make one character of an object's name, so a listing by a prefix begins a little
before and ends a little after the names that are wanted; both ends are cut off here.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element

from tandem.backends.port import ScanPage
from tandem.backends.s3.bucket import Answer, Bucket, Call
from tandem.backends.s3.exchange import TransportError
from tandem.backends.s3.replies import (
    BadXml,
    digests_in,
    failed,
    no_reply,
    parse_xml,
    text_of,
    unquoted,
)
from tandem.core.envelope import TOMBSTONE_BYTES
from tandem.core.key import decode_object_names, encode_name, encoded_prefix
from tandem.core.limits import LIST_PAGE_MAX
from tandem.core.record import Kind
from tandem.core.reply import Failed, Reason
from tandem.core.scan_diff import Entry, entry_of

ENDLESS: Final = "a listing that goes on without objects"
_AFTER_ALL_NAMES: Final = "~"
"""Sorts above every character of an encoded name."""


class Listed(NamedTuple):
    """One object of a listing."""

    name: str
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """One answer of the store."""

    objects: tuple[Listed, ...]
    truncated: bool


async def list_objects(
    bucket: Bucket, prefix: str, start_after: str, limit: int, until_s: float
) -> tuple[ObjectPage, Answer] | Failed:
    """One page of the objects whose names begin with `prefix`, from above `start_after`."""
    parameters = [("list-type", "2"), ("max-keys", str(limit)), ("prefix", prefix)]
    if start_after:
        parameters.append(("start-after", start_after))
    try:
        answer = await bucket.ask(Call("GET", "", parameters=tuple(parameters)), until_s)
    except TransportError as error:
        return no_reply(error)
    if answer.http.status != 200:
        return failed(answer.http, answer.time_us)
    try:
        return parse_page(answer.http.body), answer
    except BadXml as error:
        return Failed(Reason.ERROR, f"not a listing: {error}", answer.time_us)


_TEXT: Final = rb"[^<>&\x00-\x08\x0b-\x1f\x80-\xff]*+"
"""Text that means itself: no escapes, no end of a section, nothing that XML forbids or changes."""


_BLANKS: Final = b" \t\r\n"
_GAP: Final = rb"[ \t\r\n]*+"


def _element(tag: bytes, text: bytes = _TEXT) -> bytes:
    return rb"%b<%b>%b</%b>" % (_GAP, tag, text, tag)


def _any_of(*elements: bytes) -> bytes:
    return b"(?:%b)*+" % b"|".join(elements)


_CHECKSUMS: Final = (_element(b"ChecksumAlgorithm"), _element(b"ChecksumType"))
_CONTENTS: Final = re.compile(
    b"".join(
        (
            b"<Contents>", _element(b"Key", b"(?!<)(%b)" % _TEXT),
            _any_of(_element(b"LastModified"), *_CHECKSUMS),
            _element(b"ETag", rb"(?:\"|&quot;)?+([^<>&\"\x00-\x1f\x80-\xff]*+)(?:\"|&quot;)?+"),
            _any_of(*_CHECKSUMS),
            _element(b"Size", b"([0-9]{1,15}+)"),
            _any_of(
                _element(b"StorageClass"), _element(b"Type"),
                _element(b"Owner", _any_of(_element(b"ID"), _element(b"DisplayName")) + _GAP),
            ),
            _GAP, b"</Contents>",
        )
    )
)  # fmt: skip
"""One object as stores really send it. The element tree costs more than twice as much, so it reads
the frame alone; a page with an object of any other form is read by it as a whole."""
_GROUPS: Final = 3
_PLACE: Final = "TandemObjects"
_listed = partial(tuple.__new__, Listed)


def parse_page(body: bytes) -> ObjectPage:
    """The page in the body of an answer; BadXml if it is none."""
    page = _usual_page(body)
    if page is not None:
        return page
    root = _listing(body)
    return ObjectPage(_in_tree(root), _is_truncated(root))


def _usual_page(body: bytes) -> ObjectPage | None:
    """The page, where its objects are one unbroken row of the usual form; else None.

    One element takes the place of the row, so that the frame shows where the row stood. In a
    comment or a section, which hold no elements, it is not found.
    """
    parts = _CONTENTS.split(body)
    step = _GROUPS + 1
    if len(parts) == 1 or b"".join(parts[step:-1:step]).strip(_BLANKS):
        return None
    root = _listing(b"%b<%b/>%b" % (parts[0], _PLACE.encode(), parts[-1]))
    if root.find(f"{_within(root)}{_PLACE}") is None or root.find("{*}Contents") is not None:
        return None
    names, etags, sizes = parts[1::step], parts[2::step], parts[3::step]
    objects = zip(map(bytes.decode, names), map(bytes.decode, etags), map(int, sizes), strict=True)
    return ObjectPage(tuple(map(_listed, objects)), _is_truncated(root))


def _is_truncated(root: Element) -> bool:
    return text_of(root, "IsTruncated") == "true"


def _within(root: Element) -> str:
    """The root's namespace as the element tree writes it before a tag."""
    namespace, brace, _ = root.tag.rpartition("}")
    return namespace + brace


def _listing(body: bytes) -> Element:
    root = parse_xml(body)
    tag = root.tag.rpartition("}")[2]
    if tag != "ListBucketResult":
        raise BadXml(f"<{tag}> instead of a listing")
    return root


def _in_tree(root: Element) -> tuple[Listed, ...]:
    within = _within(root)
    key, etag, size = f"{within}Key", f"{within}ETag", f"{within}Size"
    objects = []
    for item in root.iterfind(f"{within}Contents"):
        name = item.findtext(key)
        if not name:
            raise BadXml("an object without a name")
        try:
            bytes_ = int(item.findtext(size) or "")
        except ValueError as error:
            raise BadXml(str(error)) from error
        objects.append(Listed(name, unquoted(item.findtext(etag) or ""), bytes_))
    return tuple(objects)


class Listing:
    """Lists one namespace, whose objects are named `directory` and an encoded name."""

    def __init__(self, bucket: Bucket, directory: str, prefix: str) -> None:
        self._bucket = bucket
        self._directory = directory
        self._prefix = prefix
        self._names = Names(directory)

    async def page(self, after: str, limit: int, deadline_s: float) -> ScanPage | Failed:
        """At most `limit` names above `after`; asks on while all that comes is left out."""
        until_s = asyncio.get_running_loop().time() + deadline_s
        limit = min(limit, LIST_PAGE_MAX)
        object_prefix = self._directory + encoded_prefix(self._prefix)
        start = self._directory + max(encode_name(after), self._before_prefix())
        while True:
            listed = await list_objects(self._bucket, object_prefix, start, limit, until_s)
            if isinstance(listed, Failed):
                return listed
            page, answer = listed
            named = self._names.of(page)
            entries = tuple(entry for entry in named if entry.name.startswith(self._prefix))
            ended = not page.truncated or self._beyond(named)
            if entries or ended:
                next_after = None if ended else entries[-1].name
                return ScanPage(entries, next_after, answer.time_us, foreign=self._names.foreign)
            if not page.objects:
                return Failed(Reason.ERROR, ENDLESS)
            start = page.objects[-1].name

    def _beyond(self, named: Sequence[Entry]) -> bool:
        """Whether the last of these names lies above all that begin with the prefix."""
        if not named or named[-1].name.startswith(self._prefix):
            return False
        return named[-1].name > self._prefix

    def _before_prefix(self) -> str:
        """A text below every encoded name from the prefix on, and above all that come before."""
        first = encode_name(self._prefix)
        return first and first[:-1] + chr(ord(first[-1]) - 1) + _AFTER_ALL_NAMES


class Names:
    """Reads objects as the keys of one namespace, and counts those that cannot be one."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.foreign = 0

    def of(self, page: ObjectPage) -> list[Entry]:
        """An entry for each object but the foreign ones."""
        if not page.objects:
            return []
        objects, etags, sizes = zip(*page.objects, strict=True)
        names = decode_object_names([one.removeprefix(self._directory) for one in objects])
        self.foreign += names.count(None)
        rest, kinds = repeat(None), map(_KIND_BY_SIZE.get, sizes)
        columns = zip(names, digests_in(etags), sizes, rest, kinds, rest, rest)  # noqa: B905
        return [entry_of(fields) for fields in columns if fields[0] is not None]


_KIND_BY_SIZE: Final = {TOMBSTONE_BYTES: Kind.TOMBSTONE}
