"""Both homes copied under load as docs/operations.md has it, and a start with them."""

import asyncio
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from tandem import Client
from tandem.core.write_race import AckPolicy
from tests.e2e.deployment import deployed

_SMALL = [f"small/{number}" for number in range(20)]
_LARGE = ["large/blob", "large/body"]
"""One is apart in KVSP alone, one in the file home too."""
_BYTES = {"large/blob": 200_000, "large/body": 1_500_000}


async def test_copies_of_both_homes_are_a_store_again(tmp_path: Path) -> None:
    copy, again = tmp_path / "copy", tmp_path / "again"
    async with deployed(tmp_path / "tandem") as tandem:
        await tandem.start()
        async with tandem.client() as client:
            await client.namespaces.create("n", ack_policy=AckPolicy.BOTH)  # no leg is late
        async with tandem.client("n") as client:
            await _write(client, 0)
            written = 0
            copying = asyncio.ensure_future(asyncio.to_thread(_back_up, tandem.data, copy))
            while not copying.done() or written < 2:
                written += 1
                await _write(client, written)
            await copying
            await _write(client, written + 1)
    shutil.move(copy, again / "data")
    async with deployed(again) as tandem:
        await tandem.start()
        async with tandem.client("n") as client:
            for key in (*_SMALL, *_LARGE):
                assert await client.get(key) in [_value(key, n) for n in range(written + 1)]
        tandem.crawler.start()
        await tandem.crawler.says('"ready"')
        status, told = await tandem.kvctl("drift", "scan", "--deep")
        assert status in (0, 4), told
        status, told = await tandem.kvctl("drift", "scan", "--deep")
        assert status == 0, told


async def _write(client: Client, number: int) -> None:
    values = {key: _value(key, number) for key in (*_SMALL, *_LARGE)}
    for key, outcome in (await client.put_many(values)).items():
        assert not isinstance(outcome, Exception), f"{key}: {outcome}"


def _value(key: str, number: int) -> bytes:
    return (b"%d of %s " % (number, key.encode())).ljust(_BYTES.get(key, 0), b".")


def _back_up(data: Path, copy: Path) -> None:
    """The file home first: its copy may lack the body of what is replaced meanwhile, and KVSP's
    copy has a newer one then."""
    (copy / "kvsp").mkdir(parents=True)
    _copy_rows(data / "objects.sqlite", copy / "objects.sqlite")
    _copy_files(data / "objects.sqlite-bodies", copy / "objects.sqlite-bodies")
    _copy_rows(data / "kvsp" / "cluster-0.sqlite", copy / "kvsp" / "cluster-0.sqlite")
    _copy_files(data / "kvsp" / "blobs", copy / "kvsp" / "blobs")


def _copy_rows(of: Path, to: Path) -> None:
    """What `sqlite3 FILE ".backup COPY"` does."""
    with closing(sqlite3.connect(of)) as theirs, closing(sqlite3.connect(to)) as ours:
        theirs.backup(ours)


def _copy_files(of: Path, to: Path) -> None:
    """What `cp -a` does, which only complains of a file that goes meanwhile."""

    def copied(one: str, other: str) -> None:
        with suppress(FileNotFoundError):
            shutil.copy2(one, other)

    shutil.copytree(of, to, copy_function=copied)
