"""`kvctl import` and `kvctl export`, killed and gone on with; the gateway dies under one."""

import asyncio
from pathlib import Path

from tests.e2e.deployment import Deployment, deployed
from tests.e2e.program import Program
from tests.e2e.waiting import until, until_true

_FILES = 800
_LARGE_BYTES = 3_000_000


async def test_what_was_killed_is_gone_on_with_until_all_is_there(tmp_path: Path) -> None:
    tree, backup = tmp_path / "tree", tmp_path / "backup"
    _plant(tree)
    async with deployed(tmp_path / "tandem") as tandem:
        await tandem.start()
        async with tandem.client() as client:
            await client.namespaces.create("n")
        moving = Program("moving", "kvctl", tandem.directory, tandem.environment)
        taking = ("import", str(tree), "--namespace", "n", "--timeout", "60s")
        for name in ("large", "4/400"):
            moving.start(*taking)
            await _stores(tandem, name)
            moving.kill()
        (tree / "0/0").write_bytes(b"changed")
        (tree / "new").write_bytes(b"")
        (tree / "1/1").unlink()
        moving.start(*taking)
        await _stores(tandem, "new")
        await tandem.kill_gateway()
        await tandem.restart_gateway()
        assert await moving.ended() in (0, 1), "1: what was under way is not confirmed"
        moving.start(*taking)
        assert await moving.ended() == 0
        held = await _held(tandem, "n")
        assert {name: held[name] for name in _files(tree)} == _files(tree)
        assert held.keys() - _files(tree).keys() <= {"1/1"}

        giving = ("export", str(backup), "--namespace", "n", "--timeout", "60s")
        manifest = backup / "tandem-export.jsonl"
        moving.start(*giving)
        await _longer_than(manifest, 20_000)
        moving.kill()
        moving.start(*giving)
        assert await moving.ended() in (0, 2), "2: it was complete before it was killed"
        status, told = await tandem.kvctl("import", str(backup), "-n", "again", "--create")
        assert status == 0, told
        assert await _held(tandem, "again") == held


def _plant(tree: Path) -> None:
    for number in range(_FILES):
        (tree / f"{number % 9}").mkdir(parents=True, exist_ok=True)
        (tree / f"{number % 9}/{number}").write_bytes(b"%d" % number * (number % 100))
    (tree / "large").write_bytes(bytes(_LARGE_BYTES))


def _files(tree: Path) -> dict[str, bytes]:
    return {
        path.relative_to(tree).as_posix(): path.read_bytes()
        for path in tree.rglob("*")
        if path.is_file()
    }


async def _held(tandem: Deployment, namespace: str) -> dict[str, bytes | None]:
    async with tandem.client(namespace) as client:
        names = [key.name async for key in client.list()]
        return dict(zip(names, await asyncio.gather(*map(client.get, names)), strict=True))


async def _stores(tandem: Deployment, name: str) -> None:
    async with tandem.client("n") as client:

        async def stored() -> bool:
            return await client.get(name) is not None

        await until_true(stored, f"{name} is stored")


async def _longer_than(file: Path, count: int) -> None:
    await until(lambda: file.exists() and file.stat().st_size > count, f"{file} grows")
