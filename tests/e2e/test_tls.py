"""A whole deployment with mutual TLS."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tandem import Client
from tandem.core.certificate import CertificateInUse
from tandem.runtime.tls import TlsFiles
from tests.e2e.deployment import Deployment, deployed, serves, tls_settings
from tests.e2e.waiting import WITHIN_S, until, until_true
from tests.servers.certificates import Authority, Pair
from tests.workers import runtimes
from tests.workers.runtimes import Served

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def tandem(tmp_path: Path, authority: Authority) -> AsyncIterator[Deployment]:
    async with deployed(
        tmp_path / "tandem", None, 2, **tls_settings(authority.files())
    ) as deployment:
        await deployment.start_up()
        yield deployment


async def curl(tandem: Deployment, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "-m", "60", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


def own(files: TlsFiles) -> tuple[str, ...]:
    return ("--cacert", files.ca, "--cert", files.certificate, "--key", files.key)


def patient(tandem: Deployment) -> Client:
    """One whose calls may take as long as a busy machine needs."""
    return Client(tandem.grpc, "news", tls=tandem.tls, timeout_s=WITHIN_S)


async def in_use(tandem: Deployment) -> CertificateInUse:
    certificate = (await tandem.status()).certificate
    assert certificate is not None
    return certificate


async def test_every_port_wants_a_certificate_and_all_parts_have_one(
    tandem: Deployment, authority: Authority
) -> None:
    assert tandem.tls is not None
    async with tandem.client() as client:
        await client.namespaces.create("news")
    async with tandem.client("news") as kv:
        await kv.put("greeting", "hello")
        assert await kv.get("greeting") == b"hello"
        large = os.urandom(3 << 20)
        await kv.put("large", large)
        assert await kv.get("large") == large
    await tandem.trusted()  # the crawler reaches KVSP and the gateway
    ended, text = await tandem.kvctl("status", "--json")
    assert ended == 0, text
    assert json.loads(text)["certificate"]["subject"] == "CN=node"
    assert "certificate" in (await tandem.kvctl("status"))[1]
    for command in (("health",), ("crawl", "status"), ("key", "get", "greeting", "-n", "news")):
        assert (await tandem.kvctl(*command))[0] == 0, command
    url = f"https://{tandem.http}/readyz"
    assert await curl(tandem, *own(tandem.tls), url) == (0, "ready\n")
    certificate_only = TlsFiles(tandem.tls.ca)
    for refused in (("--cacert", tandem.tls.ca, url), (url,), (f"http://{tandem.http}/readyz",)):
        assert (await curl(tandem, *refused))[0] != 0
    for address in (tandem.grpc, tandem.kvsp_address, tandem.crawler_address):
        assert await serves(address, tandem.tls)
        assert not await serves(address, certificate_only)
        assert not await serves(address)
    metrics = (await curl(tandem, *own(tandem.tls), f"https://{tandem.http}/metrics"))[1]
    assert "tandem_certificate_days_left" in metrics


@pytest.fixture
async def lenient(tmp_path: Path, authority: Authority) -> AsyncIterator[Deployment]:
    """Its HTTP port demands no certificate, and a token instead."""
    async with deployed(
        tmp_path / "tandem", None, 2, **tls_settings(authority.files()), TANDEM_TLS_CLIENTS="grpc"
    ) as deployment:
        await deployment.start()
        yield deployment


async def test_a_worker_reaches_its_namespace(
    npm_packages: None, lenient: Deployment, tmp_path: Path
) -> None:
    async with lenient.client() as client:
        namespace = await client.namespaces.create("news")
    served = Served(lenient, namespace, admin="", write="", read="")
    worker = await asyncio.to_thread(runtimes.workerd, tmp_path, served)
    try:
        await asyncio.to_thread(worker.start)
        script = 'await kv.put("a", "b"); return await kv.get("a")'
        assert await asyncio.to_thread(worker.run, script) == "b"
    finally:
        await asyncio.to_thread(worker.stop)
    assert lenient.tls is not None
    for address in (lenient.grpc, lenient.kvsp_address):
        assert not await serves(address, TlsFiles(lenient.tls.ca))


async def test_a_pair_is_replaced_under_load_and_a_bad_one_is_not_used(
    tandem: Deployment, authority: Authority
) -> None:
    async with tandem.client() as client:
        await client.namespaces.create("news")
    answered, asking = 0, True

    async def read_and_write(number: int) -> None:
        nonlocal answered
        while asking:
            async with patient(tandem) as kv:  # a handshake each time
                value = f"{number}".encode()
                await kv.put(f"key {number}", value)
                assert await kv.get(f"key {number}") == value
                answered += 1

    async with asyncio.TaskGroup() as callers:
        for number in range(4):
            callers.create_task(read_and_write(number))
        good = authority.pair()
        good.write(authority.directory)

        async def shown_everywhere() -> bool:
            found = [await in_use(tandem) for _ in range(8)]
            return all(one.certificate.serial == good.serial and not one.trouble for one in found)

        await until_true(shown_everywhere, "the new certificate is in use")
        goal = answered + 8
        await until(lambda: answered >= goal, "calls go on")
        asking = False
    # From here on the pair on disk is bad. Clients are given a good one of their own.
    files = authority.files("client")
    bad = Pair(authority.pair().certificate, authority.pair().key, "")
    bad.write(authority.directory)
    tandem.tls = files

    async def told() -> bool:
        return "is not the key of" in (await in_use(tandem)).trouble

    await until_true(told, "the bad pair is told")
    before = tandem.workers()
    for worker in before:
        os.kill(worker, signal.SIGKILL)

    async def replaced() -> bool:
        found = [await in_use(tandem) for _ in range(4)]
        workers = tandem.workers()
        alike = all(one.certificate.serial == good.serial and one.trouble for one in found)
        return len(workers) == 2 and not set(workers) & set(before) and alike

    await until_true(replaced, "workers that start later use the last good pair")

    async def written() -> bool:
        async with patient(tandem) as kv:
            await kv.put("later", b"value")
            return await kv.get("later") == b"value"

    await until_true(written, "the new workers serve")


async def test_a_crawler_that_is_killed_leaves_its_key_in_its_data_alone(
    tmp_path: Path, authority: Authority
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    settings = {**tls_settings(authority.files()), "TMPDIR": str(elsewhere)}
    async with deployed(tmp_path / "tandem", None, 1, **settings) as tandem:
        await tandem.start()
        kept = tandem.data / "crawler" / "tls"
        tandem.crawler.start()
        await until(lambda: any(kept.glob("*.pem")), "it has reached the gateway")
        tandem.crawler.kill()
        (left := kept / "left.pem").touch()
        tandem.crawler.start()
        await until(lambda: not left.exists(), "the next one clears it away")
        await until(lambda: any(kept.glob("*.pem")), "it has reached the gateway")
        assert await tandem.crawler.stop() == 0
        assert not kept.exists()
        assert not any(elsewhere.iterdir())


async def test_a_start_with_bad_files_says_which_setting_is_wrong(
    tmp_path: Path, authority: Authority
) -> None:
    files = authority.files()
    Path(files.key).write_bytes(authority.pair().key)
    async with deployed(tmp_path / "tandem", None, 1, **tls_settings(files)) as tandem:
        for program in (tandem.kvsp, tandem.gateway):
            program.start()
            assert await program.ended() == 2
            assert "tls_key" in program.words()
            assert "is not the key of" in program.words()
        ended, text = await tandem.kvctl("up")
        assert ended != 0
        assert "is not the key of" in text
        ended, text = await tandem.kvctl("status")
        assert ended != 0
        assert "is not the key of" in text
