"""Which data directories are refused, and that the refusal says why."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tandem.errors import ConfigurationError
from tests.kvsp.conftest import Opening
from tests.kvsp.records import get, put, value


async def refusal(opening: Opening, clusters: int = 4) -> str:
    with pytest.raises(ConfigurationError) as refused:
        await opening(clusters)
    return str(refused.value)


@pytest.fixture
async def path(opening: Opening, tmp_path: Path) -> Path:
    """A directory of four clusters, closed."""
    await (await opening(4)).aclose()
    return tmp_path


@pytest.mark.parametrize("clusters", [1, 3, 5])
async def test_another_number_of_clusters_is_refused(
    opening: Opening, path: Path, clusters: int
) -> None:
    text = await refusal(opening, clusters)
    assert f"a ring of 4 clusters, the settings say {clusters}" in text
    await (await opening(4)).aclose()


async def test_a_missing_file_is_refused_and_not_made(opening: Opening, path: Path) -> None:
    (path / "cluster-2.sqlite").unlink()
    assert "cluster-2.sqlite is missing" in await refusal(opening)
    assert not (path / "cluster-2.sqlite").exists()


async def test_an_emptied_file_is_refused(opening: Opening, path: Path) -> None:
    (path / "cluster-2.sqlite").write_bytes(b"")
    assert "cluster-2.sqlite is empty" in await refusal(opening)
    assert (path / "cluster-2.sqlite").stat().st_size == 0


async def test_a_foreign_file_is_refused(opening: Opening, path: Path) -> None:
    (path / "cluster-1.sqlite").write_bytes(b"no database" * 1000)
    assert "cluster-1.sqlite" in await refusal(opening)


async def test_exchanged_files_are_refused(opening: Opening, path: Path) -> None:
    (path / "cluster-0.sqlite").rename(path / "other")
    (path / "cluster-1.sqlite").rename(path / "cluster-0.sqlite")
    (path / "other").rename(path / "cluster-1.sqlite")
    text = await refusal(opening)
    assert "cluster-0.sqlite holds cluster-1" in text
    assert "cluster-1.sqlite holds cluster-0" in text


async def test_every_mistake_is_named(opening: Opening, path: Path) -> None:
    (path / "cluster-1.sqlite").unlink()
    (path / "cluster-3.sqlite").write_bytes(b"no database" * 1000)
    text = await refusal(opening)
    assert "cluster-1" in text
    assert "cluster-3" in text


async def test_two_processes_cannot_share_a_directory(opening: Opening) -> None:
    store = await opening(4)
    assert "is in use by process" in await refusal(opening)
    await store.aclose()
    await opening(4)


async def test_a_first_start_that_was_cut_short_goes_on(opening: Opening, path: Path) -> None:
    for number in (0, 1):
        file = path / f"cluster-{number}.sqlite"
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("update meta set ring_complete = 0")
    (path / "cluster-2.sqlite").write_bytes(b"")
    (path / "cluster-3.sqlite").unlink()
    store = await opening(4)
    assert len(store.clusters) == 4


async def test_incarnation_and_commits_survive_a_restart(opening: Opening) -> None:
    first = await opening()
    await first.clusters[0].write([put("key", value())])
    before = await first.clusters[0].life()
    await first.aclose()
    second = await opening()
    after = await second.clusters[0].life()
    assert after.incarnation == before.incarnation
    assert after.commits >= before.commits
    assert await second.clusters[0].read([get("key")]) == [value().envelope]
