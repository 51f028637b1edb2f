"""A provider is brought in and another one taken out, step by step, and back, under load."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tandem.backends.port import Backend, ScanPage
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import Key
from tandem.core.mode import Mode, Stage
from tandem.core.reply import Found, Side
from tandem.core.version import Version
from tests.e2e.buckets import new_bucket
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.history import Event, History, Kind, Mix, Outcome, more, under_load, violations
from tests.e2e.waiting import until_true
from tests.servers.rgw import Rgw

pytestmark = pytest.mark.timeout(900)  # all keys go through a small S3 server, twice

_BATCH = 1_000
_ONE_DELETED_OF = 20
_LOAD = Mix(keys=1_000, clients=1, tasks=2, pause_s=0.02, large=0.0)


@pytest.fixture
async def on_s3_alone(rgw: Rgw, tmp_path: Path) -> AsyncIterator[Deployment]:
    """Everything on a bucket of Ceph RGW, and a namespace "n" that KVSP has nothing of."""
    quick = {"TANDEM_BREATHE_RATIO": "0", "TANDEM_HEALS_AT_ONCE": "64"}
    async with deployed(tmp_path / "tandem", new_bucket(rgw), 1, **quick) as deployment:
        await deployment.start()
        deployment.crawler.start()
        async with deployment.client() as client:
            await client.namespaces.create("n", mode=Mode(Stage.SINGLE, Side.S3))
        yield deployment


@pytest.mark.parametrize("keys", [3_000, pytest.param(20_000, marks=pytest.mark.soak)])
async def test_a_namespace_is_moved_from_s3_to_both_homes_to_kvsp_and_back(
    keys: int, on_s3_alone: Deployment
) -> None:
    tandem = on_s3_alone
    async with under_load(tandem.grpc, "n", _LOAD) as history:
        filled = await _fill(tandem, history, keys)
        await _brought_in(tandem, Side.KVSP, copied=keys - _LOAD.keys)
        await _left_to(tandem, Side.KVSP)
        await more(history, 100)
        await _lacks_nothing(tandem, history, filled, Side.KVSP)
        await _brought_in(tandem, Side.S3, copied=1)
        await _left_to(tandem, Side.S3)
        await more(history, 100)
    assert not history.errors()
    assert not violations(history)
    await _lacks_nothing(tandem, history, filled, Side.S3)


async def _fill(deployment: Deployment, history: History, keys: int) -> Mapping[str, bytes]:
    """So many keys, some of them deleted, all in the history; the digests of the records that they
    became."""
    digests: dict[str, bytes] = {}
    async with deployment.client("n") as client:
        for start in range(0, keys, _BATCH):
            values = {_name(n): b"first %d" % n for n in range(start, start + _BATCH)}
            events = {k: history.begin(-1, Kind.PUT, k, value) for k, value in values.items()}
            versions = _ended(history, events, await client.put_many(values))
            digests |= {k: seal(version, values[k]).digest for k, version in versions.items()}
        gone = [_name(n) for n in range(0, keys, _ONE_DELETED_OF)]
        events = {k: history.begin(-1, Kind.DELETE, k) for k in gone}
        versions = _ended(history, events, await client.delete_many(events))
        return digests | {k: seal_tombstone(version).digest for k, version in versions.items()}


def _name(number: int) -> str:
    return f"key-{number:05}"


def _ended(
    history: History, events: Mapping[str, Event], written: Mapping[str, Version | Exception]
) -> Mapping[str, Version]:
    """Enters what a batch has come to: every write was acknowledged."""
    versions = {key: one for key, one in written.items() if isinstance(one, Version)}
    assert versions == written
    for key, version in versions.items():
        history.end(events[key], Outcome.ANSWERED, version)
    return versions


async def _brought_in(deployment: Deployment, side: Side, *, copied: int) -> None:
    """From the other home alone to both."""
    await _step(deployment, "shadow")
    filled = await _done(deployment, "backfill", "n")
    assert filled["ready"], filled
    assert filled["home"] == side.value
    assert filled["copied"] >= copied
    await _step(deployment, "active", "--percent", "10")
    await _step(deployment, "active")


async def _left_to(deployment: Deployment, side: Side) -> None:
    """From both homes to one alone."""
    await _step(deployment, "shadow", "--home", side.value)
    async with deployment.client() as client:

        async def may_leave() -> bool:
            wanted = Mode(Stage.SINGLE, side)
            return not (await client.namespaces.mode("n", wanted)).objections

        await until_true(may_leave, "a crawl finds both homes equal")
    await _step(deployment, "single")


async def _step(deployment: Deployment, *arguments: str) -> None:
    taken = await _done(deployment, "namespace", "mode", "n", *arguments, "--yes")
    assert taken["stepped"], taken
    assert taken["everywhere"], taken


async def _done(deployment: Deployment, *arguments: str) -> Any:  # noqa: ANN401 - that is JSON
    status, told = await deployment.kvctl(*arguments, "--json")
    assert status == 0, f"{arguments}: {told}"
    return json.loads(next(line for line in told.splitlines() if line.startswith("{")))


async def _lacks_nothing(
    deployment: Deployment, history: History, filled: Mapping[str, bytes], side: Side
) -> None:
    """The home by itself holds all that was acknowledged before, past every program: what was
    filled in by its digest, the rest by its version."""
    acknowledged = history.acknowledged()
    async with deployment.client() as client:
        namespace = await client.namespaces.id_of("n")
    async with deployment.homes() as homes:
        home = homes.backends[side]
        listed = await _digests(home, namespace)
        others = [key for key in acknowledged if listed.get(key) != filled[key]]
        replies = await asyncio.gather(*(home.get(Key(namespace, k), 20.0) for k in others))
    lost = [
        f"{key}: {reply}"
        for key, reply in zip(others, replies, strict=True)
        if not isinstance(reply, Found) or reply.record.version < acknowledged[key].version
    ]
    assert not lost, f"{side.value} lacks {len(lost)} of {len(acknowledged)}: {lost[:5]}"
    assert len(others) <= _LOAD.keys, "only what the load touched differs from what was filled in"


async def _digests(home: Backend, namespace: str) -> Mapping[str, bytes]:
    """The digest of every record that a home lists."""
    digests: dict[str, bytes] = {}
    after: str | None = ""
    while after is not None:
        page = await home.scan(namespace, after=after, prefix="", limit=1000, deadline_s=20.0)
        assert isinstance(page, ScanPage), f"{home.side.value}: {page}"
        assert page.complete
        digests |= {entry.name: entry.digest for entry in page.entries}
        after = page.next_after
    return digests
