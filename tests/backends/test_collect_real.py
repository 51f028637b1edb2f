"""Deleting for good over real homes: KVSP behind gRPC, and a file, RGW or ministack as objects."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tandem.backends.clusters import Clusters, look_at_clusters, mirror_floors, renew_behind
from tandem.backends.collect import Allowance, Collected, CollectedHomes, Stopped, collect, sweep
from tandem.backends.file import FileHome
from tandem.backends.heal import LeftToSweep, heal
from tandem.backends.namespace_end import NamespaceEnd, end_namespace
from tandem.backends.port import Backend, CollectableObjects, Heal, ScanPage
from tandem.core import collect as collect_rule
from tandem.core.collect import Collection, CollectRule, CrawlSeen, DeadRecord, collection
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import NAMESPACE_RECORD, SYSTEM_NAMESPACE, Key
from tandem.core.record import Kind, Record
from tandem.core.removal import Renewed, Span
from tandem.core.reply import Failed, Found, Missing, Side, Stored, WriteReply
from tandem.core.version import NO_VERSION, Version
from tandem.runtime.clock import SystemClock
from tandem.runtime.randomness import SystemEntropy
from tests.backends.s3.opened import opened, options, use_keys_of
from tests.kvsp.serving import Kvsp, connected, running_kvsp

NAMESPACE = "ab" * 16
ELSEWHERE = "cd" * 16
DEADLINE_S = 20.0
CLOCK = SystemClock()
DAYS_US = 86_400_000_000
NAMES = [f"key {number}" for number in range(12)]
ABOVE_ALL = Version(b"\xff" * 16)
PLENTY = Allowance(1_000_000)


@dataclass
class Homes:
    kvsp: Kvsp
    homes: CollectedHomes
    objects: CollectableObjects

    async def write(self, name: str, record: Record, *, sql: bool = True, s3: bool = True) -> None:
        await self.write_key(Key(NAMESPACE, name), record, sql=sql, s3=s3)

    async def write_key(
        self, key: Key, record: Record, *, sql: bool = True, s3: bool = True
    ) -> None:
        for home in [self.homes.rows] * sql + [self.objects] * s3:
            reply = await home.get(key, DEADLINE_S)
            written = await home.put_if_newer(key, record, DEADLINE_S, Heal(reply.home_time_us))
            assert isinstance(written, Stored), written

    async def names(self, namespace: str) -> list[list[str]]:
        """What each home lists of a namespace."""
        listed = []
        for home in (self.homes.rows, self.objects):
            page = await home.scan(
                namespace, after="", prefix="", limit=1000, deadline_s=DEADLINE_S
            )
            assert isinstance(page, ScanPage), page
            listed.append([entry.name for entry in page.entries])
        return listed

    async def held(self, name: str) -> list[Record | None]:
        replies = [
            await home.get(Key(NAMESPACE, name), DEADLINE_S)
            for home in (self.homes.rows, self.objects)
        ]
        assert all(isinstance(reply, Found | Missing) for reply in replies), replies
        return [reply.record if isinstance(reply, Found) else None for reply in replies]

    async def restarted(self) -> None:
        """KVSP serves again and both streams have found it: each connects anew by itself."""
        await self.kvsp.start()
        async with asyncio.timeout(60):
            for size in (1, 200_000):
                while isinstance(await self._tried(size), Failed):
                    await asyncio.sleep(0.05)

    async def _tried(self, size: int) -> WriteReply:
        record = seal(Version.at(CLOCK.now_us()), b"x" * size)
        return await self.homes.rows.put_if_newer(Key(ELSEWHERE, "any"), record, 5.0)

    async def clusters(self, *, alone: bool = False) -> Clusters:
        objects = None if alone else self.objects
        found = await look_at_clusters(self.homes.rows, objects, DEADLINE_S)
        assert isinstance(found, Clusters), found
        return found

    async def plan(self, gone: dict[str, Record], *, alone: bool = False) -> Collection:
        """What a crawl that found everything equal allows, or one of KVSP alone."""
        named, now_us = (await self.clusters(alone=alone)).incarnations, CLOCK.now_us()
        through = NO_VERSION if alone else ABOVE_ALL
        seen = CrawlSeen(
            Span(NAMESPACE), now_us, now_us, True, through, dirty=False, healthy=True,
            incarnations_begun=named, incarnations_ended=named,
        )  # fmt: skip
        dead = [DeadRecord(n, r.version, r.digest, r.expires_at_s) for n, r in gone.items()]
        kept = collect_rule.Homes.KVSP if alone else collect_rule.Homes.BOTH
        plan = collection(seen, dead, CollectRule(), kept)
        assert isinstance(plan, Collection)
        return plan


@pytest.fixture(params=["file", "rgw", "ministack"])
async def homes(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Homes]:
    async with AsyncExitStack() as stack:
        if request.param == "file":
            objects: CollectableObjects = await FileHome.open(tmp_path / "objects.sqlite", CLOCK)
            stack.push_async_callback(objects.aclose)
        else:
            server = request.getfixturevalue(request.param)
            use_keys_of(server, monkeypatch)
            objects = await stack.enter_async_context(opened(options(server.endpoint, tmp_path)))
        kvsp = await stack.enter_async_context(running_kvsp(tmp_path / "kvsp"))
        rows = await stack.enter_async_context(connected(kvsp))
        yield Homes(kvsp, CollectedHomes(rows, objects, SystemEntropy(), DEADLINE_S), objects)


def days_ago(days: int, number: int = 0) -> Version:
    return Version.at(CLOCK.now_us() - days * DAYS_US + number)


async def deleted(homes: Homes) -> dict[str, Record]:
    """Keys that were deleted two days ago, one that expired, one that lives."""
    gone = {name: seal_tombstone(days_ago(2, n)) for n, name in enumerate(NAMES)}
    expired_s = (CLOCK.now_us() - 2 * DAYS_US) // 1_000_000
    gone["expired"] = seal(days_ago(3), b"x" * 200_000, expires_at_s=expired_s)
    for name, record in {**gone, "live": seal(days_ago(4), b"live")}.items():
        await homes.write(name, record)
    return gone


async def assert_gone(homes: Homes, gone: dict[str, Record]) -> None:
    for name in gone:
        sql, s3 = await homes.held(name)
        assert sql is None
        assert (s3 is None) if homes.objects.removes else (s3 and s3.kind is Kind.TOMBSTONE)
    assert all(await homes.held("live"))


async def test_what_is_dead_goes_and_stays_away(homes: Homes) -> None:
    gone = await deleted(homes)
    plan = await homes.plan(gone)
    done = await collect(homes.homes, plan, PLENTY)
    assert isinstance(done, Collected)
    assert (done.rows, done.left) == (len(gone), 0)
    await assert_gone(homes, gone)

    zombie = seal(days_ago(3, 7), b"from an old copy of the bucket")
    await homes.write("came back", zombie, sql=False)
    names = ["came back", "live", *gone]
    swept = await sweep(homes.homes, NAMESPACE, names, plan.incarnations, PLENTY)
    assert isinstance(swept, Collected)
    assert swept.objects + swept.replaced == 1
    await assert_gone(homes, {**gone, "came back": zombie})


async def test_what_went_in_kvsp_alone_stays_away_when_the_objects_count_again(
    homes: Homes,
) -> None:
    """The object home was left when all keys lived, and knows of no deletion."""
    for name in NAMES:
        await homes.write(name, seal(days_ago(4), b"deleted later"))
    await homes.write("live", seal(days_ago(4), b"live"))
    gone = {name: seal_tombstone(days_ago(2, n)) for n, name in enumerate(NAMES)}
    for name, record in gone.items():
        await homes.write(name, record, s3=False)
    alone = replace(homes.homes, objects=None)
    done = await collect(alone, await homes.plan(gone, alone=True), PLENTY)
    assert done == Collected(rows=len(NAMES))
    assert not any(mirror.life for mirror in (await homes.clusters()).mirrors)
    by_side: Mapping[Side, Backend] = {Side.KVSP: homes.homes.rows, Side.S3: homes.objects}
    for name in NAMES:
        sql, s3 = await homes.held(name)
        assert sql is None
        assert s3 is not None
        assert await heal(by_side, Key(NAMESPACE, name), DEADLINE_S) == LeftToSweep(s3.version)

    named = (await homes.clusters()).incarnations
    swept = await sweep(homes.homes, NAMESPACE, [*NAMES, "live"], named, PLENTY)
    assert isinstance(swept, Collected)
    assert swept.objects + swept.replaced == len(NAMES)
    await assert_gone(homes, {**gone})
    await assert_mirrored(homes)


async def assert_mirrored(homes: Homes) -> None:
    """The mirrors take over the floors of which they have not heard, once."""
    for _ in range(2):
        failed = await mirror_floors(
            homes.objects, await homes.clusters(), NAMESPACE, b"", b"", SystemEntropy(), DEADLINE_S
        )
        assert failed is None
    found = await homes.clusters()
    for life, mirror in zip(found.lives, found.mirrors, strict=True):
        assert mirror.life is not None
        assert mirror.life.floors_of(NAMESPACE).reaches(life.floors_of(NAMESPACE))


async def test_a_deleted_namespace_goes_as_a_whole_and_nothing_else_does(homes: Homes) -> None:
    registered = f"{NAMESPACE_RECORD}{NAMESPACE}"
    for name in NAMES:
        await homes.write(name, seal(days_ago(3), b"x" * 100_000))
    await homes.write_key(Key(ELSEWHERE, "kept"), seal(days_ago(3), b"kept"))
    await homes.write_key(Key(SYSTEM_NAMESPACE, registered), seal_tombstone(days_ago(2)))
    patient = CollectRule(tombstone_grace_s=3 * 86_400)
    assert await ended(homes, patient) is None
    assert await homes.names(NAMESPACE) == [sorted(NAMES)] * 2

    assert await ended(homes, CollectRule()) == NamespaceEnd(len(NAMES), len(NAMES), more=False)
    assert await homes.names(NAMESPACE) == [[], []]
    assert await homes.names(SYSTEM_NAMESPACE) == [[registered]] * 2
    assert await homes.names(ELSEWHERE) == [["kept"]] * 2


async def ended(homes: Homes, rule: CollectRule) -> NamespaceEnd | Failed | None:
    return await end_namespace(homes.homes.rows, homes.objects, NAMESPACE, rule, DEADLINE_S)


async def test_collectors_at_once_do_it_once(homes: Homes) -> None:
    gone = await deleted(homes)
    plan = await homes.plan(gone)
    outcomes = await asyncio.gather(*(collect(homes.homes, plan, PLENTY) for _ in range(3)))
    assert any(isinstance(outcome, Collected) for outcome in outcomes)
    await collect(homes.homes, plan, PLENTY)
    await assert_gone(homes, gone)


async def test_an_old_copy_of_the_sql_files_does_not_bring_a_key_back(
    homes: Homes, tmp_path: Path
) -> None:
    for name in NAMES:
        await homes.write(name, seal(days_ago(3), b"deleted later"))
    files, copy = tmp_path / "kvsp", tmp_path / "copy"
    await homes.kvsp.stop()
    shutil.copytree(files, copy)
    await homes.restarted()
    gone = await deleted(homes)
    plan = await homes.plan(gone)
    assert isinstance(await collect(homes.homes, plan, PLENTY), Collected)

    await homes.kvsp.stop()
    shutil.rmtree(files)
    shutil.copytree(copy, files)
    await homes.restarted()
    clusters = await homes.clusters()
    assert len(clusters.behind) == len(clusters.lives)
    assert isinstance(await collect(homes.homes, plan, PLENTY), Stopped)
    renewed = await renew_behind(
        homes.homes.rows, homes.objects, clusters, SystemEntropy(), DEADLINE_S
    )
    outcomes = [outcome for outcome in renewed.values() if isinstance(outcome, Renewed)]
    assert sum(outcome.rows_removed for outcome in outcomes) == len(NAMES)
    assert not (await homes.clusters()).behind
    for name in NAMES:
        reply = await homes.homes.rows.get(Key(NAMESPACE, name), DEADLINE_S)
        assert isinstance(reply, Missing)
        assert reply.floor == NO_VERSION
