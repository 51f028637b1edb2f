"""Damaged files: each fails its own cluster; none is served that cannot say what was deleted."""

from pathlib import Path

import pytest

from tandem.core.reply import Failed, Stored
from tandem.errors import ConfigurationError
from tandem.wire.scan_codec import Scan
from tests.kvsp.conftest import Opening
from tests.kvsp.records import NAMESPACE, get, put, value
from tests.servers.damage import damage_pages

STORED = Stored(0)


async def test_a_damaged_file_fails_its_cluster_and_no_other(
    opening: Opening, tmp_path: Path
) -> None:
    names = [f"key-{n:05}" for n in range(2_000)]
    first = await opening(2)
    for _, written in first.store.write([put(name, value(b"x" * 300)) for name in names]):
        assert set(await written) == {STORED}
    await first.aclose()
    damage_pages(tmp_path / "cluster-0.sqlite", "record", spared=20)

    second = await opening(2)
    owners = {}
    for part, answers in second.store.read([get(name) for name in names]):
        owners[part[0].raw_name] = {type(answer) for answer in await answers}
    assert sorted(owners.values(), key=str) == [{bytes}, {Failed}]
    damaged, sound = [await cluster.life() for cluster in second.clusters]
    assert "cluster-0.sqlite is damaged" in damaged.failure
    assert sound.failure == ""
    assert second.store.failure() == "", "one of them serves"
    [refused] = await second.clusters[0].write([put("key", value())])
    assert isinstance(refused, Failed)
    assert await second.clusters[1].write([put("key", value())]) == [STORED]
    listing = await second.store.scan(Scan(NAMESPACE, b"", b"", 10_000))
    assert not isinstance(listing, Failed)
    assert not listing.complete
    assert 0 < len(listing.rows) < len(names)
    await second.clusters[1].aclose()
    assert "cluster-0.sqlite is damaged" in second.store.failure()


async def test_kvsp_does_not_start_when_a_file_cannot_say_what_was_deleted(
    opening: Opening, tmp_path: Path
) -> None:
    first = await opening(2)
    names = [f"key-{n:05}" for n in range(500)]
    for _, written in first.store.write([put(name, value(b"x" * 300)) for name in names]):
        assert set(await written) == {STORED}
    await first.aclose()
    damage_pages(tmp_path / "cluster-1.sqlite", "deleted_namespace")
    with pytest.raises(ConfigurationError, match=r"cluster-1\.sqlite.* cannot be read: "):
        await opening(2)
