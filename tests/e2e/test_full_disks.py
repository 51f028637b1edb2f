"""A disk that is full under load: what is acknowledged stays, what is refused says so, and all goes
on when there is room again."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tandem.core.limits import KIB
from tandem.core.version import Version
from tandem.errors import Unavailable
from tests.conftest import require
from tests.e2e.comparison import check
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.history import Mix, more, under_load
from tests.e2e.pages import metrics, total
from tests.e2e.program import kill_process
from tests.e2e.waiting import until, until_true
from tests.servers.small_disk import fill, mounted

_MIX = Mix(clients=2, large=0.02)
_DISK_MIB = 24


@dataclass(frozen=True, slots=True)
class Cramped:
    """A deployment whose gateway and KVSP have a small disk each."""

    tandem: Deployment
    gateway: Path
    kvsp: Path


@pytest.fixture
async def cramped(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Cramped]:
    data = tmp_path / "tandem" / "data"
    disks = [data / "gateway", data / "kvsp"]
    with ExitStack() as stack:
        try:
            for disk in disks:
                stack.enter_context(mounted(disk, _DISK_MIB))
        except RuntimeError as error:
            require(str(error), "a full disk", request.config)
        async with deployed(tmp_path / "tandem") as tandem:
            await tandem.start()
            async with tandem.client() as client:
                await client.namespaces.create("n")
            yield Cramped(tandem, *disks)


async def _writable(tandem: Deployment) -> bool:
    return (await tandem.status()).journal_writable


async def _shown_unqueued(tandem: Deployment) -> bool:
    """A full disk does not keep the numbers from anybody."""
    return total(await metrics(tandem.http), "tandem_repairs_unqueued") > 0


async def _unwritable(tandem: Deployment) -> bool:
    return not await _writable(tandem)


async def _shows(tandem: Deployment, version: Version) -> None:
    """Nobody is misled by the home that lacks it."""
    async with tandem.client("n", session_keys_max=0) as fresh:
        for _ in range(20):
            entry = await fresh.get_with_metadata("k")
            assert entry is not None
            assert entry.version == version


async def test_the_gateways_disk_is_full_while_kvsp_dies(cramped: Cramped) -> None:
    tandem = cramped.tandem
    async with under_load(tandem.grpc, "n", _MIX) as history:
        await more(history, 300)
        ballast = fill(cramped.gateway)
        await until_true(lambda: _unwritable(tandem), "the journal is unwritable")
        await more(history, 500)
        assert not history.errors()
        assert "journal_unwritable" in tandem.gateway.words()
        tandem.kvsp.kill()
        await tandem.gateway.says("repair_queue_failed")
        await until_true(lambda: _shown_unqueued(tandem), "the page shows what waits")
        await until(lambda: len(history.errors()) > 10, "writes are refused")
        await tandem.restart_kvsp()
        await more(history, 100)
        ballast.unlink()
        await until_true(lambda: _writable(tandem), "the journal is writable")
        await more(history, 300)
    assert all("outcome unknown: " in error for error in history.errors()), history.errors()[:5]
    await check(tandem, "n", history)


async def test_a_worker_dies_on_a_full_disk(cramped: Cramped) -> None:
    """Its successor serves at once, acknowledges what both homes have confirmed, and is not misled
    by the home that lacks what the dead one has acknowledged."""
    tandem = cramped.tandem
    async with tandem.client("n") as client:
        await client.put("k", b"before")
        tandem.kvsp.kill()
        version = await client.put("k", b"after")
        ballast = fill(cramped.gateway)
        [worker] = tandem.workers()
        kill_process(worker)
        await tandem.gateway.says("intents_not_queued")
        with pytest.raises(Unavailable, match="outcome unknown"):
            await client.put("k2", b"in one home")
        assert tandem.workers() != [worker]
        await tandem.restart_kvsp()

        async def stored() -> bool:
            """Over both of the streams to KVSP: that it is reached anew by one of them bars it."""
            small = await client.put("k2", b"in both homes")
            return bool(small and await client.put("k3", bytes(100 * KIB)))

        await until_true(stored, "both homes take a write")
    await _shows(tandem, version)
    async with under_load(tandem.grpc, "n", _MIX) as history:
        await more(history, 300)
        status = await tandem.status()
        assert (status.journal_writable, status.journal_pending > 0) == (False, True)
        assert await _shown_unqueued(tandem)
        assert not history.errors()
        ballast.unlink()
        await more(history, 300)
    await check(tandem, "n", history)


async def test_a_gateway_begins_again_on_the_full_disk_on_which_it_died(cramped: Cramped) -> None:
    tandem = cramped.tandem
    async with tandem.client("n") as client:
        await client.put("k", b"before")
        tandem.kvsp.kill()
        version = await client.put("k", b"after")
    ballast = fill(cramped.gateway)
    await tandem.kill_gateway()
    await tandem.restart_kvsp()
    await tandem.restart_gateway()
    await tandem.gateway.says("intents_not_queued")
    await _shows(tandem, version)
    ballast.unlink()
    await tandem.settled()
    await _shows(tandem, version)


async def test_kvsps_disk_is_full(cramped: Cramped) -> None:
    tandem = cramped.tandem
    async with under_load(tandem.grpc, "n", _MIX) as history:
        await more(history, 300)
        ballast = fill(cramped.kvsp)
        await more(history, 800)

        async def said() -> bool:
            return any("full" in home.last_failure for home in (await tandem.status()).homes)

        await until_true(said, "the status says why")
        ballast.unlink()
        await more(history, 300)
    assert not history.errors()
    await check(tandem, "n", history)


async def test_everything_is_killed_on_full_disks(cramped: Cramped) -> None:
    tandem = cramped.tandem
    async with under_load(tandem.grpc, "n", _MIX) as history:
        await more(history, 300)
        ballast = [fill(cramped.gateway), fill(cramped.kvsp)]
        await more(history, 300)
        await tandem.kill_gateway()
        tandem.kvsp.kill()
        for each in ballast:
            each.unlink()
        await tandem.restart_kvsp()
        await tandem.restart_gateway()
        await more(history, 100)
    await check(tandem, "n", history)
