"""The data path: known namespaces go straight on, unknown ones are looked for first."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from kvgateway.data_path import lookups
from kvgateway.data_path.lookups import LOOKUPS_PER_S_MAX
from tandem.backends.port import Ahead
from tandem.core.key import SYSTEM_NAMESPACE, Key
from tandem.core.limits import LARGE_BODY_BYTES
from tandem.core.reply import Side
from tandem.core.request import Delete, Listing, Put, Read, ReadResult, Written
from tandem.core.version import NO_VERSION
from tandem.errors import NamespaceNotFound, Overloaded, Unavailable, Unconfirmed
from tests.kvgateway.one_gateway import FaultyHome, TwoHomes
from tests.kvgateway.served import Served, heard

UNKNOWN = "cd" * 16


class TakesBodies(FaultyHome):
    """A home that takes bodies ahead of their legs."""

    @contextmanager
    def ahead(self) -> Iterator[Ahead | None]:
        yield _Nowhere()


class _Nowhere:
    """A place for a body that nobody sends."""

    def add(self, piece: bytes | memoryview) -> None: ...

    def let_go(self) -> None: ...

    def end(self, digest: bytes) -> None: ...


_Result = TypeVar("_Result", ReadResult, Written)


@pytest.fixture
def homes() -> TwoHomes:
    return TwoHomes()


async def test_a_write_is_read_and_listed(homes: TwoHomes) -> None:
    one = Served(homes)
    namespace = (await one.created("a")).id
    key = Key(namespace, "key")
    [written] = await one.put(key)
    assert isinstance(written, Written)
    [read] = await one.read(key)
    assert isinstance(read, ReadResult)
    assert read.record is not None
    assert read.record.value == b"v"
    assert read.version == written.version
    assert [name.name for name in (await one.door.list(Listing(namespace))).names] == ["key"]
    await heard(one.door.write([Delete(key)]))
    assert (await one.door.list(Listing(namespace))).names == ()


async def test_a_cached_read_is_answered_at_once(homes: TwoHomes) -> None:
    one = Served(homes)
    key = Key((await one.created("a")).id, "key")
    await one.put(key)
    [answer] = one.door.read([Read(key)])
    assert isinstance(answer, ReadResult)
    assert answer.cached


async def test_a_namespace_made_by_another_gateway_is_found_first(homes: TwoHomes) -> None:
    one, two = Served(homes, 1), Served(homes, 2)
    old = (await one.created("old")).id
    await two.registry.refresh()
    new = (await one.created("new")).id
    wanted = [Key(new, "x"), Key(old, "x"), Key(UNKNOWN, "x"), Key(new, "y")]
    written = await two.put(*wanted)
    assert [type(outcome) for outcome in written] == [Written, Written, NamespaceNotFound, Written]
    found = await two.read(*wanted)
    assert [getattr(outcome, "version", NO_VERSION) for outcome in found] == [
        getattr(outcome, "version", NO_VERSION) for outcome in written
    ]
    assert len({outcome.version for outcome in written if isinstance(outcome, Written)}) == 3
    await two.lookups.drained()


async def test_writes_to_one_unknown_namespace_stay_one_group(homes: TwoHomes) -> None:
    one, two = Served(homes, 1), Served(homes, 2)
    new = (await one.created("new")).id
    answers = two.door.write([Put(Key(new, name), b"v") for name in "abc"])
    assert len(two.lookups) == 1
    written = await heard(answers)
    assert all(isinstance(outcome, Written) for outcome in written)
    await two.gateway.writer.drained()
    await two.lookups.drained()
    assert len(two.lookups) == 0


@pytest.mark.parametrize("apart", [False, True])
async def test_a_group_apart_is_not_waited_for(homes: TwoHomes, apart: bool) -> None:
    one = Served(homes)
    namespace = (await one.created("a")).id
    await one.gateway.writer.drained()
    homes.kvsp.puts_held = homes.s3.puts_held = held = asyncio.Event()
    begin = one.door.write_apart if apart else one.door.write
    outcomes = [*begin([Put(Key(namespace, "first"), b"v")])]
    for _ in range(3):
        await asyncio.sleep(0)
    outcomes += one.door.write([Put(Key(namespace, "second"), b"v")])
    for _ in range(3):
        await asyncio.sleep(0)
    assert one.gateway.writer.under_way == (2 if apart else 1)
    held.set()
    assert all(isinstance(outcome, Written) for outcome in await heard(outcomes))


async def test_a_list_of_an_unknown_namespace_looks_for_it(homes: TwoHomes) -> None:
    one, two = Served(homes, 1), Served(homes, 2)
    new = (await one.created("new")).id
    assert (await two.door.list(Listing(new))).names == ()
    with pytest.raises(NamespaceNotFound):
        await two.door.list(Listing(UNKNOWN))


@pytest.mark.parametrize("down", Side)
async def test_an_unconfirmed_namespace_is_unavailable(homes: TwoHomes, down: Side) -> None:
    one = Served(homes)
    homes.by_side[down].down = True
    outcomes = [*await one.read(Key(UNKNOWN, "a")), *await one.put(Key(UNKNOWN, "a"))]
    assert [type(outcome) for outcome in outcomes] == [Unconfirmed, Unconfirmed]
    with pytest.raises(Unavailable):
        await one.door.list(Listing(UNKNOWN))


async def test_a_group_of_unknown_namespaces_alone_leaves_no_write_under_way(
    homes: TwoHomes,
) -> None:
    one = Served(homes)
    [outcome] = await one.put(Key(UNKNOWN, "a"))
    assert isinstance(outcome, NamespaceNotFound)
    async with asyncio.timeout(60):
        await one.gateway.writer.drained()


async def test_the_reserved_namespaces_are_served_to_nobody(homes: TwoHomes) -> None:
    one = Served(homes)
    key = Key(SYSTEM_NAMESPACE, "ns/x")
    outcomes = [*await one.read(key), *await one.put(key)]
    assert [type(outcome) for outcome in outcomes] == [NamespaceNotFound, NamespaceNotFound]
    with pytest.raises(NamespaceNotFound):
        await one.door.list(Listing(SYSTEM_NAMESPACE))


async def test_a_deleted_namespace_is_refused_at_once(homes: TwoHomes) -> None:
    one = Served(homes)
    made = await one.created("a")
    key = Key(made.id, "key")
    await one.put(key)
    await one.namespaces.delete(made.id)
    [read] = one.door.read([Read(key)])
    [written] = one.door.write([Put(key, b"v")])
    assert isinstance(read, NamespaceNotFound)
    assert isinstance(written, NamespaceNotFound)
    await one.gateway.writer.drained()


async def test_lookups_are_bounded(homes: TwoHomes) -> None:
    """Each costs the loop more than the read of a known key, and a message may name a thousand."""
    one = Served(homes)
    known = await one.created("known")
    unknown = [Key(f"{number:032x}", "a") for number in range(1, 1001)]
    outcomes = await one.read(*unknown, Key(known.id, "a"), unknown[0])
    kinds = Counter(type(outcome) for outcome in outcomes)
    assert kinds[NamespaceNotFound] == LOOKUPS_PER_S_MAX + 1
    assert (kinds[Overloaded], kinds[ReadResult]) == (1000 - LOOKUPS_PER_S_MAX, 1)
    homes.clock.advance(1.1)
    assert [type(one) for one in await one.read(unknown[-1])] == [NamespaceNotFound]


async def test_lookups_do_not_pile_up_while_the_homes_are_slow(
    homes: TwoHomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookups, "LOOKUPS_MAX", 2)
    one = Served(homes)
    keys = [Key(digit * 32, "a") for digit in "1213"]
    outcomes = await one.read(*keys)
    kinds = [NamespaceNotFound, NamespaceNotFound, NamespaceNotFound, Overloaded]
    assert [type(outcome) for outcome in outcomes] == kinds
    assert [type(one) for one in await one.read(keys[-1])] == [NamespaceNotFound]


async def test_a_caller_that_goes_away_costs_nobody_else_an_answer(homes: TwoHomes) -> None:
    one, two = Served(homes, 1), Served(homes, 2)
    new = (await one.created("new")).id
    broken: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: broken.append(context))
    gone, stays = two.door.write([Put(Key(new, name), b"v") for name in "ab"])
    assert isinstance(gone, asyncio.Future)
    assert isinstance(stays, asyncio.Future)
    gone.cancel()
    assert isinstance(await stays, Written)
    [read] = await two.read(Key(new, "a"))
    assert isinstance(read, ReadResult)
    assert read.record is not None
    assert not broken


@pytest.mark.parametrize(
    ("size", "given"), [(None, True), (LARGE_BODY_BYTES + 1, True), (LARGE_BODY_BYTES, False)]
)
async def test_only_a_large_body_of_a_known_namespace_has_a_place_ahead(
    homes: TwoHomes, size: int | None, given: bool
) -> None:
    homes.by_side = {Side.KVSP: homes.kvsp, Side.S3: TakesBodies(Side.S3, homes.clock)}
    one = Served(homes)
    namespace = (await one.created("a")).id
    with one.door.admit_body(namespace, size) as ahead:
        assert (ahead is not None) is given
    with one.door.admit_body(UNKNOWN, size) as ahead:
        assert ahead is None
