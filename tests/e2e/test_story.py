"""What a user does: fills a store, takes a home away, goes on working, and gives it back."""

import json
import signal
from collections.abc import Mapping
from pathlib import Path

from tandem import Client
from tandem.core.record import Kind
from tandem.errors import TandemError
from tests.e2e.comparison import check, equal_records
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.history import Mix, more, under_load
from tests.e2e.program import kill_process
from tests.e2e.waiting import until, until_true

_FILES = 2000


def _tree(directory: Path) -> dict[str, bytes]:
    """Thousands of files, some empty, one large; the keys that they become."""
    files = {
        f"part-{n % 20}/file {n}.txt": f"file {n}\n".encode() * (n % 30) for n in range(_FILES)
    }
    files["large.bin"] = bytes(range(256)) * 8192
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return files


async def _done(deployment: Deployment, *arguments: str) -> str:
    status, output = await deployment.kvctl(*arguments)
    assert status == 0, f"kvctl {' '.join(arguments)}: {output}"
    return output


async def _read_all(client: Client, expected: Mapping[str, bytes | None]) -> None:
    names = sorted(expected)
    for start in range(0, len(names), 500):
        group = names[start : start + 500]
        read = await client.get_many(group)
        values = {name: getattr(entry, "value", entry) for name, entry in read.items()}
        assert values == {name: expected[name] for name in group}
    listed = [key.name async for key in client.list()]
    assert listed == sorted(name for name in names if expected[name] is not None)


async def _equal(tandem: Deployment) -> bool:
    status = json.loads(await _done(tandem, "status", "--json"))
    return bool(status["equal"]) and status["queue"]["depth"] == 0


async def test_a_store_is_used_while_a_home_is_switched_off(tmp_path: Path) -> None:
    async with deployed(tmp_path / "tandem") as tandem:
        await tandem.start_up()
        expected: dict[str, bytes | None] = {**_tree(tmp_path / "tree")}
        await _done(tandem, "import", str(tmp_path / "tree"), "--namespace", "files", "--create")
        assert await _done(tandem, "key", "get", "part-7/file 7.txt", "--namespace", "files") == (
            "file 7\n" * 7
        )
        await _done(tandem, "backend", "disable", "s3")
        async with tandem.client("files") as client:
            await _read_all(client, expected)
            names = sorted(expected)
            overwritten = {name: b"again " + name.encode() for name in names[100:1100]}
            removed = names[1100:1500]
            for written in (
                await client.put_many(overwritten), await client.delete_many(removed),
            ):  # fmt: skip
                assert not [one for one in written.values() if isinstance(one, TandemError)]
            expected.update(overwritten)
            expected.update(dict.fromkeys(removed))
            await _read_all(client, expected)
            await _done(tandem, "backend", "enable", "s3")
            await _read_all(client, expected)
            await tandem.settled()
            await tandem.trusted()
            await until_true(lambda: _equal(tandem), "both homes are equal")
            held = await equal_records(tandem, await client.namespaces.id_of("files"))
            live = {n: r.value for n, r in held.items() if r.kind is Kind.VALUE}
            assert live == {name: value for name, value in expected.items() if value is not None}
            await _read_all(client, expected)
        tandem.up.signal(signal.SIGINT)
        assert await tandem.up.ended() == 0
        assert tandem.pids() == []
        await tandem.start_up()
        async with tandem.client("files") as client:
            await _read_all(client, expected)
        assert await tandem.up.stop() == 0
        assert tandem.pids() == []


async def test_parts_that_are_killed_are_started_again(tmp_path: Path) -> None:
    async with deployed(tmp_path / "tandem", TANDEM_DRAIN="2s") as tandem:
        await tandem.start_up()
        await _done(tandem, "namespace", "create", "n")
        async with under_load(tandem.grpc, "n", Mix(clients=2)) as history:
            for name in ("kvsp", "crawler", "gateway"):
                await more(history, 500)
                await _killed_and_back(tandem, name)
            await more(history, 500)
        await tandem.settled()
        await check(tandem, "n", history)


async def _killed_and_back(tandem: Deployment, name: str) -> None:
    pid_file = tandem.data / "run" / f"{name}.pid"
    pid = pid_file.read_text()
    kill_process(int(pid))
    await until(lambda: pid_file.read_text() not in ("", pid), f"{name} is back")
