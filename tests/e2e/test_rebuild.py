"""One home wiped while serving: no request fails, it is filled again, nothing deleted returns."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tandem.backends.port import Heal
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.reply import Missing, Side, Stored
from tandem.core.version import Version
from tests.e2e.buckets import new_bucket
from tests.e2e.comparison import both, check
from tests.e2e.deployment import Bucket, Deployment, deployed
from tests.e2e.history import History, Kind, Mix, Outcome, more, under_load
from tests.e2e.waiting import until_true
from tests.servers.rgw import Rgw

_KEYS = 1300
_BATCH = 650
_GONE = range(0, _KEYS, 5)
_LOAD = Mix(keys=150, clients=1, tasks=3, pause_s=0.02, large=0.0)
_EXPIRED = [f"expired/{number:02}" for number in range(20)]


@pytest.fixture
async def on_rgw(rgw: Rgw, tmp_path: Path) -> AsyncIterator[Deployment]:
    """Everything on a bucket of Ceph RGW, and a namespace "n"."""
    directory = tmp_path / "tandem"
    async with deployed(directory, new_bucket(rgw), TANDEM_BREATHE_RATIO="0") as deployment:
        await deployment.start()
        async with deployment.client() as client:
            await client.namespaces.create("n")
        yield deployment


@pytest.mark.parametrize("side", Side)
async def test_a_home_that_is_wiped_while_serving_is_filled_again(
    on_rgw: Deployment, side: Side
) -> None:
    async with under_load(on_rgw.grpc, "n", _LOAD) as history:
        await _fill(on_rgw, history)
        expired = await _hold_expired(on_rgw)
        await on_rgw.settled()
        on_rgw.crawler.start()
        await _wipe(on_rgw, side)
        await until_true(lambda: _knows(on_rgw, side), "the gateway knows what it lacks")
        await more(history, 100)
        status, told = await on_rgw.kvctl("backend", "rebuild", side.value, "--yes", "--json")
        assert status == 0, told
        await more(history, 100)
    assert not history.errors()
    done = json.loads(told)
    assert done["trusted"]
    assert done["left"] == 0
    assert done["copied"] > 1000, "more than the breaker lets pass by itself"
    assert done["verified"] >= _KEYS + len(_EXPIRED)
    await check(on_rgw, "n", history)
    await _none_returned(on_rgw, expired)


async def _fill(deployment: Deployment, history: History) -> None:
    """Thousands of keys, some of them deleted, all in the history."""
    async with deployment.client("n") as client:
        for start in range(0, _KEYS, _BATCH):
            values = {
                _name(number): b"first %d" % number for number in range(start, start + _BATCH)
            }
            events = {key: history.begin(-1, Kind.PUT, key, value) for key, value in values.items()}
            for key, version in (await client.put_many(values)).items():
                assert isinstance(version, Version)
                history.end(events[key], Outcome.ANSWERED, version)
        events = {_name(n): history.begin(-1, Kind.DELETE, _name(n)) for n in _GONE}
        for key, version in (await client.delete_many(events)).items():
            assert isinstance(version, Version)
            history.end(events[key], Outcome.ANSWERED, version)


def _name(number: int) -> str:
    return f"key-{number:05}"


async def _hold_expired(deployment: Deployment) -> dict[str, Record]:
    """Records that had a minute to live an hour ago, as both homes keep them for a day."""
    async with deployment.client() as client:
        namespace = await client.namespaces.id_of("n")
    held: dict[str, Record] = {}
    async with deployment.homes() as homes:
        for name in _EXPIRED:
            for home in homes.backends.values():
                found = await home.get(Key(namespace, name), 10.0)
                assert isinstance(found, Missing)
                now_us = found.home_time_us
                old = Version.at(now_us - 3_600_000_000, bytes(8))
                record = held.setdefault(
                    name, seal(old, b"old", expires_at_s=now_us // 1_000_000 - 3_540)
                )
                stored = await home.put_if_newer(Key(namespace, name), record, 10.0, Heal(now_us))
                assert isinstance(stored, Stored), stored
    return held


async def _wipe(deployment: Deployment, side: Side) -> None:
    if side is Side.KVSP:
        deployment.kvsp.kill()
        shutil.rmtree(deployment.data / "kvsp")
        await deployment.restart_kvsp()
    else:
        assert deployment.bucket is not None
        await asyncio.to_thread(_empty, deployment.bucket)


def _empty(bucket: Bucket) -> None:
    """Removes every object, more than once: requests that were under way may still arrive."""
    client = boto3.client(
        "s3", endpoint_url=bucket.endpoint, aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key, region_name="us-east-1",
    )  # fmt: skip
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name):
        objects: Any = [{"Key": one["Key"]} for one in page.get("Contents", ())]
        if objects:
            client.delete_objects(Bucket=bucket.name, Delete={"Objects": objects})


async def _knows(deployment: Deployment, side: Side) -> bool:
    homes = {home.side: home for home in (await deployment.status()).homes}
    return "*" in homes[side].behind and homes[side].breaker == "closed"


async def _none_returned(deployment: Deployment, expired: dict[str, Record]) -> None:
    """Expired records are as they were in both homes, and no reader sees them."""
    async with deployment.client("n") as client:
        namespace = await client.namespaces.id_of("n")
        assert set((await client.get_many(_EXPIRED)).values()) == {None}
        assert [key.name async for key in client.list("expired/")] == []
    for held in (await both(deployment, namespace)).values():
        assert {name: held.get(name) for name in _EXPIRED} == expired
