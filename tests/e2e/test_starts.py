"""Starts and stops while a home is silent."""

from pathlib import Path

import pytest

from tandem.core.reply import Side
from tests.e2e.buckets import new_bucket
from tests.e2e.comparison import check
from tests.e2e.deployment import Deployment, deployed, serves
from tests.e2e.history import Mix, more, under_load
from tests.servers.rgw import Rgw

_DRAIN_S = 3.0
_NO_STORE = {
    "TANDEM_S3_BUCKET": "bucket",
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "secret",
}


@pytest.mark.parametrize("side", Side)
async def test_the_very_first_start_waits_for_both_homes_and_says_so(
    side: Side, rgw: Rgw, tmp_path: Path
) -> None:
    async with deployed(tmp_path / "tandem", new_bucket(rgw)) as tandem:
        if side is Side.S3:
            rgw.kill()
            tandem.kvsp.start()
        try:
            tandem.gateway.start()
            await tandem.gateway.says("waiting_for_")
            assert not await serves(tandem.grpc)
            assert tandem.gateway.status is None
        finally:
            if side is Side.S3:
                rgw.restart()
        if side is Side.KVSP:
            tandem.kvsp.start()
        await tandem.serving(tandem.gateway, tandem.grpc)
        async with tandem.client() as client:
            await client.namespaces.create("n")


async def test_a_first_start_that_waits_can_be_stopped(tmp_path: Path) -> None:
    async with deployed(tmp_path / "tandem") as tandem:
        tandem.gateway.start()
        await tandem.gateway.says("waiting_for_homes")
        assert await tandem.gateway.stop() == 0


async def test_a_second_gateway_with_a_file_of_its_own_is_refused_and_told_why(
    tmp_path: Path,
) -> None:
    """What it kept in that file, the first one would never see."""
    async with deployed(tmp_path / "first") as first, deployed(tmp_path / "second") as second:
        await first.start()
        second.gateway.start(TANDEM_KVSP=first.kvsp_address)
        assert await second.gateway.ended() == 2
        assert "several on one KVSP need a bucket (s3_bucket)" in second.gateway.words()


async def test_a_crawler_that_waits_for_a_store_can_be_stopped(tmp_path: Path) -> None:
    async with deployed(tmp_path / "tandem") as tandem:
        tandem.crawler.start(**_NO_STORE, TANDEM_S3_ENDPOINT="http://127.0.0.1:1")
        await tandem.crawler.says("waiting_for_s3")
        assert await tandem.crawler.stop() == 0


async def test_certificates_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    async with deployed(tmp_path / "tandem") as tandem:
        tandem.crawler.start(
            **_NO_STORE, TANDEM_S3_ENDPOINT="https://127.0.0.1:1", AWS_CA_BUNDLE="/nonexistent"
        )
        assert await tandem.crawler.ended() == 2
        assert "the certificates of /nonexistent cannot be used" in tandem.crawler.words()
        assert "Traceback" not in tandem.crawler.words()


async def test_a_stop_under_load_keeps_its_bound_while_a_home_hangs(
    rgw: Rgw, tmp_path: Path
) -> None:
    bucket = new_bucket(rgw)
    async with deployed(tmp_path / "tandem", bucket, TANDEM_DRAIN=f"{_DRAIN_S:g}s") as tandem:
        await tandem.start()
        async with tandem.client() as client:
            await client.namespaces.create("n")
        async with under_load(tandem.grpc, "n", Mix(clients=2)) as history:
            await more(history, 300)
            rgw.freeze()
            try:
                await more(history, 300)
                assert await tandem.gateway.stop() == 0
                assert tandem.workers() == []
            finally:
                rgw.thaw()
            await tandem.restart_gateway()
            assert "intents_recovered" in tandem.gateway.words(), "it waited for legs that hang"
            await more(history, 300)
        await check(tandem, "n", history)


async def test_kvsp_stopped_under_load(tandem: Deployment) -> None:
    async with under_load(tandem.grpc, "n", Mix()) as history:
        await more(history, 500)
        assert await tandem.kvsp.stop() == 0
        await more(history, 1000)
        await tandem.restart_kvsp()
        await more(history, 500)
    assert not history.errors()
    await check(tandem, "n", history)
