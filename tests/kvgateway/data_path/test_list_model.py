"""Listings of drawn situations: the model is a sorted dictionary of what is alive."""

import asyncio
from dataclasses import dataclass, field
from itertools import cycle

from hypothesis import given, settings
from hypothesis import strategies as st

from kvgateway.data_path.list_draft import ListBounds
from tandem.core.reply import Side
from tandem.core.request import ListedName, Listing
from tandem.errors import Unavailable
from tests.kvgateway.data_path.listings import Listings
from tests.kvgateway.one_gateway import NAMESPACE, FaultyHome

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
            homes.view.late = (world.lagging,)
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
