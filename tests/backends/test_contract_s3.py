"""The contract over the S3 home, on a real server and on a second dialect."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from tandem.backends.port import CollectableObjects
from tandem.backends.s3.store import S3Home
from tandem.core.key import object_name
from tandem.runtime.clock import SystemClock
from tests.backends.contract import HomeContract
from tests.backends.contract_objects import ObjectsContract
from tests.backends.home_under_test import HomeUnderTest
from tests.backends.s3.opened import open_home, opened, options, use_keys_of
from tests.servers.ministack import Ministack
from tests.servers.rgw import Rgw

BUCKET = "contract"


class TestS3Home(HomeContract, ObjectsContract):
    @pytest.fixture(params=["rgw", "ministack"])
    async def under(
        self,
        request: pytest.FixtureRequest,
        verdicts: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> AsyncIterator[HomeUnderTest]:
        server: Rgw | Ministack = request.getfixturevalue(request.param)
        use_keys_of(server, monkeypatch)
        chosen = options(server.endpoint, verdicts, BUCKET)
        homes: list[S3Home] = []

        async def opening() -> S3Home:
            homes.append(await open_home(chosen))
            return homes[-1]

        async def reopen() -> S3Home:
            await homes[-1].aclose()
            return await opening()

        yield HomeUnderTest(
            await opening(),
            now_us=SystemClock().now_us,
            reopen=reopen,
            corrupt=lambda key: damage(server, object_name(chosen.prefix, key)),
            lists_versions=False,
        )
        for home in homes:
            await home.aclose()

    @pytest.fixture
    def objects(self, under: HomeUnderTest) -> CollectableObjects:
        assert isinstance(under.home, S3Home)
        return under.home


class TestRemovingS3Home(ObjectsContract):
    """A store that obeys conditions of DELETE, taken for one that refuses old signatures too."""

    @pytest.fixture
    async def under(
        self, ministack: Ministack, verdicts: Path, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[HomeUnderTest]:
        use_keys_of(ministack, monkeypatch)
        async with opened(options(ministack.endpoint, verdicts)) as home:
            home.verdict = replace(home.verdict, refuses_old_signatures=True)
            yield HomeUnderTest(home, SystemClock().now_us, lists_versions=False)

    @pytest.fixture
    def objects(self, under: HomeUnderTest) -> CollectableObjects:
        assert isinstance(under.home, S3Home)
        assert under.home.removes
        return under.home


async def damage(server: Rgw | Ministack, name: str) -> None:
    """Puts other bytes of the same length and metadata in the object's place."""
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    there = client.get_object(Bucket=BUCKET, Key=name)
    body = bytes(byte ^ 1 for byte in there["Body"].read())
    client.put_object(Bucket=BUCKET, Key=name, Body=body, Metadata=there["Metadata"])
