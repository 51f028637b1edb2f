"""Listings: the model is a sorted dictionary of what is alive."""

import asyncio
from dataclasses import dataclass, field
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvgateway.data_path.list_draft import ListBounds
from kvgateway.data_path.lists import Lister
from kvgateway.state.ports import Intent, RepairTask
from tandem.core.key import Key
from tandem.core.mode import ACTIVE, Mode, Stage
from tandem.core.reading import ReadMode
from tandem.core.record import Record
from tandem.core.reply import Side
from tandem.core.request import Delete, ListedName, Listing, Put
from tandem.errors import Unavailable
from tests.kvgateway.one_gateway import NAMESPACE, FaultyHome, OneGateway, TwoHomes

BOUNDS = ListBounds()


class Listings(TwoHomes):
    """A gateway that lists from two homes."""

    def __init__(self, bounds: ListBounds = BOUNDS, memory_bytes_max: int = 1 << 28) -> None:
        super().__init__()
        self.mode = ReadMode.RACE
        self.namespace_mode = ACTIVE
        self.gateway = OneGateway(self.by_side, self.clock, memory_bytes_max=memory_bytes_max)
        self.lister = Lister(
            homes=self.by_side,
            machine=self.gateway.machine,
            reader=self.gateway.reader,
            time=self.gateway.time,
            trust=self.gateway.trust,
            mode_of=lambda _: self.mode,
            namespace_mode_of=lambda _: self.namespace_mode,
            bounds=bounds,
        )

    async def names(self, *, after: str = "", limit: int = 1000) -> list[str]:
        page = await self.lister.list(_listing(after=after, limit=limit))
        return [name.name for name in page.names]

    async def all_pages(
        self, *, prefix: str = "", limit: int = 1000
    ) -> tuple[list[ListedName], bool]:
        """Every name that following the cursors shows, and whether any page was stale."""
        asked = _listing(prefix=prefix, limit=limit)
        found: list[ListedName] = []
        stale = False
        for _ in range(200):
            page = await self.lister.list(asked)
            assert len(page.names) <= asked.limit
            found.extend(page.names)
            stale = stale or page.stale
            if page.next_after is None:
                return found, stale
            assert page.next_after > asked.after
            asked = Listing(NAMESPACE, asked.prefix, page.next_after, asked.limit)
        raise AssertionError("the listing does not end")

    def remember(self, name: str, record: Record) -> None:
        """This machine has just written the record."""
        self.gateway.machine.install([(Key(NAMESPACE, name), record)], self.clock.now_us())

    def pin(self, name: str, record: Record) -> None:
        """This machine knows only that the record was written."""
        self.gateway.machine.pin([Intent(Key(NAMESPACE, name), record.version)])


def _listing(*, prefix: str = "", after: str = "", limit: int = 1000) -> Listing:
    return Listing(NAMESPACE, prefix, after, limit)


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
        page = await homes.lister.list(_listing())
        assert page.names == expected
        assert page.next_after is None
        assert not page.stale


async def test_kvsp_alone_is_asked_while_it_knows_everything() -> None:
    homes = Listings()
    await homes.hold("a", homes.value())
    assert await homes.names() == ["a"]
    assert (homes.kvsp.calls, homes.s3.calls) == (1, 0)


async def test_both_homes_down_is_said_with_both_reasons() -> None:
    homes = Listings()
    homes.kvsp.down = homes.s3.down = True
    with pytest.raises(Unavailable, match=r"kvsp: unreachable: it is down; s3: unreachable"):
        await homes.lister.list(_listing())


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


async def test_a_tombstone_on_s3_costs_no_read() -> None:
    homes = Listings()
    homes.kvsp.down = True
    await homes.hold("a", homes.tombstone())
    assert await homes.names() == []
    assert homes.lister.counters.reads == 0


async def test_a_record_in_memory_that_s3_lists_costs_no_read() -> None:
    homes = Listings()
    homes.kvsp.down = True
    record = homes.value(metadata=b"1")
    await homes.hold("a", record)
    now_us = homes.clock.now_us()
    homes.gateway.machine.fill(Key(NAMESPACE, "a"), record, now_us, now_us)
    assert (await homes.lister.list(_listing())).names == (ListedName("a", 0, b"1"),)
    assert homes.lister.counters.reads == 0


async def test_a_cached_tombstone_does_not_hide_what_s3_lists_alive() -> None:
    homes = Listings()
    homes.kvsp.down = True
    now_us = homes.clock.now_us()
    homes.gateway.machine.fill(Key(NAMESPACE, "a"), homes.tombstone(), now_us, now_us)
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
    page = await homes.lister.list(_listing())
    assert page.names == (ListedName("a", 0, b""), ListedName("m", 0, b"2"))


async def test_a_recent_write_that_no_home_can_tell_ends_the_page_before_it() -> None:
    homes = Listings()
    await homes.hold("a", homes.value())
    homes.pin("b", homes.value(ms=10))
    await homes.hold("c", homes.value())
    page = await homes.lister.list(_listing())
    assert [name.name for name in page.names] == ["a"]
    assert page.next_after == "a"
    with pytest.raises(Unavailable, match="misses a version that was written"):
        await homes.lister.list(_listing(after="a"))


async def test_a_recent_write_beyond_the_page_waits_for_its_page() -> None:
    homes = Listings(ListBounds(scan_names_min=1))
    for name in "aceg":
        await homes.hold(name, homes.value())
    for name in "bdh":
        homes.remember(name, homes.value(ms=10))
    page = await homes.lister.list(_listing(limit=2))
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


async def test_a_home_that_is_behind_is_listed_only_when_the_other_fails() -> None:
    homes = Listings()
    homes.gateway.trust.late = (Side.KVSP,)
    await homes.hold("old", homes.value(), Side.KVSP)
    await homes.hold("new", homes.value(), Side.S3)
    page = await homes.lister.list(_listing())
    assert ([name.name for name in page.names], page.stale) == (["new"], False)
    homes.s3.down = True
    page = await homes.lister.list(_listing())
    assert ([name.name for name in page.names], page.stale) == (["old"], True)


async def test_beside_a_home_that_is_filled_one_that_is_behind_does_not_know_everything() -> None:
    homes = Listings()
    homes.namespace_mode = Mode(Stage.SHADOW, Side.KVSP)
    await homes.hold("there", homes.value(), Side.KVSP)
    await homes.hold("no more", homes.value(), Side.S3)
    for late in ((), (Side.S3,), (Side.KVSP,), (Side.KVSP, Side.S3)):
        homes.gateway.trust.late = late
        page = await homes.lister.list(_listing())
        assert [name.name for name in page.names] == ["there"]
        assert page.stale == (Side.KVSP in late)


async def test_two_homes_that_are_behind_are_merged_and_know_everything_together() -> None:
    homes = Listings()
    homes.gateway.trust.late = (Side.KVSP, Side.S3)
    await homes.hold("kvsp alone", homes.value(), Side.KVSP)
    await homes.hold("s3 alone", homes.value(), Side.S3)
    await homes.hold("deleted", homes.value(ms=1), Side.KVSP)
    await homes.hold("deleted", homes.tombstone(ms=2), Side.S3)
    page = await homes.lister.list(_listing())
    assert ([name.name for name in page.names], page.stale) == (["kvsp alone", "s3 alone"], False)
    homes.s3.down = True
    page = await homes.lister.list(_listing())
    assert page.stale


async def test_a_home_that_is_behind_and_was_asked_first_casts_no_doubt() -> None:
    homes = Listings()
    homes.gateway.trust.late = (Side.S3,)
    homes.kvsp.down = True
    await homes.names()
    homes.kvsp.down = False
    await homes.hold("a", homes.value(ms=1), Side.S3)
    await homes.hold("a", homes.value(ms=2), Side.KVSP)
    page = await homes.lister.list(_listing())
    assert ([name.name for name in page.names], page.stale) == (["a"], False)
    assert homes.lister.counters.reads == 0


async def test_an_incomplete_listing_is_merged_with_the_other_home() -> None:
    homes = Listings()
    for name in "abc":
        await homes.hold(name, homes.value())
    homes.kvsp.unlisted = frozenset("b")
    page = await homes.lister.list(_listing())
    assert ([name.name for name in page.names], page.stale) == (["a", "b", "c"], False)
    homes.s3.down = True
    page = await homes.lister.list(_listing())
    assert ([name.name for name in page.names], page.stale) == (["a", "c"], True)


@pytest.mark.parametrize(("mode", "only"), [(ReadMode.KVSP, Side.KVSP), (ReadMode.S3, Side.S3)])
async def test_a_namespace_that_is_read_from_one_home_is_listed_from_it(
    mode: ReadMode, only: Side
) -> None:
    homes = Listings()
    homes.mode = mode
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
    homes.mode = mode
    await homes.hold("a", homes.value(), only.other)
    homes.by_side[only].down = True
    page = await homes.lister.list(_listing())
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
    homes.mode, homes.namespace_mode = read_mode, mode
    await homes.hold("a", homes.value(), Side.S3)
    await homes.hold("b", homes.value(), Side.KVSP)
    assert await homes.names() == ["a"]
    homes.s3.down = True
    if not stands_in:
        with pytest.raises(Unavailable, match="s3"):
            await homes.names()
        assert homes.kvsp.scan_deadlines_s == []
        return
    page = await homes.lister.list(_listing())
    assert not page.stale
    assert [name.name for name in page.names] == ["b"]


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
    page = await homes.lister.list(_listing())
    assert ([name.name for name in page.names], page.stale) == (["b"], False)
    homes.kvsp.down = True
    assert (await homes.lister.list(_listing())).stale


async def test_dead_names_are_passed_until_the_bound_and_the_cursor_goes_on() -> None:
    homes = Listings(ListBounds(passed_max=2000))
    for number in range(2500):
        await homes.hold(f"dead{number:04}", homes.tombstone())
    await homes.hold("live", homes.value())
    page = await homes.lister.list(_listing(limit=10))
    assert page.names == ()
    assert page.next_after is not None
    assert "dead1999" <= page.next_after < "dead2499"
    assert await homes.names(after=page.next_after, limit=10) == ["live"]


async def test_a_full_page_is_continued_after_its_last_name() -> None:
    homes = Listings()
    for name in ("a", "z"):
        await homes.hold(name, homes.value())
    await homes.hold("m", homes.tombstone())
    page = await homes.lister.list(_listing(limit=1))
    assert ([name.name for name in page.names], page.next_after) == (["a"], "a")
    await homes.hold("b", homes.value())
    assert await homes.names(after="a", limit=1) == ["b"]


async def test_a_full_page_after_which_only_dead_names_follow_is_the_last_one() -> None:
    homes = Listings()
    await homes.hold("a", homes.value())
    await homes.hold("b", homes.tombstone())
    page = await homes.lister.list(_listing(limit=1))
    assert ([name.name for name in page.names], page.next_after) == (["a"], None)


async def test_reads_for_a_listing_are_bounded_in_number_and_bytes() -> None:
    homes = Listings(ListBounds(reads_max=4, read_bytes_max=400))
    homes.kvsp.down = True
    for number in range(50):
        await homes.hold(f"{number:02}", homes.value())
    page = await homes.lister.list(_listing())
    assert len(page.names) == 50


NAMES = st.text("ab\0é/", min_size=1, max_size=4)


@dataclass(frozen=True)
class Held:
    """What became of one name, at most two writes."""

    live: bool
    expired: bool
    overwrites: bool
    """Whether there is an older record, live if the newest is dead and the other way round."""
    recent: str
    """"": both homes settled; "payload" or "version": what this machine still knows of it."""
    lacking: bool
    """Whether the home that may lag has only the older record, or none."""


@dataclass
class World:
    """A drawn situation."""

    names: dict[str, Held]
    lagging: Side
    mode: str
    failing: list[bool]
    limit: int
    prefix: str
    scan_names_min: int
    unlisted: frozenset[str] = field(default_factory=frozenset)


HELD = st.builds(
    Held,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "", "payload", "version"]),
    st.booleans(),
)
WORLDS = st.builds(
    World,
    st.dictionaries(NAMES, HELD, max_size=14),
    st.sampled_from(Side),
    st.sampled_from(["equal", "behind", "incomplete"]),
    st.lists(st.booleans(), min_size=1, max_size=9),
    st.integers(1, 9),
    st.one_of(st.just(""), NAMES),
    st.integers(1, 5),
    st.frozensets(NAMES),
)


async def _place(homes: Listings, world: World, name: str, held: Held) -> ListedName | None:
    """Puts a name into homes and memory; returns how a listing must show it, if at all."""
    past_s = homes.clock.now_us() // 1_000_000 - 1
    metadata = b'"%s"' % name.encode().hex().encode()
    newest = homes.value(ms=100, metadata=metadata) if held.live else homes.tombstone(ms=100)
    if held.expired and not held.live:
        newest = homes.value(ms=100, expires_at_s=past_s)
    older = homes.tombstone(ms=1) if held.live else homes.value(ms=1)
    may_lack = held.lacking and (held.recent != "" or world.mode == "behind")
    for side in Side:
        if held.overwrites:
            await homes.hold(name, older, side)
        if not (may_lack and side is world.lagging):
            await homes.hold(name, newest, side)
    if held.recent == "payload":
        homes.remember(name, newest)
    elif held.recent == "version":
        homes.pin(name, newest)
    return ListedName(name, 0, metadata) if held.live else None


@given(WORLDS)
@settings(max_examples=400)
def test_every_live_name_appears_exactly_once_whatever_one_home_does(world: World) -> None:
    async def scenario() -> None:
        homes = Listings(ListBounds(scan_names_min=world.scan_names_min, reads_max=3))
        expected = []
        for name, held in sorted(world.names.items()):
            shown = await _place(homes, world, name, held)
            if shown is not None and name.startswith(world.prefix):
                expected.append(shown)
        lagging: FaultyHome = homes.by_side[world.lagging]
        lagging.failing = cycle(world.failing)
        if world.mode == "behind":
            homes.gateway.trust.late = (world.lagging,)
        elif world.mode == "incomplete" and world.lagging is Side.KVSP:
            lagging.unlisted = world.unlisted
        found, stale = await homes.all_pages(prefix=world.prefix, limit=world.limit)
        assert found == expected
        assert not stale

    asyncio.run(scenario())


@given(WORLDS, st.integers(0, 12))
@settings(max_examples=200)
def test_a_change_of_homes_repeats_and_loses_nothing(world: World, change_at: int) -> None:
    """One home is up for a while, then only the other one, in the middle of a page or not."""

    async def scenario() -> None:
        homes = Listings(ListBounds(scan_names_min=world.scan_names_min, reads_max=3))
        expected = []
        for name, held in sorted(world.names.items()):
            settled = Held(held.live, held.expired, held.overwrites, "", lacking=False)
            shown = await _place(homes, world, name, settled)
            if shown is not None and name.startswith(world.prefix):
                expected.append(shown)
        first, second = homes.by_side[world.lagging], homes.by_side[world.lagging.other]
        found: list[ListedName] = []
        asked = Listing(NAMESPACE, world.prefix, "", world.limit)
        second.down = True
        first.failing = (call >= change_at for call in range(10**6))
        for _ in range(200):
            try:
                page = await homes.lister.list(asked)
            except Unavailable:
                second.down = False
                continue
            found.extend(page.names)
            if page.next_after is None:
                break
            asked = Listing(NAMESPACE, world.prefix, page.next_after, world.limit)
        assert found == expected

    asyncio.run(scenario())
