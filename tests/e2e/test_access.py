"""Tokens through real processes: who comes in, for how long, and when nobody could."""

import json
import signal
from pathlib import Path

import pytest

from tandem import Client
from tandem.client.crawler import CrawlerClient
from tandem.errors import PermissionDenied, Unauthenticated
from tandem.runtime.local_tokens import crawler_token, development_token
from tests.e2e.deployment import deployed
from tests.e2e.waiting import until_true


async def test_the_life_of_a_token(tmp_path: Path) -> None:
    async with deployed(tmp_path / "tandem", workers=2, TANDEM_AUTH="required") as tandem:
        await tandem.start_up()
        development = development_token(tandem.data)
        assert f"CLOUDFLARE_API_TOKEN={development}" in tandem.up.words()

        status, words = await tandem.kvctl("namespace", "list")
        assert status == 1
        assert "Give a token with --token or TANDEM_TOKEN" in words

        as_admin = ("--token", development)
        assert (await tandem.kvctl("namespace", "create", "n", *as_admin))[0] == 0
        status, words = await tandem.kvctl(
            "token", "create", "--name", "ci", "-n", "n", "--permission", "write", "--json",
            *as_admin,
        )  # fmt: skip
        assert status == 0, words
        made = json.loads(words)

        async with Client(tandem.grpc, "n", token=made["token"]) as client:
            await client.put("k", b"v")
            with pytest.raises(PermissionDenied):
                await client.ops.status()
            with pytest.raises(PermissionDenied):
                await client.namespaces.create("m")

            for _ in range(8):  # through both workers
                async with Client(tandem.grpc, "n", token=made["token"]) as other:
                    assert await other.get("k") == b"v"

            assert (await tandem.kvctl("token", "revoke", made["id"], *as_admin))[0] == 0

            async def refused() -> bool:
                try:
                    await client.get("k")
                except Unauthenticated:
                    return True
                return False

            await until_true(refused, "the open stream is refused")

        log = tandem.data / "logs" / "crawler.log"

        async def crawled() -> bool:
            return "crawl_equal" in log.read_text()

        await until_true(crawled, "the crawler has come in and crawled")
        everything = "".join(path.read_text() for path in (tandem.data / "logs").iterdir())
        assert development not in everything
        assert crawler_token(tandem.data) not in everything
        assert made["token"] not in everything
        assert "authentication_failed" in everything


async def test_a_token_opens_while_a_home_is_down_and_after_a_restart(tmp_path: Path) -> None:
    admin = "the-admin-token-of-this-test"
    async with deployed(
        tmp_path / "tandem", TANDEM_AUTH="required", TANDEM_ADMIN_TOKEN=admin
    ) as tandem:
        await tandem.start()
        async with Client(tandem.grpc, token=admin) as client:
            await client.namespaces.create("n")
            status, words = await tandem.kvctl("token", "create", "--name", "x", "--json")
            assert status == 0, words
            text = json.loads(words)["token"]
        async with Client(tandem.grpc, "n", token=text) as client:
            await client.put("k", b"v")
            tandem.kvsp.kill()
            assert await client.get("k") == b"v"
        assert await tandem.gateway.stop() == 0
        await tandem.restart_gateway()
        async with Client(tandem.grpc, "n", token=text) as client:
            assert await client.get("k") == b"v"
        async with Client(tandem.grpc, token=admin) as client:
            await client.ops.status()
        assert admin not in tandem.gateway.words()
        assert f"...{admin[-4:]}" in tandem.gateway.words()


async def test_a_gateway_that_nobody_could_enter_refuses_to_start(tmp_path: Path) -> None:
    async with deployed(tmp_path / "tandem") as tandem:
        tandem.kvsp.start()
        await tandem.serving(tandem.kvsp, tandem.kvsp_address)
        door = tandem.http.replace("127.0.0.1", "0.0.0.0")
        tandem.gateway.start(TANDEM_HTTP=door)
        assert await tandem.gateway.ended() == 2
        words = tandem.gateway.words()
        assert f"{door} can be reached from other machines, and nobody has a token yet" in words
        assert "set TANDEM_ADMIN_TOKEN" in words
        assert not (tandem.data / "development-token").exists()

        tandem.gateway.start(TANDEM_ADMIN_TOKEN="short")
        assert await tandem.gateway.ended() == 2
        assert "must have 16 printable ASCII characters or more" in tandem.gateway.words()


async def test_a_crawler_keeps_the_admin_token_whose_file_is_gone(tmp_path: Path) -> None:
    file, admin = tmp_path / "admin-token", "the-admin-token-of-this-test"
    file.write_text(admin)
    async with deployed(
        tmp_path / "tandem", TANDEM_AUTH="required", TANDEM_ADMIN_TOKEN_FILE=str(file)
    ) as tandem:
        await tandem.start()
        tandem.crawler.start()
        await tandem.crawler.says('"ready"')
        file.unlink()
        tandem.crawler.signal(signal.SIGHUP)
        await tandem.crawler.says("settings_refused")
        async with CrawlerClient(tandem.crawler_address, token=admin) as crawler:
            before = (await crawler.status()).rounds

            async def went_on() -> bool:
                return (await crawler.status()).rounds > before + 1

            await until_true(went_on, "the crawler comes in at its gateway")
