"""The S3 home on real servers: its time, its keys, what others leave in the bucket, a restart."""

import asyncio
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from types_boto3_s3 import S3Client

from tandem.backends.port import Heal, ScanPage
from tandem.backends.s3.replies import VERSION_HEADER
from tandem.backends.s3.store import S3Home
from tandem.core.envelope import TOMBSTONE_BYTES, seal, seal_tombstone
from tandem.core.key import Key, object_name
from tandem.core.record import Kind, Record
from tandem.core.reply import Failed, Found, Missing, Reason, Refusal, Refused, Stored
from tandem.core.version import Version
from tandem.runtime.clock import SystemClock
from tests.backends.s3.opened import (
    BUCKET,
    REGION,
    ShiftedClock,
    opened,
    options,
    through,
    use_keys_of,
    value,
    values,
)
from tests.servers.fault_proxy import Fault, faults_before, status
from tests.servers.ministack import Ministack
from tests.servers.rgw import Rgw

KEY = Key("ab" * 16, "key")
DEADLINE_S = 20.0
HOUR_US = 3_600_000_000


def client_of(server: Rgw | Ministack) -> S3Client:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=REGION,
        config=Config(s3={"addressing_style": "path"}),
    )


@pytest.mark.parametrize("wrong_us", [-3 * HOUR_US, 3 * HOUR_US])
async def test_a_machine_whose_clock_is_wrong_signs_by_the_stores(
    wrong_us: int, rgw: Rgw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keys_of(rgw, monkeypatch)
    chosen = options(rgw.endpoint, tmp_path)
    async with opened(chosen, ShiftedClock(wrong_us)) as home:
        assert abs(home.ahead_of_machine_us + wrong_us) < 60_000_000
        record = value()
        assert isinstance(await home.put_if_newer(KEY, record, DEADLINE_S), Stored)
        late = seal(Version.at(SystemClock().now_us() - 40_000_000), b"late")
        reply = await home.put_if_newer(KEY, late, DEADLINE_S)
        assert isinstance(reply, Refused)
        assert reply.refusal is Refusal.LATE


async def test_a_home_that_was_never_answered_learns_the_time_before_it_judges(
    rgw: Rgw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keys_of(rgw, monkeypatch)
    chosen = options(rgw.endpoint, tmp_path)
    async with faults_before(rgw.endpoint) as proxy:
        detour = replace(chosen, location=replace(chosen.location, endpoint=proxy.endpoint))
        async with opened(detour):
            pass
        proxy.plan = lambda request: Fault(forward=False, reset=True)
        async with opened(detour, ShiftedClock(-3 * HOUR_US)) as home:
            proxy.plan = lambda request: Fault()
            assert isinstance(await home.put_if_newer(KEY, value(), DEADLINE_S), Stored)


async def test_a_store_whose_clock_steps_back_is_followed(
    ministack: Ministack, verdicts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keys_of(ministack, monkeypatch)
    chosen = options(ministack.endpoint, verdicts)
    skewed = status(403, "RequestTimeTooSkewed").replace(
        b"\r\n\r\n", b"\r\nDate: Mon, 23 Nov 2020 12:00:00 GMT\r\n\r\n", 1
    )
    async with (
        faults_before(ministack.endpoint) as proxy,
        opened(chosen) as direct,
        through(direct, chosen, proxy.endpoint) as home,
    ):
        proxy.seen.clear()
        proxy.next("GET", Fault(forward=False, answer=skewed))
        assert isinstance(await home.get(KEY, DEADLINE_S), Missing)
        assert [(seen.header("x-amz-date") or "")[:4] for seen in proxy.seen][1] == "2020"


@pytest.mark.parametrize("server_name", ["rgw", "ministack"])
async def test_what_others_put_in_the_bucket_is_left_alone(
    server_name: str,
    request: pytest.FixtureRequest,
    verdicts: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server: Rgw | Ministack = request.getfixturevalue(server_name)
    use_keys_of(server, monkeypatch)
    chosen, client = options(server.endpoint, verdicts), client_of(server)
    async with opened(chosen) as home:
        name = object_name(chosen.prefix, KEY)
        client.put_object(Bucket=BUCKET, Key=name, Body=b"somebody else's")
        reply = await home.get(KEY, DEADLINE_S)
        assert isinstance(reply, Failed)
        assert reply.reason is Reason.FOREIGN
        assert name in reply.detail
        written = await home.put_if_newer(KEY, value(), DEADLINE_S)
        assert isinstance(written, Failed)
        assert name in written.detail
        kept = client.get_object(Bucket=BUCKET, Key=name)["Body"].read()
        assert kept == b"somebody else's"


async def test_metadata_that_belies_its_body_is_corrupt(
    ministack: Ministack, verdicts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keys_of(ministack, monkeypatch)
    chosen = options(ministack.endpoint, verdicts)
    one, two = values(b"one", b"two")
    async with opened(chosen) as home:
        client_of(ministack).put_object(
            Bucket=BUCKET,
            Key=object_name(chosen.prefix, KEY),
            Body=one.envelope,
            Metadata={VERSION_HEADER.removeprefix("x-amz-meta-"): two.version.hex()},
        )
        reply = await home.get(KEY, DEADLINE_S)
    assert isinstance(reply, Failed)
    assert reply.reason is Reason.CORRUPT


async def test_names_that_no_key_has_are_skipped_and_counted(
    ministack: Ministack, verdicts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keys_of(ministack, monkeypatch)
    chosen, client = options(ministack.endpoint, verdicts), client_of(ministack)
    directory = f"{chosen.prefix}{KEY.namespace}/"
    async with opened(chosen) as home:
        for foreign in ("!first", "AAA.txt", "C4/nested", "lower", "zz"):
            client.put_object(Bucket=BUCKET, Key=directory + foreign, Body=b"")
        for name in ("b", "a"):
            await home.put_if_newer(Key(KEY.namespace, name), value(), DEADLINE_S)
        found = await listed(home, limit=1)
        assert found == ["a", "b"]
        assert (await scanned(home, "", "", 1000)).foreign == 5
        assert await listed(home, prefix="a", limit=1) == ["a"]


async def test_a_listing_tells_tombstones_by_their_size(
    rgw: Rgw, verdicts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keys_of(rgw, monkeypatch)
    async with opened(options(rgw.endpoint, verdicts)) as home:
        tombstone = seal_tombstone(value().version)
        assert isinstance(await home.put_if_newer(KEY, tombstone, DEADLINE_S), Stored)
        page = await scanned(home)
    (entry,) = page.entries
    assert (entry.kind, entry.size) == (Kind.TOMBSTONE, TOMBSTONE_BYTES)


async def test_a_multipart_copy_of_an_object_is_drift_and_healed_over(
    ministack: Ministack, verdicts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tools that copy buckets upload large objects in parts: such an ETag is no MD5."""
    use_keys_of(ministack, monkeypatch)
    chosen, client = options(ministack.endpoint, verdicts), client_of(ministack)
    record = value(b"x" * 100)
    name = object_name(chosen.prefix, KEY)
    metadata = {VERSION_HEADER.removeprefix("x-amz-meta-"): record.version.hex()}
    async with opened(chosen) as home:
        upload = client.create_multipart_upload(Bucket=BUCKET, Key=name, Metadata=metadata)
        part = client.upload_part(
            Bucket=BUCKET,
            Key=name,
            UploadId=upload["UploadId"],
            PartNumber=1,
            Body=record.envelope,
        )
        client.complete_multipart_upload(
            Bucket=BUCKET,
            Key=name,
            UploadId=upload["UploadId"],
            MultipartUpload={"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]},
        )
        (entry,) = (await scanned(home)).entries
        assert entry.digest != record.digest
        read = await home.get(KEY, DEADLINE_S)
        assert isinstance(read, Failed)
        assert read.reason is Reason.CORRUPT
        over = Heal(read.home_time_us, over_corrupt=True)
        assert isinstance(await home.put_if_newer(KEY, record, DEADLINE_S, over), Stored)
        (entry,) = (await scanned(home)).entries
        assert entry.digest == record.digest


@pytest.mark.one_loop  # it starts a cluster
async def test_no_acknowledged_write_is_missing_after_a_kill_under_load(
    rgw_on_disk: Rgw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keys_of(rgw_on_disk, monkeypatch)
    chosen = options(rgw_on_disk.endpoint, tmp_path)
    acknowledged: dict[Key, Record] = {}
    failures: list[Failed] = []
    running = True

    async def writer(number: int) -> None:
        count = 0
        while running:
            count += 1
            key = Key(KEY.namespace, f"{number} {count % 5}")
            record = seal(Version.at(SystemClock().now_us(), b"%08d" % number), b"%d" % count)
            reply = await home.put_if_newer(key, record, 5.0)
            if isinstance(reply, Stored):
                acknowledged[key] = record
            else:
                assert isinstance(reply, Failed), reply
                failures.append(reply)
                await asyncio.sleep(0.02)

    async with opened(chosen) as home:
        writers = [asyncio.ensure_future(writer(number)) for number in range(8)]
        while len(acknowledged) < 20:
            await asyncio.sleep(0.02)
        rgw_on_disk.kill()
        while not failures:
            await asyncio.sleep(0.02)
        await asyncio.to_thread(rgw_on_disk.restart)
        before = dict(acknowledged)
        while sum(before.get(key) != record for key, record in acknowledged.items()) < 20:
            await asyncio.sleep(0.02)
        running = False
        await asyncio.gather(*writers)
        for key, record in acknowledged.items():
            reply = await home.get(key, DEADLINE_S)
            assert isinstance(reply, Found)
            assert reply.record.version >= record.version


async def scanned(home: S3Home, after: str = "", prefix: str = "", limit: int = 1000) -> ScanPage:
    page = await home.scan(
        KEY.namespace, after=after, prefix=prefix, limit=limit, deadline_s=DEADLINE_S
    )
    assert isinstance(page, ScanPage), page
    return page


async def listed(home: S3Home, prefix: str = "", limit: int = 1000) -> list[str]:
    names: list[str] = []
    after = ""
    while True:
        page = await scanned(home, after, prefix, limit)
        names += [entry.name for entry in page.entries]
        if page.next_after is None:
            return names
        after = page.next_after
