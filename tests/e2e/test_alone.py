"""A namespace leaves S3, S3 dies, what is dead goes from KVSP, and S3 comes back with old data."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from tandem.backends.port import Heal
from tandem.client.crawler import CrawlerClient
from tandem.core.crawl_status import Crawled
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import Key
from tandem.core.mode import Mode, Stage
from tandem.core.record import Kind, Record
from tandem.core.reply import Missing, Side, Stored
from tandem.core.version import Version
from tests.e2e.buckets import new_bucket
from tests.e2e.comparison import both
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.waiting import WITHIN_S, until_true
from tests.servers.rgw import Rgw

_OLD = [f"old/{number:02}" for number in range(20)]
_LIVE = {f"live/{number:02}": b"value %d" % number for number in range(20)}
_DAY_US = 86_400_000_000


@pytest.fixture
async def tandem(rgw: Rgw, tmp_path: Path) -> AsyncIterator[Deployment]:
    """Everything on a bucket of Ceph RGW, a crawler, and a namespace "n" in both homes."""
    quick = {"TANDEM_BREATHE_RATIO": "0"}
    async with deployed(tmp_path / "tandem", new_bucket(rgw), 1, **quick) as deployment:
        await deployment.start()
        deployment.crawler.start()
        async with deployment.client() as client:
            await client.namespaces.create("n")
        yield deployment


async def test_what_was_deleted_without_s3_does_not_come_back_with_it(
    tandem: Deployment, rgw: Rgw
) -> None:
    async with tandem.client("n") as client:
        namespace = await client.namespaces.id_of("n")
        await client.put_many(_LIVE)
        await _hold(tandem, namespace, 3, *Side)
        await until_true(lambda: _is_crawled(tandem, namespace), "both homes are crawled", 60.0)
        await _to_kvsp_alone(tandem)

        await _told(tandem, "crawl", "pause")
        await _hold(tandem, namespace, 2, Side.KVSP)
        rgw.kill()
        try:
            await _told(tandem, "crawl", "resume")
            await client.put("live/00", b"overwritten without s3")
            await client.delete("live/01")
            await until_true(lambda: _collected(tandem, namespace), "the dead leave KVSP", 90.0)
        finally:
            rgw.restart()

        held = await both(tandem, namespace)
        assert not held[Side.KVSP].keys() & set(_OLD)
        assert all(held[Side.S3][name].kind is Kind.VALUE for name in _OLD), "S3 has old data"
        await _back_to_both(tandem)
        await tandem.trusted()
        left = {side: _values(held) for side, held in (await both(tandem, namespace)).items()}
        assert left[Side.KVSP] == left[Side.S3]
        expected = {**_LIVE, "live/00": b"overwritten without s3"}
        del expected["live/01"]
        assert {name: record.value for name, record in left[Side.S3].items()} == expected
        assert [key.name async for key in client.list("old/")] == []
        assert set((await client.get_many(_OLD)).values()) == {None}
        assert await client.get("live/01") is None
        assert await client.get("live/02") == _LIVE["live/02"]


async def _hold(deployment: Deployment, namespace: str, days: int, *sides: Side) -> None:
    """Records as they were written so many days ago: values first, then tombstones of them."""
    async with deployment.homes() as homes:
        for name in _OLD:
            for side in sides:
                home, key = homes.backends[side], Key(namespace, name)
                found = await home.get(key, 20.0)
                record = _record(found.home_time_us, days, is_value=isinstance(found, Missing))
                stored = await home.put_if_newer(key, record, 20.0, Heal(found.home_time_us))
                assert isinstance(stored, Stored), stored


def _record(now_us: int, days: int, *, is_value: bool) -> Record:
    version = Version.at(now_us // _DAY_US * _DAY_US - days * _DAY_US, bytes(8))
    return seal(version, b"old") if is_value else seal_tombstone(version)


def _values(held: Mapping[str, Record]) -> Mapping[str, Record]:
    """Without tombstones: those of S3 stay for ever where nothing can be removed there."""
    return {name: record for name, record in held.items() if record.kind is Kind.VALUE}


async def _to_kvsp_alone(deployment: Deployment) -> None:
    await _step(deployment, "shadow", "--home", "kvsp")
    async with deployment.client() as client:

        async def may_leave() -> bool:
            report = await client.namespaces.mode("n", Mode(Stage.SINGLE, Side.KVSP))
            return not report.objections

        await until_true(may_leave, "a crawl finds both homes equal")
    await _step(deployment, "single")


async def _back_to_both(deployment: Deployment) -> None:
    await _step(deployment, "shadow")
    assert (await _told(deployment, "backfill", "n"))["ready"]
    await _step(deployment, "active", "--percent", "10")
    await _step(deployment, "active")


async def _step(deployment: Deployment, *arguments: str) -> None:
    taken = await _told(deployment, "namespace", "mode", "n", *arguments, "--yes")
    assert taken["stepped"], taken


async def _told(deployment: Deployment, *arguments: str) -> dict[str, object]:
    async with asyncio.timeout(WITHIN_S):
        status, told = await deployment.kvctl(*arguments, "--json")
    assert status == 0, f"{arguments}: {told}"
    document = json.loads(next(line for line in told.splitlines() if line.startswith("{")))
    assert isinstance(document, dict)
    return document


async def _latest(deployment: Deployment, namespace: str) -> Crawled | None:
    """The last crawl of the namespace."""
    async with CrawlerClient(deployment.crawler_address) as crawler:
        latest = {one.namespace: one for one in (await crawler.status()).latest}
    return latest.get(namespace)


async def _is_crawled(deployment: Deployment, namespace: str) -> bool:
    return await _latest(deployment, namespace) is not None


async def _collected(deployment: Deployment, namespace: str) -> bool:
    """Whether the last crawl saw nothing but what lives, and the tombstone that is young."""
    crawled = await _latest(deployment, namespace)
    return (
        crawled is not None
        and crawled.alone is Side.KVSP
        and crawled.tally.records == len(_LIVE)
        and crawled.tally.tombstones == 1
    )
