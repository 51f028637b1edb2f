"""Lists and reads where floors have risen: what was deleted for good stays away."""

import pytest

from tandem.core.key import Key
from tandem.core.reply import Side
from tandem.core.request import Read, ReadResult
from tandem.errors import TandemError
from tests.kvgateway.data_path.listings import Listings
from tests.kvgateway.one_gateway import NAMESPACE


async def collected() -> Listings:
    """`live` was written before the floor, `new` after it; `zombie` came back on S3 alone, and of
    `retired` S3 keeps the tombstone."""
    homes = Listings()
    await homes.hold("live", homes.value())
    await homes.hold("retired", homes.tombstone(ms=1), Side.S3)
    await homes.hold("zombie", homes.value(ms=1), Side.S3)
    homes.kvsp.memory.set_floor(NAMESPACE, homes.version(ms=2))
    await homes.hold("new", homes.value(ms=3))
    return homes


async def read(homes: Listings, name: str, cache_ttl_s: int | None = 0) -> ReadResult:
    [answer] = homes.gateway.reader.read([Read(Key(NAMESPACE, name), cache_ttl_s=cache_ttl_s)])
    assert not isinstance(answer, TandemError), answer
    return answer if isinstance(answer, ReadResult) else await answer


async def test_a_list_of_kvsp_has_no_zombies() -> None:
    homes = await collected()
    assert await homes.names() == ["live", "new"]


@pytest.mark.parametrize("unlisted", [set(), {"live"}, {"new"}, {"live", "new"}])
async def test_a_list_merged_from_both_homes_has_no_zombies(unlisted: set[str]) -> None:
    homes = await collected()
    homes.kvsp.unlisted = frozenset(unlisted)
    assert await homes.names() == ["live", "new"]


async def test_a_retired_tombstone_is_not_listed_by_s3_alone() -> None:
    homes = await collected()
    homes.kvsp.down = True
    assert "retired" not in await homes.names()


async def test_after_a_renewal_s3_is_listed_and_no_floor_hides_anything() -> None:
    homes = await collected()
    homes.kvsp.memory.wipe()
    homes.view.late = (Side.KVSP,)
    assert await homes.names() == ["live", "new", "zombie"]


@pytest.mark.parametrize("pinned", [False, True])
@pytest.mark.parametrize("name", ["zombie", "retired", "never there"])
async def test_a_read_finds_nothing_of_what_went_for_good(name: str, pinned: bool) -> None:
    """Not even where this machine knows that it was written once."""
    homes = await collected()
    if pinned:
        homes.pin(name, homes.value(ms=1))
    result = await read(homes, name)
    assert result.record is None
    assert not result.stale


@pytest.mark.parametrize("name", ["zombie", "retired"])
async def test_no_cache_keeps_what_went_for_good(name: str) -> None:
    """Both homes were compared, and the one that shows it is to be mended."""
    homes = await collected()
    for _ in range(2):
        assert (await read(homes, name, cache_ttl_s=None)).record is None
    assert homes.gateway.reader.counters.drift == (name == "zombie")


async def test_a_list_drops_a_write_of_this_machine_that_went_for_good() -> None:
    homes = await collected()
    homes.pin("zombie", homes.value(ms=1))
    homes.pin("never there", homes.value(ms=1))
    assert await homes.names() == ["live", "new"]


async def test_a_write_above_the_floor_is_read_as_ever() -> None:
    homes = await collected()
    for name in ("zombie", "retired"):
        await homes.hold(name, homes.value(ms=4))
        assert (await read(homes, name)).record == homes.value(ms=4)
    assert await homes.names() == ["live", "new", "retired", "zombie"]
