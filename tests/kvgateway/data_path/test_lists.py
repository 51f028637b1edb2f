"""What a page of a listing shows, and where it ends."""

import asyncio

import pytest

from kvgateway.data_path.list_draft import ListBounds
from kvgateway.state.ports import Seen
from tandem.core.key import Key
from tandem.core.reply import Side
from tandem.core.request import Delete, ListedName, Put
from tandem.errors import Unavailable
from tests.kvgateway.data_path.listings import Listings, listing
from tests.kvgateway.one_gateway import NAMESPACE


async def test_a_page_holds_names_expirations_and_metadata_in_order() -> None:
    homes = Listings()
    far_s = homes.clock.now_us() // 1_000_000 + 1000
    await homes.hold("é", homes.value())
    await homes.hold("a", homes.value(expires_at_s=far_s, metadata=b'{"a":1}'))
    await homes.hold("b", homes.tombstone())
    await homes.hold("c", homes.value(expires_at_s=far_s - 2000))
    expected = (ListedName("a", far_s, b'{"a":1}'), ListedName("é", 0, b""))
    for down in (None, homes.kvsp, homes.s3):
        for home in homes.by_side.values():
            home.down = home is down
        page = await homes.lister.list(listing())
        assert page.names == expected
        assert page.next_after is None
        assert not page.stale


async def test_a_tombstone_on_s3_costs_no_read() -> None:
    homes = Listings()
    homes.kvsp.down = True
    await homes.hold("a", homes.tombstone())
    assert await homes.names() == []
    assert homes.reads == 0


async def test_a_record_in_memory_that_s3_lists_costs_no_read() -> None:
    homes = Listings()
    homes.kvsp.down = True
    record = homes.value(metadata=b"1")
    await homes.hold("a", record)
    now_us = homes.clock.now_us()
    homes.gateway.machine.fill([Seen(Key(NAMESPACE, "a"), record, now_us)], now_us)
    assert (await homes.lister.list(listing())).names == (ListedName("a", 0, b"1"),)
    assert homes.reads == 0


async def test_a_cached_tombstone_does_not_hide_what_s3_lists_alive() -> None:
    homes = Listings()
    homes.kvsp.down = True
    now_us = homes.clock.now_us()
    homes.gateway.machine.fill([Seen(Key(NAMESPACE, "a"), homes.tombstone(), now_us)], now_us)
    homes.clock.advance(1)
    await homes.hold("a", homes.value(ms=2000))
    assert await homes.names() == ["a"]


@pytest.mark.parametrize("down", [None, Side.KVSP, Side.S3])
async def test_a_list_shows_this_machines_own_writes_and_deletes(down: Side | None) -> None:
    homes = Listings()
    await homes.hold("a", homes.value())
    await homes.hold("b", homes.value())
    if down is not None:
        homes.by_side[down].down = True
    write = homes.gateway.writer.write
    for answer in write([Delete(Key(NAMESPACE, "a")), Put(Key(NAMESPACE, "c"), b"v")]):
        assert isinstance(answer, asyncio.Future)
        await answer
    for home in homes.by_side.values():
        home.down = home.side is (None if down is None else down.other)
    assert await homes.names() == ["b", "c"]


@pytest.mark.parametrize("held_by", [Side.KVSP, Side.S3])
async def test_a_recent_write_without_payload_is_read(held_by: Side) -> None:
    homes = Listings()
    await homes.hold("a", homes.value())
    await homes.hold("z", homes.value())
    newer, deleted = homes.value(ms=10, metadata=b"2"), homes.tombstone(ms=10)
    await homes.hold("m", newer, held_by)
    await homes.hold("z", deleted, held_by)
    homes.pin("m", newer)
    homes.pin("z", deleted)
    page = await homes.lister.list(listing())
    assert page.names == (ListedName("a", 0, b""), ListedName("m", 0, b"2"))


async def test_a_recent_write_that_no_home_can_tell_ends_the_page_before_it() -> None:
    homes = Listings()
    await homes.hold("a", homes.value())
    homes.pin("b", homes.value(ms=10))
    await homes.hold("c", homes.value())
    page = await homes.lister.list(listing())
    assert [name.name for name in page.names] == ["a"]
    assert page.next_after == "a"
    with pytest.raises(Unavailable, match="misses a version that was written"):
        await homes.lister.list(listing(after="a"))


async def test_a_recent_write_beyond_the_page_waits_for_its_page() -> None:
    homes = Listings(ListBounds(scan_names_min=1))
    for name in "aceg":
        await homes.hold(name, homes.value())
    for name in "bdh":
        homes.remember(name, homes.value(ms=10))
    page = await homes.lister.list(listing(limit=2))
    assert [name.name for name in page.names] == ["a", "b"]
    names, _ = await homes.all_pages(limit=2)
    assert [name.name for name in names] == list("abcdegh")


async def test_more_recent_writes_than_a_scan_holds_are_all_merged() -> None:
    homes = Listings(ListBounds(scan_names_min=2))
    await homes.hold("z", homes.value())
    for name in "abcdefg":
        homes.remember(name, homes.tombstone(ms=10) if name in "abc" else homes.value(ms=10))
    names, _ = await homes.all_pages(limit=2)
    assert [name.name for name in names] == list("defgz")


async def test_dead_names_are_passed_until_the_bound_and_the_cursor_goes_on() -> None:
    homes = Listings(ListBounds(passed_max=2000))
    for number in range(2500):
        await homes.hold(f"dead{number:04}", homes.tombstone())
    await homes.hold("live", homes.value())
    page = await homes.lister.list(listing(limit=10))
    assert page.names == ()
    assert page.next_after is not None
    assert "dead1999" <= page.next_after < "dead2499"
    assert await homes.names(after=page.next_after, limit=10) == ["live"]


async def test_a_full_page_is_continued_after_its_last_name() -> None:
    homes = Listings()
    for name in ("a", "z"):
        await homes.hold(name, homes.value())
    await homes.hold("m", homes.tombstone())
    page = await homes.lister.list(listing(limit=1))
    assert ([name.name for name in page.names], page.next_after) == (["a"], "a")
    await homes.hold("b", homes.value())
    assert await homes.names(after="a", limit=1) == ["b"]


async def test_a_full_page_after_which_only_dead_names_follow_is_the_last_one() -> None:
    homes = Listings()
    await homes.hold("a", homes.value())
    await homes.hold("b", homes.tombstone())
    page = await homes.lister.list(listing(limit=1))
    assert ([name.name for name in page.names], page.next_after) == (["a"], None)


async def test_reads_for_a_listing_are_bounded_in_number_and_bytes() -> None:
    homes = Listings(ListBounds(reads_max=4, read_bytes_max=400))
    homes.kvsp.down = True
    for number in range(50):
        await homes.hold(f"{number:02}", homes.value())
    page = await homes.lister.list(listing())
    assert len(page.names) == 50
