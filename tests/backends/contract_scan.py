"""What every home must do when it is listed; see `tests.backends.contract`."""

import asyncio
from collections.abc import Iterable

import pytest

from tandem.backends.port import Backend, ScanPage
from tandem.core.envelope import TOMBSTONE_BYTES, seal, seal_tombstone
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.scan_diff import Entry
from tests.backends.home_under_test import (
    DEADLINE_S,
    NAMESPACE,
    HomeUnderTest,
    names_of_every_kind,
)

NEIGHBOURS = ("ab" * 15 + "aa", "ab" * 15 + "ac")


async def page(
    home: Backend, after: str = "", prefix: str = "", limit: int = 1000, namespace: str = NAMESPACE
) -> ScanPage:
    found = await home.scan(
        namespace, after=after, prefix=prefix, limit=limit, deadline_s=DEADLINE_S
    )
    assert isinstance(found, ScanPage), found
    assert found.complete
    assert len(found.entries) <= limit
    return found


async def listed(
    home: Backend, after: str = "", prefix: str = "", limit: int = 1000
) -> list[Entry]:
    """All entries above `after`, page by page to the end."""
    entries: list[Entry] = []
    while True:
        found = await page(home, after, prefix, limit)
        entries += found.entries
        if found.next_after is None:
            return entries
        assert found.next_after > after, "the listing does not move on"
        after = found.next_after


async def fill(under: HomeUnderTest, names: Iterable[str]) -> dict[str, Record]:
    """Writes one value under each name, and one into each neighbouring namespace."""
    version = under.version()
    records = {name: seal(version, name.encode()) for name in names}
    await write(under.home, records)
    for namespace in NEIGHBOURS:
        await under.home.put_if_newer(Key(namespace, "neighbour"), under.value(), DEADLINE_S)
    return records


async def write(home: Backend, records: dict[str, Record]) -> None:
    room = asyncio.Semaphore(20)

    async def one(name: str, record: Record) -> None:
        async with room:
            await home.put_if_newer(Key(NAMESPACE, name), record, DEADLINE_S)

    await asyncio.gather(*(one(name, record) for name, record in records.items()))


class ScanContract:
    """Listings: complete, in byte order, and of one namespace only."""

    async def test_an_empty_namespace_lists_nothing(self, under: HomeUnderTest) -> None:
        found = await page(under.home)
        assert found.entries == ()
        assert found.next_after is None

    @pytest.mark.parametrize("limit", [7, 1000])
    async def test_every_kind_of_name_is_listed_in_byte_order(
        self, under: HomeUnderTest, limit: int
    ) -> None:
        names = names_of_every_kind()
        records = await fill(under, names)
        entries = await listed(under.home, limit=limit)
        assert [entry.name for entry in entries] == sorted(names, key=str.encode)
        for entry in entries:
            assert entry.digest == records[entry.name].digest
            assert entry.size == len(records[entry.name].envelope)

    async def test_after_and_prefix_select_exactly(self, under: HomeUnderTest) -> None:
        names = names_of_every_kind()
        await fill(under, names)
        absent = ["", "a\0\0\0", "ab", "a/.", "~", "\U0010fffe", "zz"]
        for after in (*absent, "a", "a/", "x" * 511, "\U0010ffff"):
            found = [entry.name for entry in await listed(under.home, after=after)]
            assert found == [name for name in names if name > after], repr(after)
        for prefix in ("a", "a/", "aa", "x", "x" * 509, "x" * 512, "/", "\0", "é", "😀", "日", "q"):
            found = [entry.name for entry in await listed(under.home, prefix=prefix)]
            assert found == [name for name in names if name.startswith(prefix)], repr(prefix)

    @pytest.mark.parametrize("limit", [1, 3])
    @pytest.mark.parametrize("after", ["", "a", "a/", "a0", "b", "\0", "\U0010ffff"])
    async def test_prefix_after_and_limit_together(
        self, under: HomeUnderTest, after: str, limit: int
    ) -> None:
        names = [name for name in names_of_every_kind() if name[0] in "aAb0"]
        await fill(under, names)
        for prefix in ("a", "a\0", "a/", "A"):
            found = [entry.name for entry in await listed(under.home, after, prefix, limit)]
            expected = [name for name in names if name > after and name.startswith(prefix)]
            assert found == expected, (after, prefix)

    @pytest.mark.parametrize("count", [1, 10, 11])
    async def test_a_listing_ends_where_the_names_end(
        self, under: HomeUnderTest, count: int
    ) -> None:
        names = [f"name {n:02}" for n in range(count)]
        await fill(under, names)
        assert [entry.name for entry in await listed(under.home, limit=10)] == names
        assert (await page(under.home, limit=count + 1)).next_after is None

    async def test_the_dead_are_listed_too(self, under: HomeUnderTest) -> None:
        old, new = under.versions(2)
        records = {
            "alive": seal(old, b""),
            "deleted": seal_tombstone(new),
            "expired": seal(old, b"v", expires_at_s=1),
        }
        await write(under.home, {"deleted": seal(old, b"once")})
        await write(under.home, records)
        entries = await listed(under.home)
        assert [entry.name for entry in entries] == list(records)
        for entry in entries:
            record = records[entry.name]
            assert entry.digest == record.digest
            assert (entry.size == TOMBSTONE_BYTES) == (entry.name == "deleted")
            if under.lists_versions:
                assert (entry.version, entry.kind) == (record.version, record.kind)

    async def test_a_write_is_listed_at_once(self, under: HomeUnderTest) -> None:
        for n, version in enumerate(under.versions(5)):
            record = seal(version, b"v" * n)
            await write(under.home, {"name": record})
            (entry,) = await listed(under.home)
            assert entry.digest == record.digest
