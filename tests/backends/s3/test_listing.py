"""Pages of a listing are read by a regular expression where they are as stores send them, and by
the element tree otherwise: whatever the XML, the two never differ."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tandem.backends.s3.listing import Listed, ObjectPage, parse_page
from tandem.backends.s3.replies import BadXml

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
ETAG = "0123456789abcdef0123456789abcdef"


def plainly(body: bytes) -> ObjectPage | None:
    """The page as an XML parser alone reads it; None where it is none."""
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        return None
    try:
        root = ET.fromstring(body, ET.XMLParser(encoding="utf-8"))
    except ET.ParseError:
        return None
    within, name = root.tag[: root.tag.rfind("}") + 1], root.tag.rpartition("}")[2]
    objects = [_listed(item, within) for item in root.findall(f"{within}Contents")]
    known = [one for one in objects if one is not None]
    if name != "ListBucketResult" or len(known) < len(objects):
        return None
    return ObjectPage(tuple(known), root.findtext("{*}IsTruncated") == "true")


def _listed(item: ET.Element, within: str) -> Listed | None:
    key, size = item.findtext(f"{within}Key"), item.findtext(f"{within}Size") or ""
    etag = (item.findtext(f"{within}ETag") or "").strip('"')
    try:
        return Listed(key, etag, int(size)) if key else None
    except ValueError:
        return None


def read(body: bytes) -> ObjectPage | None:
    """The page as it is read; None for a loud failure."""
    try:
        return parse_page(body)
    except BadXml:
        return None


def contents(
    key: str = "<Key>k</Key>", etag: str = f"<ETag>&quot;{ETAG}&quot;</ETag>",
    size: str = "<Size>5</Size>", before: str = "", after: str = "",
) -> str:  # fmt: skip
    return f"<Contents>{key}{before}{etag}{size}{after}</Contents>"


def page(*parts: str, xmlns: str = f' xmlns="{NAMESPACE}"', truncated: str = "false") -> bytes:
    flag = f"<IsTruncated>{truncated}</IsTruncated>"
    return f"{HEAD}<ListBucketResult{xmlns}>{flag}{''.join(parts)}</ListBucketResult>".encode()


def test_a_page_as_stores_send_it() -> None:
    rest = (
        "<StorageClass>STANDARD</StorageClass><Owner><ID>x</ID><DisplayName>y</DisplayName></Owner>"
    )
    time = "<LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    body = page(contents(before=time, after=rest), contents("<Key>l</Key>"), truncated="true")
    assert read(body) == ObjectPage((Listed("k", ETAG, 5), Listed("l", ETAG, 5)), True)
    assert read(page()) == ObjectPage((), False)


ODD = {
    "name that is escaped": page(contents("<Key>a&amp;&lt;&#98;&#x63;</Key>")),
    "name with a line end": page(contents("<Key>a\nb</Key>")),
    "name with a carriage return": page(contents("<Key>a\r\nb\rc</Key>")),
    "name with a tab": page(contents("<Key>a\tb</Key>")),
    "name with a bracket": page(contents("<Key>a]]b>c</Key>")),
    "name that ends a section": page(contents("<Key>a]]>b</Key>")),
    "name with a control character": page(contents("<Key>a\x01b</Key>")),
    "name of blanks": page(contents("<Key>  </Key>")),
    "name beyond ASCII": page(contents("<Key>naïve</Key>")),
    "name in a section": page(contents("<Key><![CDATA[a<b]]></Key>")),
    "name of an element": page(contents("<Key>a<b>c</b></Key>")),
    "no name": page(contents("")),
    "empty name": page(contents("<Key></Key>")),
    "two names": page(contents("<Key>a</Key><Key>b</Key>")),
    "no etag": page(contents(etag="")),
    "etag without quotes": page(contents(etag=f"<ETag>{ETAG}</ETag>")),
    "etag with plain quotes": page(contents(etag=f'<ETag>"{ETAG}"</ETag>')),
    "etag with numeric quotes": page(contents(etag=f"<ETag>&#34;{ETAG}&#34;</ETag>")),
    "etag with many quotes": page(contents(etag=f'<ETag>""{ETAG}&quot;"</ETag>')),
    "etag with a carriage return": page(contents(etag="<ETag>a\r\n</ETag>")),
    "no size": page(contents(size="")),
    "size that is none": page(contents(size="<Size>many</Size>")),
    "size of blanks": page(contents(size="<Size> 5 </Size>")),
    "negative size": page(contents(size="<Size>-5</Size>")),
    "size with zeros": page(contents(size="<Size>0005</Size>")),
    "huge size": page(contents(size=f"<Size>{'9' * 30}</Size>")),
    "other order": page(f"<Contents><Size>5</Size><ETag>{ETAG}</ETag><Key>k</Key></Contents>"),
    "unknown field": page(contents(after="<RestoreStatus><X>1</X></RestoreStatus>")),
    "attribute": page(contents('<Key lang="en">k</Key>')),
    "other end tag": page(contents(before="<LastModified>x</ChecksumType>")),
    "other end tag of an owner": page(contents(after="<Owner><ID>x</DisplayName></Owner>")),
    "no XML white space": page(contents(before="\x0b\x0c")),
    "comment around": page(f"<!-- {contents()} -->"),
    "section around": page(f"<X><![CDATA[{contents()}]]></X>"),
    "instruction around": page(f"<?x {contents()} ?>"),
    "element around": page(f"<X>{contents()}</X>"),
    "element around some": page(contents(), f"<X>{contents('<Key>l</Key>')}</X>"),
    "element around all but one": page(f"<X>{contents()}</X>", contents("<Key>l</Key>")),
    "something between": page(contents(), "<CommonPrefixes/>", contents("<Key>l</Key>")),
    "text between": page(contents(), "text", contents("<Key>l</Key>")),
    "one that only the tree reads": page(contents(), contents("<Key>&amp;</Key>"), contents()),
    "no namespace": page(contents(), xmlns=""),
    "namespace with a prefix": (
        f'<s:ListBucketResult xmlns:s="{NAMESPACE}">{contents()}</s:ListBucketResult>'.encode()
    ),
    "objects of another namespace": page(f'<X xmlns="other">{contents()}</X>'),
    "before the root": f"{contents()}<ListBucketResult/>".encode(),
    "behind the root": f"<ListBucketResult/>{contents()}".encode(),
    "another root": f"<Error>{contents()}</Error>".encode(),
    "the root alone": contents().encode(),
    "document type": b"<!DOCTYPE x>" + page(contents())[len(HEAD) :],
    "another encoding": page(contents()).replace(b"UTF-8", b"UTF-16"),
    "no bytes": b"",
}  # fmt: skip


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
def test_odd_pages_are_read_as_an_xml_parser_reads_them(body: bytes) -> None:
    assert read(body) == plainly(body)


def test_a_page_that_is_cut_off_anywhere_is_none() -> None:
    body = page(contents(), contents("<Key>&amp;</Key>"), contents())
    for end in range(len(body)):
        assert read(body[:end]) is None, body[:end]


NAMES = st.text("aB7/-_~ \t\n\r&<>]\"'é\x01", max_size=6)
BLANKS = st.sampled_from(["", "", "", " ", "\n  ", "\r\n", "\t", "\x0b"])
ESCAPES = st.sampled_from(["&amp;", "&lt;", "&#97;", "&#x62;", "&quot;", "&#10;", "&#13;", "&no;"])
TAGS = ("Key", "LastModified", "ETag", "ChecksumAlgorithm", "ChecksumType", "Size", "StorageClass",
        "Type", "Owner", "Contents", "Other")  # fmt: skip
TEXTS = st.one_of(NAMES, ESCAPES, st.just(f"&quot;{ETAG}&quot;"), st.integers().map(str))


@st.composite
def fields(draw: st.DrawFn) -> str:
    """One field, well formed or not."""
    tag = draw(st.sampled_from(TAGS))
    end = draw(st.sampled_from([tag] * 15 + list(TAGS)))
    return f"<{tag}>{draw(TEXTS)}</{end}>"


@st.composite
def objects(draw: st.DrawFn) -> str:
    """Mostly as stores send it: some fields are missing, repeated, odd, or in another order."""
    usual = [f"<Key>{draw(TEXTS)}</Key>", "<LastModified>now</LastModified>",
             f"<ETag>{draw(st.sampled_from([ETAG, f'&quot;{ETAG}&quot;', '']))}</ETag>",
             f"<Size>{draw(st.integers(-1, 10**6))}</Size>", "<StorageClass>S</StorageClass>",
             "<Owner><ID>x</ID></Owner>"]  # fmt: skip
    change = draw(st.integers(0, 9))
    if change == 0:
        usual = draw(st.permutations(usual))
    elif change == 1:
        usual.pop(draw(st.integers(0, len(usual) - 1)))
    elif change == 2:
        usual.insert(draw(st.integers(0, len(usual))), draw(fields()))
    blank = draw(BLANKS)
    return f"<Contents>{blank}{blank.join(usual)}{blank}</Contents>"


@st.composite
def pages(draw: st.DrawFn) -> bytes:
    """A page, at times with something in between, wrapped, damaged or cut."""
    parts: Sequence[str] = draw(st.lists(objects(), max_size=4))
    between = draw(st.sampled_from(["", "", "\n", "<CommonPrefixes/>", "text", "<!-- x -->"]))
    inner = between.join(parts)
    inner = draw(st.sampled_from(["{}", "{}", "{}", "<X>{}</X>", "<?x {} ?>"])).format(inner)
    body = page(inner, truncated=draw(st.sampled_from(["true", "false", "", "maybe"])))
    if draw(st.booleans()):
        return body
    at = draw(st.integers(0, len(body)))
    return body[:at] + draw(st.binary(max_size=2)) + body[at + draw(st.integers(0, 9)) :]


@settings(max_examples=500, deadline=None)
@given(pages())
@example(page(contents("<Key>a\rb</Key>")))
def test_any_page_is_read_as_an_xml_parser_reads_it(body: bytes) -> None:
    assert read(body) == plainly(body)
