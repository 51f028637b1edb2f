"""The merged listing against a sorted model."""

from itertools import count, islice
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvsp.store import Listing, Store
from tandem.core.envelope import seal
from tandem.core.key import Key, check_name
from tandem.core.record import Record
from tandem.core.reply import Failed
from tandem.core.ring import Ring
from tandem.core.scan_diff import Entry
from tandem.core.version import Version
from tandem.errors import InvalidArgument
from tandem.wire.scan_codec import Scan, add_rows, parse_entries
from tandem.wire.v1.storage_pb2 import ScanReply
from tests.kvsp.conftest import Opening
from tests.kvsp.records import NAMESPACE, START_US, put, tombstone, value


def _is_name(text: str) -> bool:
    try:
        check_name(text)
    except InvalidArgument:
        return False
    return True


LETTERS = st.sampled_from("ab\x00\x7f\u00e9\u07ff\uffff\U0010ffff")
NAMES = st.text(LETTERS, min_size=1, max_size=5).filter(_is_name)


async def pages(
    store: Store, prefix: str, after: str, limit: int, namespace: str = NAMESPACE
) -> list[Listing]:
    found: list[Listing] = []
    start = after.encode()
    while not found or not found[-1].ended:
        listing = await store.scan(Scan(namespace, start, prefix.encode(), limit))
        assert not isinstance(listing, Failed)
        assert listing.complete
        found.append(listing)
        if not listing.ended:
            assert len(listing.rows) == limit
            start = listing.rows[-1][0]
    return found


@pytest.fixture
async def three(opening: Opening) -> Store:
    """One for all examples of a test, each with a namespace of its own."""
    return (await opening(3)).store


NUMBERS = count(1)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    names=st.sets(NAMES, max_size=80),
    prefix=st.text(LETTERS, max_size=2),
    after=st.one_of(st.just(""), NAMES),
    limit=st.integers(1, 60),
)
async def test_pages_are_a_sorted_model_cut_up(
    three: Store, names: set[str], prefix: str, after: str, limit: int
) -> None:
    namespace = f"{next(NUMBERS):032x}"
    for _, written in three.write([put(name, value(), namespace=namespace) for name in names]):
        await written
    found = await pages(three, prefix, after, limit, namespace)
    listed = [row[0].decode() for page in found for row in page.rows]
    model = sorted(names, key=str.encode)
    assert listed == [n for n in model if n.startswith(prefix) and n.encode() > after.encode()]


@pytest.mark.parametrize(
    ("before", "after"),
    [(0, 300), (53, 0)],
    ids=["the others are further on", "a page is just what was asked of each at first"],
)
async def test_names_that_are_mostly_one_clusters_are_listed_without_a_gap(
    opening: Opening, before: int, after: int
) -> None:
    store = await opening(4)
    ring = Ring([cluster.name for cluster in store.clusters])

    def of(letter: str, count: int, *, first: bool) -> list[str]:
        """Names of the first cluster, or of the others."""
        names = (f"{letter}{number:04}" for number in range(5_000))
        return list(
            islice((n for n in names if (ring.owner(Key(NAMESPACE, n)) == 0) is first), count)
        )

    names = of("a", before, first=False) + of("b", 100, first=True) + of("c", after, first=False)
    for _, written in store.store.write([put(name, value()) for name in names]):
        await written
    found = await pages(store.store, "", "", 100)
    assert [row[0].decode() for page in found for row in page.rows] == names


async def test_an_entry_shows_what_the_row_holds(opening: Opening, tmp_path: Path) -> None:
    store = await opening(2)
    records: dict[str, Record] = {
        "dead": tombstone(),
        "dying": value(b"abc", expires_at_s=1_900_000_000),
        "living": value(b"abcdef"),
    }
    for _, written in store.store.write([put(name, r) for name, r in records.items()]):
        await written
    [page] = await pages(store.store, "", "", 10)
    assert page.rows == [
        (name.encode(), r.version, r.digest, len(r.envelope), r.kind, r.expires_at_s, b"", None)
        for name, r in records.items()
    ]


async def test_a_listing_crosses_the_wire_as_it_was(opening: Opening) -> None:
    store = await opening(2)
    records = {
        "dead": tombstone(),
        "described": seal(Version.at(START_US), b"abc", metadata=b'{"a":1}'),
        "dying": value(b"abc", expires_at_s=1_900_000_000),
        "\u00e9": value(b"abcdef"),
    }
    for _, written in store.store.write([put(name, r) for name, r in records.items()]):
        await written
    [page] = await pages(store.store, "", "", 10)
    reply = ScanReply()
    add_rows(reply, page.rows)
    assert parse_entries(ScanReply.FromString(reply.SerializeToString())) == tuple(
        Entry(name, r.digest, len(r.envelope), r.version, r.kind, r.expires_at_s, r.metadata)
        for name, r in records.items()
    )


def test_columns_of_unequal_length_are_no_listing() -> None:
    reply = ScanReply(names=[b"a", b"b"], digests=bytes(32), versions=bytes(32), kinds=b"\1\1")
    with pytest.raises(ValueError, match="shorter"):
        parse_entries(reply)


def test_an_unknown_kind_is_no_listing() -> None:
    reply = ScanReply(
        names=[b"a"], digests=bytes(16), versions=bytes(16), kinds=b"\7", sizes=[1],
        expires_at_s=[0], metadata=[b""],
    )  # fmt: skip
    with pytest.raises(KeyError):
        parse_entries(reply)
