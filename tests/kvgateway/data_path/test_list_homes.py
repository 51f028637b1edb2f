"""Which homes a listing asks, and when it knows everything."""

import asyncio
from itertools import chain, repeat

import pytest

from kvgateway.data_path.list_draft import ListBounds
from kvgateway.state.ports import RepairTask, Seen
from tandem.core.key import Key
from tandem.core.mode import Mode, Stage
from tandem.core.reading import ReadMode
from tandem.core.reply import Side
from tandem.errors import Unavailable
from tests.kvgateway.data_path.listings import Listings, listing
from tests.kvgateway.one_gateway import NAMESPACE


async def test_kvsp_alone_is_asked_while_it_knows_everything() -> None:
    homes = Listings()
    await homes.hold("a", homes.value())
    assert await homes.names() == ["a"]
    assert (homes.kvsp.calls, homes.s3.calls) == (1, 0)


async def test_both_homes_down_is_said_with_both_reasons() -> None:
    homes = Listings()
    homes.kvsp.down = homes.s3.down = True
    with pytest.raises(Unavailable, match=r"kvsp: unreachable: it is down; s3: unreachable"):
        await homes.lister.list(listing())


async def test_a_home_that_failed_is_asked_last_for_a_while() -> None:
    homes = Listings()
    await homes.hold("a", homes.value())
    homes.kvsp.down = True
    await homes.names()
    await homes.names()
    assert (homes.kvsp.scan_deadlines_s, homes.s3.scan_deadlines_s) == ([2.0], [5.0, 5.0])
    assert homes.kvsp.calls == 2, "the scan, and the read that S3's listing needs"
    homes.kvsp.down = False
    assert await homes.names() == ["a"]
    assert homes.kvsp.calls == 2
    homes.clock.advance(5)
    assert await homes.names() == ["a"]
    assert homes.kvsp.calls == 3


async def test_a_home_that_is_behind_is_listed_only_when_the_other_fails() -> None:
    homes = Listings()
    homes.view.late = (Side.KVSP,)
    await homes.hold("old", homes.value(), Side.KVSP)
    await homes.hold("new", homes.value(), Side.S3)
    page = await homes.lister.list(listing())
    assert ([name.name for name in page.names], page.stale) == (["new"], False)
    homes.s3.down = True
    page = await homes.lister.list(listing())
    assert ([name.name for name in page.names], page.stale) == (["old"], True)


async def test_beside_a_home_that_is_filled_one_that_is_behind_does_not_know_everything() -> None:
    homes = Listings()
    homes.view.mode = Mode(Stage.SHADOW, Side.KVSP)
    await homes.hold("there", homes.value(), Side.KVSP)
    await homes.hold("no more", homes.value(), Side.S3)
    for late in ((), (Side.S3,), (Side.KVSP,), (Side.KVSP, Side.S3)):
        homes.view.late = late
        page = await homes.lister.list(listing())
        assert [name.name for name in page.names] == ["there"]
        assert page.stale == (Side.KVSP in late)


async def test_two_homes_that_are_behind_are_merged_and_know_everything_together() -> None:
    homes = Listings()
    homes.view.late = (Side.KVSP, Side.S3)
    await homes.hold("kvsp alone", homes.value(), Side.KVSP)
    await homes.hold("s3 alone", homes.value(), Side.S3)
    await homes.hold("deleted", homes.value(ms=1), Side.KVSP)
    await homes.hold("deleted", homes.tombstone(ms=2), Side.S3)
    page = await homes.lister.list(listing())
    assert ([name.name for name in page.names], page.stale) == (["kvsp alone", "s3 alone"], False)
    homes.s3.down = True
    page = await homes.lister.list(listing())
    assert page.stale


async def test_a_home_that_is_behind_and_was_asked_first_casts_no_doubt() -> None:
    homes = Listings()
    homes.view.late = (Side.S3,)
    homes.kvsp.down = True
    await homes.names()
    homes.kvsp.down = False
    await homes.hold("a", homes.value(ms=1), Side.S3)
    await homes.hold("a", homes.value(ms=2), Side.KVSP)
    page = await homes.lister.list(listing())
    assert ([name.name for name in page.names], page.stale) == (["a"], False)
    assert homes.reads == 0


async def test_an_incomplete_listing_is_merged_with_the_other_home() -> None:
    homes = Listings()
    for name in "abc":
        await homes.hold(name, homes.value())
    homes.kvsp.unlisted = frozenset("b")
    page = await homes.lister.list(listing())
    assert ([name.name for name in page.names], page.stale) == (["a", "b", "c"], False)
    homes.s3.down = True
    page = await homes.lister.list(listing())
    assert ([name.name for name in page.names], page.stale) == (["a", "c"], True)


@pytest.mark.parametrize(("mode", "only"), [(ReadMode.KVSP, Side.KVSP), (ReadMode.S3, Side.S3)])
async def test_a_namespace_that_is_read_from_one_home_is_listed_from_it(
    mode: ReadMode, only: Side
) -> None:
    homes = Listings()
    homes.view.read_mode = mode
    await homes.hold(only.value, homes.value(), only)
    await homes.hold("other", homes.value(), only.other)
    assert await homes.names() == [only.value]
    homes.by_side[only.other].down = True
    assert await homes.names() == [only.value]


@pytest.mark.parametrize(("mode", "only"), [(ReadMode.KVSP, Side.KVSP), (ReadMode.S3, Side.S3)])
async def test_where_that_home_cannot_answer_the_other_one_is_listed(
    mode: ReadMode, only: Side
) -> None:
    homes = Listings()
    homes.view.read_mode = mode
    await homes.hold("a", homes.value(), only.other)
    homes.by_side[only].down = True
    page = await homes.lister.list(listing())
    assert ([name.name for name in page.names], page.stale) == (["a"], False)
    homes.by_side[only.other].down = True
    with pytest.raises(Unavailable):
        await homes.names()


@pytest.mark.parametrize("read_mode", ReadMode)
@pytest.mark.parametrize(
    ("mode", "stands_in"),
    [
        (Mode(Stage.SINGLE, Side.S3), False),
        (Mode(Stage.SHADOW, Side.S3), False),
        (Mode(Stage.ACTIVE, Side.S3, 50), True),
    ],
    ids=str,
)
async def test_a_namespace_with_one_home_for_some_keys_is_listed_from_that_one(
    mode: Mode, stands_in: bool, read_mode: ReadMode
) -> None:
    """`stands_in` is whether the other one may list in its place."""
    homes = Listings()
    homes.view.read_mode, homes.view.mode = read_mode, mode
    await homes.hold("a", homes.value())
    await homes.hold("b", homes.value(), Side.KVSP)
    assert await homes.names() == ["a"]
    homes.s3.down = True
    if not stands_in:
        with pytest.raises(Unavailable, match="s3"):
            await homes.names()
        assert homes.kvsp.scan_deadlines_s == []
        return
    page = await homes.lister.list(listing())
    assert not page.stale
    assert [name.name for name in page.names] == ["a", "b"]


async def test_when_recent_writes_were_dropped_both_homes_are_merged() -> None:
    homes = Listings(memory_bytes_max=1000)
    await homes.hold("a", homes.value())
    newer, deleted = homes.value(ms=10), homes.tombstone(ms=10)
    await homes.hold("b", newer, Side.S3)
    await homes.hold("a", deleted, Side.S3)
    for name, record in (("a", deleted), ("b", newer)):
        task = RepairTask(Key(NAMESPACE, name), record.version, (Side.KVSP,))
        await homes.gateway.queue.add([task], 0)
    for number in range(40):
        homes.remember(f"x{number:02}", homes.tombstone(ms=20))
    assert homes.gateway.machine.spilled()
    page = await homes.lister.list(listing())
    assert ([name.name for name in page.names], page.stale) == (["b"], False)
    homes.kvsp.down = True
    assert (await homes.lister.list(listing())).stale


async def test_what_a_home_lists_that_may_lack_writes_counts_while_some_were_dropped() -> None:
    """Of what was dropped, it may be the only one that has it."""
    homes = Listings()
    homes.view.late = (Side.S3,)
    dropped = homes.value()
    await homes.hold("dropped", dropped, Side.S3)
    task = RepairTask(Key(NAMESPACE, "dropped"), dropped.version, (Side.KVSP,))
    await homes.gateway.queue.add([task], 0)
    assert await homes.names() == []
    homes.gateway.machine.note_spill()
    page = await homes.lister.list(listing())
    assert ([name.name for name in page.names], page.stale) == (["dropped"], False)


@pytest.mark.parametrize("mode", [ReadMode.RACE, ReadMode.KVSP])
async def test_recent_writes_that_are_dropped_while_a_home_lists_are_asked_of_the_other(
    mode: ReadMode,
) -> None:
    homes = Listings()
    homes.view.read_mode = mode
    await homes.hold("new", homes.value(), Side.S3)
    homes.kvsp.held = asyncio.Event()
    listed = asyncio.create_task(homes.lister.list(listing()))
    while not homes.kvsp.scan_deadlines_s:
        await asyncio.sleep(0)
    homes.gateway.machine.empty(homes.clock.now_us())
    homes.kvsp.held.set()
    page = await listed
    assert ([name.name for name in page.names], page.stale) == (["new"], False)


async def test_names_that_a_home_leaves_out_are_passed() -> None:
    homes = Listings()
    homes.s3.down = True
    left_out = [f"left out {number:04}" for number in range(2500)]
    for name in (*left_out, "told"):
        await homes.hold(name, homes.value(), Side.KVSP)
    homes.kvsp.unlisted = frozenset(left_out)
    page = await homes.lister.list(listing())
    assert ([name.name for name in page.names], page.next_after) == (["told"], None)
    assert page.stale


async def test_a_page_ends_after_so_many_scans_and_the_next_one_goes_on() -> None:
    homes = Listings(ListBounds(scans_max=4))
    homes.s3.down = True
    left_out = [f"left out {number:04}" for number in range(2500)]
    for name in (*left_out, "told"):
        await homes.hold(name, homes.value(), Side.KVSP)
    homes.kvsp.unlisted = frozenset(left_out)
    page = await homes.lister.list(listing(limit=100))
    assert homes.kvsp.calls + homes.s3.calls == 4
    assert (page.names, page.next_after) == ((), left_out[1099])
    assert [name.name for name in (await homes.all_pages())[0]] == ["told"]


async def test_a_name_that_was_told_from_an_old_copy_makes_its_page_stale() -> None:
    homes = Listings()
    now_us = homes.clock.now_us()
    homes.gateway.machine.fill([Seen(Key(NAMESPACE, "a"), homes.value(), now_us)], now_us)
    homes.clock.advance(1)
    await homes.hold("a", homes.value(ms=10), Side.S3)
    homes.kvsp.down = True
    homes.s3.failing = chain([False], repeat(True))  # it lists, and answers no read
    page = await homes.lister.list(listing())
    assert ([name.name for name in page.names], page.stale) == (["a"], True)
