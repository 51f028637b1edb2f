"""The merged listing against a sorted model."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvsp.store import Listing, Store
from tandem.core.key import check_name
from tandem.core.record import Kind, Record
from tandem.core.reply import Failed
from tandem.errors import InvalidArgument
from tandem.wire.storage_codec import Scan
from tests.kvsp.conftest import Opening
from tests.kvsp.records import NAMESPACE, put, tombstone, value
from tests.kvsp.serving import open_store


def _is_name(text: str) -> bool:
    try:
        check_name(text)
    except InvalidArgument:
        return False
    return True


LETTERS = st.sampled_from("ab\x00\x7f\u00e9\u07ff\uffff\U0010ffff")
NAMES = st.text(LETTERS, min_size=1, max_size=5).filter(_is_name)


async def pages(store: Store, prefix: str, after: str, limit: int) -> list[Listing]:
    found: list[Listing] = []
    start = after.encode()
    while not found or not found[-1].ended:
        listing = await store.scan(Scan(NAMESPACE, start, prefix.encode(), limit))
        assert not isinstance(listing, Failed)
        assert listing.complete
        found.append(listing)
        if not listing.ended:
            assert len(listing.entries) == limit
            start = listing.entries[-1][0]
    return found


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
    tmp_path_factory: pytest.TempPathFactory,
    names: set[str],
    prefix: str,
    after: str,
    limit: int,
) -> None:
    store = await open_store(tmp_path_factory.mktemp("scan") / "kvsp", 3)
    try:
        now_us = store.clusters[0]._opener.clock.now_us()
        for _, written in store.store.write([put(name, value(at_us=now_us)) for name in names]):
            await written
        found = await pages(store.store, prefix, after, limit)
        listed = [entry.name for page in found for _, entry in page.entries]
        model = sorted(names, key=str.encode)
        assert listed == [n for n in model if n.startswith(prefix) and n.encode() > after.encode()]
    finally:
        await store.aclose()


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
    assert [entry.name for _, entry in page.entries] == list(records)
    for (_, entry), record in zip(page.entries, records.values(), strict=True):
        assert (entry.version, entry.digest) == (record.version, record.digest)
        assert entry.size == len(record.envelope)
        assert (entry.kind is Kind.TOMBSTONE) == (record.kind is Kind.TOMBSTONE)
        assert entry.expires_at_s == record.expires_at_s
