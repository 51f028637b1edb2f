"""What a program refuses to start with: every mistake is named at once, and nothing is done."""

import shutil
from pathlib import Path

import pytest

from tandem.core.access import Permission
from tandem.core.reply import Side
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.program import Program
from tests.e2e.waiting import until

_WRONG = {
    "kvsp": (
        ("--clusters", "0", "--large-value-bytes", "1KiB"),
        {"TANDEM_READERS": "many", "TANDEM_KVSP": "nowhere"},
        ("TANDEM_KVSP", "--clusters", "TANDEM_READERS", "--large-value-bytes"),
    ),
    "gateway": (
        ("--cache-ttl", "1s", "--nonsense", "1"),
        {"TANDEM_WORKERS": "-1", "TANDEM_S3_ENDPOINT": "http://127.0.0.1:1", "TANDEM_GRPC": "x"},
        ("--cache-ttl", "--nonsense", "TANDEM_WORKERS", "TANDEM_GRPC"),
    ),
    "crawler": (
        ("--range-names", "5"),
        {"TANDEM_SETTLE": "never", "TANDEM_BREATHE_RATIO": "-1"},
        ("--range-names", "TANDEM_SETTLE", "TANDEM_BREATHE_RATIO"),
    ),
    "up": (
        ("up", "--start", "soon"),
        {"TANDEM_GRPC": "127.0.0.1", "TANDEM_HTTP": "127.0.0.1:99999"},
        ("TANDEM_GRPC", "TANDEM_HTTP", "--start"),
    ),
}


@pytest.mark.parametrize("name", _WRONG)
async def test_a_wrong_configuration_names_every_mistake_and_starts_nothing(
    name: str, tmp_path: Path
) -> None:
    arguments, environment, named = _WRONG[name]
    async with deployed(tmp_path / "tandem") as tandem:
        program: Program = getattr(tandem, name)
        program.start(*arguments, **environment)
        assert await program.ended() == 2
        words = program.words()
        assert [wrong for wrong in named if wrong not in words] == [], words
        assert "Traceback" not in words
        assert not tandem.data.exists()
        assert tandem.pids() == []


@pytest.mark.parametrize("name", ["kvsp", "gateway", "crawler"])
async def test_a_data_directory_that_cannot_be_made_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with deployed(tmp_path / "tandem") as tandem:
        program: Program = getattr(tandem, name)
        program.start("--data", str(tmp_path / "file/data"))
        assert await program.ended() == 2
        words = program.words()
        assert "no directory for data: Not a directory; choose another one with --data" in words
        assert "Traceback" not in words


async def test_a_store_id_that_cannot_be_read_is_told(tandem: Deployment) -> None:
    assert await tandem.gateway.stop() == 0
    store_id = tandem.data / "gateway/store-id"
    kept = store_id.read_bytes()
    for damaged in (b"\xff\xfe", kept[:10]):
        store_id.write_bytes(damaged)
        tandem.gateway.start()
        assert await tandem.gateway.ended() == 2
        assert "store-id cannot be read" in tandem.gateway.words()
        assert "Traceback" not in tandem.gateway.words()
    store_id.unlink()
    await tandem.restart_gateway()
    assert store_id.read_bytes() == kept


async def test_what_is_in_the_place_of_a_file_that_a_start_needs_is_named(
    tandem: Deployment,
) -> None:
    assert await tandem.gateway.stop() == 0
    for name in ("clock.bound", "trust.json", "switches.json"):
        place = tandem.data / "gateway" / name
        aside = place.with_suffix(".aside")
        if place.exists():
            place.rename(aside)
        place.mkdir()
        tandem.gateway.start()
        assert await tandem.gateway.ended() == 2
        words = tandem.gateway.words()
        assert f"{place} cannot be used: Is a directory" in words
        assert "Traceback" not in words
        place.rmdir()
        if aside.exists():
            aside.rename(place)
    await tandem.restart_gateway()


async def test_a_relation_between_settings_is_named(tmp_path: Path) -> None:
    async with deployed(tmp_path / "tandem") as tandem:
        tandem.gateway.start(TANDEM_S3_ENDPOINT="http://127.0.0.1:1")
        assert await tandem.gateway.ended() == 2
        assert "a bucket must be given with an endpoint" in tandem.gateway.words()


async def test_a_gateway_does_not_share_the_ports_of_another(
    tandem: Deployment, tmp_path: Path
) -> None:
    async with deployed(tmp_path / "second") as second:
        second.gateway.start("--grpc", tandem.grpc, "--http", tandem.http)
        assert await second.gateway.ended() == 2
        words = second.gateway.words()
        assert f"--grpc: cannot listen on {tandem.grpc}" in words
        assert f"--http: cannot listen on {tandem.http}" in words


async def test_a_second_gateway_on_the_same_data_is_refused(
    tandem: Deployment, tmp_path: Path
) -> None:
    async with deployed(tmp_path / "second") as second:
        second.gateway.start("--data", str(tandem.data))
        assert await second.gateway.ended() == 2
        assert "another gateway uses this directory" in second.gateway.words()
    async with tandem.client("n") as client:
        await client.put("k", b"v")


async def test_a_second_crawler_on_the_same_data_is_refused(
    tandem: Deployment, tmp_path: Path
) -> None:
    tandem.crawler.start()
    await tandem.crawler.says('"ready"')
    async with deployed(tmp_path / "second") as second:
        second.crawler.start("--data", str(tandem.data))
        assert await second.crawler.ended() == 2
        assert "another crawler uses it" in second.crawler.words()
    tandem.crawler.kill()
    tandem.crawler.start()
    await until(lambda: tandem.crawler.words().count('"ready"') == 2, "the next one starts")


async def test_homes_of_two_stores_are_never_mixed(tmp_path: Path) -> None:
    """One home is swapped for that of another store, before a first start and before a later."""
    async with deployed(tmp_path / "one") as one, deployed(tmp_path / "other") as other:
        for tandem in (one, other):
            await tandem.start()
            async with tandem.client() as client:
                await client.namespaces.create("n")
            async with tandem.client("n") as client:
                await client.put("k", b"of " + tandem.directory.name.encode())
            await tandem.settled()
            assert await tandem.gateway.stop() == 0
        one.gateway.start(TANDEM_KVSP=other.kvsp_address)
        await one.serving(one.gateway, one.grpc)
        await one.gateway.says("it belongs to another store")
        async with one.client("n") as client:
            assert await client.get("k") == b"of one"
            await client.put("k", b"of one, later")
            homes = {home.side: home for home in (await client.ops.status()).homes}
            assert "it belongs to another store" in homes[Side.KVSP].last_failure
        assert await one.gateway.stop() == 0
        shutil.rmtree(one.data / "gateway")
        one.gateway.start(TANDEM_KVSP=other.kvsp_address)
        assert await one.gateway.ended() == 2
        assert "the two homes belong to different stores" in one.gateway.words()
        await other.restart_gateway()
        async with other.client("n") as client:
            assert await client.get("k") == b"of other"


async def test_nothing_is_taken_from_another_stores_home_under_a_running_gateway(
    tmp_path: Path,
) -> None:
    """Its KVSP comes in the place of the right one, with whom it lets in and what it has listed."""
    async with deployed(tmp_path / "one") as one, deployed(tmp_path / "other") as other:
        for tandem in (one, other):
            await tandem.start()
            async with tandem.client() as client:
                await client.namespaces.create(f"of {tandem.directory.name}")
                await client.tokens.create(f"of {tandem.directory.name}", Permission.ADMIN)
            await tandem.settled()
        assert await other.gateway.stop() == 0
        other.kvsp.kill()
        one.kvsp.kill()
        one.kvsp.start(TANDEM_DATA=str(other.data))
        await one.gateway.says("it belongs to another store")
        one.kvsp.kill()
        await one.restart_kvsp()
        await until(lambda: one.gateway.words().count("home_admitted") > 2, "it is admitted")
        async with one.client() as client:
            assert [each.title for each in await client.namespaces.list()] == ["of one"]
            assert [each.name for each in await client.tokens.list()] == ["of one"]


async def test_a_crawler_does_not_compare_the_homes_of_two_stores(tmp_path: Path) -> None:
    async with deployed(tmp_path / "one") as one, deployed(tmp_path / "other") as other:
        for tandem in (one, other):
            await tandem.start()
            async with tandem.client() as client:
                await client.namespaces.create("n")
            async with tandem.client("n") as client:
                await client.put(f"k-{tandem.directory.name}", b"v")
            await tandem.settled()
        one.crawler.start(TANDEM_KVSP=other.kvsp_address)
        await one.crawler.says("the two homes belong to different stores")
        async with other.client("n") as client:
            assert [key.name async for key in client.list()] == ["k-other"]
