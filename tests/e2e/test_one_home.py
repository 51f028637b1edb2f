"""One home is down, from the gateway's start on: the whole API goes on with the other one."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tandem import Client
from tandem.core.key import Key
from tandem.core.limits import MIB
from tandem.core.reply import Side
from tandem.errors import InvalidArgument, NamespaceNotFound, TandemError, Unavailable
from tests.e2e.buckets import new_bucket
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.pages import fetch
from tests.e2e.waiting import until_true
from tests.servers.rgw import Rgw

pytestmark = pytest.mark.asyncio(loop_scope="module")

_OLD = {f"old/{number:03}": f"value {number}".encode() for number in range(150)}


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=[None, Side.KVSP, Side.S3],
    ids=["both homes", "without KVSP", "without S3"],
)  # fmt: skip
async def down(
    request: pytest.FixtureRequest, rgw: Rgw, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Deployment, Side | None]]:
    """A gateway that was filled with both homes, and started again while one of them is down."""
    side: Side | None = request.param
    directory = tmp_path_factory.mktemp("one-home") / "tandem"
    async with deployed(directory, new_bucket(rgw)) as tandem:
        await tandem.start()
        async with tandem.client() as client:
            await client.namespaces.create("n")
        async with tandem.client("n") as client:
            written = await client.put_many(_OLD)
            assert not [one for one in written.values() if isinstance(one, TandemError)]
        await tandem.settled()
        assert await tandem.gateway.stop() == 0
        _take_down(side, tandem, rgw)
        try:
            await tandem.restart_gateway()
            yield tandem, side
        finally:
            rgw.restart()


def _take_down(side: Side | None, tandem: Deployment, rgw: Rgw) -> None:
    if side is Side.KVSP:
        tandem.kvsp.kill()
    elif side is Side.S3:
        rgw.kill()


@pytest_asyncio.fixture(loop_scope="module")
async def kv(down: tuple[Deployment, Side | None]) -> AsyncIterator[Client]:
    async with down[0].client("n") as client:
        yield client


async def test_what_was_written_before_is_read(kv: Client) -> None:
    read = await kv.get_many(_OLD)
    assert {key: getattr(entry, "value", entry) for key, entry in read.items()} == _OLD


async def test_put_overwrite_and_delete(kv: Client) -> None:
    first = await kv.put("k", b"first", metadata={"n": 1}, ttl=3600)
    entry = await kv.get_with_metadata("k")
    assert entry is not None
    assert (entry.value, entry.metadata, entry.version) == (b"first", {"n": 1}, first)
    assert entry.expires_at_s is not None
    second = await kv.put("k", b"second")
    assert second > first
    assert await kv.get("k", min_version=second) == b"second"
    assert await kv.delete("k") > second
    assert await kv.get("k") is None
    await kv.delete("k")
    assert await kv.put("k", b"third") > second
    assert await kv.get("k") == b"third"


async def test_another_client_sees_it(kv: Client, down: tuple[Deployment, Side | None]) -> None:
    await kv.put("seen", b"v")
    await kv.put("unseen", b"v")
    await kv.delete("unseen")
    async with down[0].client("n", session_keys_max=0) as other:
        assert await other.get("seen") == b"v"
        assert await other.get("unseen") is None


async def test_a_key_that_never_was_is_not_found(kv: Client) -> None:
    assert await kv.get("never") is None
    assert await kv.get_many(["never", "never either"]) == {"never": None, "never either": None}


async def test_batches(kv: Client) -> None:
    items = {f"batch-{number}": b"%d" % number for number in range(500)}
    written = await kv.put_many(items)
    assert not [one for one in written.values() if isinstance(one, TandemError)]
    read = await kv.get_many(items)
    assert {key: getattr(entry, "value", entry) for key, entry in read.items()} == items
    gone = await kv.delete_many(items)
    assert not [one for one in gone.values() if isinstance(one, TandemError)]
    assert set((await kv.get_many(items)).values()) == {None}


async def test_lists_with_prefix_pages_and_limit(kv: Client) -> None:
    names = [key.name async for key in kv.list("old/", page_size=37)]
    assert names == sorted(_OLD)
    assert [key.name async for key in kv.list("old/", limit=10)] == names[:10]
    await kv.put("listed/b", b"", metadata={"m": 1})
    await kv.put("listed/a", b"")
    await kv.put("listed/c", b"")
    await kv.delete("listed/c")
    listed = [(key.name, key.metadata) async for key in kv.list("listed/")]
    assert listed == [("listed/a", None), ("listed/b", {"m": 1})]
    assert [key.name async for key in kv.list("nothing/")] == []


async def test_a_large_value_in_pieces(kv: Client) -> None:
    pieces = [bytes([65 + number]) * MIB for number in range(6)]
    await kv.put_stream("large", pieces)
    entry = await kv.get_stream("large")
    assert entry is not None
    assert b"".join([piece async for piece in entry]) == b"".join(pieces)
    assert await kv.get("large") == b"".join(pieces)


async def test_bad_input_is_refused_and_nothing_is_written(kv: Client) -> None:
    with pytest.raises(InvalidArgument):
        await kv.put("..", b"v")
    with pytest.raises(InvalidArgument):
        await kv.put("early", b"v", ttl=1)
    assert await kv.get("early") is None


async def test_namespaces_are_listed_and_found(
    kv: Client, down: tuple[Deployment, Side | None]
) -> None:
    [namespace] = await kv.namespaces.list()
    assert namespace.title == "n"
    assert await kv.namespaces.get("n") == namespace
    assert await kv.namespaces.get(namespace.id) == namespace
    unknown = NamespaceNotFound if down[1] is None else Unavailable
    # With both homes the answer comes; with one of them nobody can say, whoever waits.
    async with Client(down[0].grpc, timeout_s=30.0 if down[1] is None else 1.0) as impatient:
        with pytest.raises(unknown):
            await impatient.namespaces.get("nobody's")


async def test_operations_show_which_home_is_down(
    kv: Client, down: tuple[Deployment, Side | None]
) -> None:
    tandem, side = down
    assert (await fetch(tandem.http, "/readyz"))[0] == 200

    async def shown() -> bool:
        homes = {home.side: home for home in (await kv.ops.status()).homes}
        return all((home.last_failure != "") == (home.side is side) for home in homes.values())

    await until_true(shown, "the status names the home")
    namespace_id = await kv.namespaces.id_of("n")
    inspection = await kv.ops.inspect(Key(namespace_id, "old/001"))
    failed = [copy.side for copy in inspection.copies if copy.failure]
    assert failed == ([] if side is None else [side])
    assert inspection.equal == (side is None)


async def test_a_namespace_is_made_with_both_homes_or_with_one_switched_off(
    kv: Client, down: tuple[Deployment, Side | None]
) -> None:
    _, side = down
    if side is not None:
        with pytest.raises(Unavailable, match="switch it off"):
            await kv.namespaces.create("second")
        await kv.ops.switch(side, reads_enabled=False, writes_enabled=False)
    try:
        namespace = await kv.namespaces.create("third")
        assert namespace in await kv.namespaces.list()
        await kv.namespaces.delete("third")
        assert namespace not in await kv.namespaces.list()
    finally:
        if side is not None:
            await kv.ops.switch(side, reads_enabled=True, writes_enabled=True)
