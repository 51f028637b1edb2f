"""Processes killed and stopped in the middle of a load: no error where a home is left to answer,
and nothing is lost."""

from pathlib import Path

from tests.e2e.comparison import check
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.history import Mix, more, under_load
from tests.e2e.program import continue_process, kill_process, stop_process
from tests.e2e.waiting import until


async def test_a_load_on_healthy_homes(tandem: Deployment) -> None:
    async with under_load(tandem.grpc, "n", Mix()) as history:
        await more(history, 3000)
    assert not history.errors()
    await check(tandem, "n", history)


async def test_kvsp_killed_under_load(tandem: Deployment) -> None:
    async with under_load(tandem.grpc, "n", Mix()) as history:
        await more(history, 1000)
        tandem.kvsp.kill()
        await more(history, 2000)
        await tandem.restart_kvsp()
        await more(history, 1000)
    assert not history.errors()
    await check(tandem, "n", history)


async def test_kvsp_that_hangs_under_load(tandem: Deployment) -> None:
    async with under_load(tandem.grpc, "n", Mix()) as history:
        await more(history, 1000)
        stop_process(tandem.kvsp.pid)
        await more(history, 2000)
        continue_process(tandem.kvsp.pid)
        await more(history, 1000)
    assert not history.errors()
    await check(tandem, "n", history)


async def test_a_worker_killed_between_the_first_ack_and_the_second_leg(
    tandem: Deployment,
) -> None:
    async with tandem.client("n") as client:
        await client.put("k", b"before")
        await client.put("gone", b"before")
        stop_process(tandem.kvsp.pid)
        acknowledged = {f"k-{i}": await client.put(f"k-{i}", f"{i}") for i in range(20)}
        acknowledged["k"] = await client.put("k", b"after")
        await client.delete("gone")
        [worker] = tandem.workers()
        kill_process(worker)
        await until(lambda: tandem.workers() not in ([], [worker]), "a new worker runs")
    continue_process(tandem.kvsp.pid)
    async with tandem.client("n", session_keys_max=0) as fresh:
        for key, version in acknowledged.items():
            entry = await fresh.get_with_metadata(key)
            assert entry is not None
            assert entry.version == version
        assert await fresh.get("gone") is None
    assert "intents_recovered" in tandem.gateway.words()
    await tandem.settled()


async def test_the_whole_gateway_killed_between_the_first_ack_and_the_second_leg(
    tandem: Deployment,
) -> None:
    async with under_load(tandem.grpc, "n", Mix(keys=50)) as history:
        await more(history, 500)
        stop_process(tandem.kvsp.pid)
        await more(history, 500)
        await tandem.kill_gateway()
        continue_process(tandem.kvsp.pid)
        await tandem.restart_gateway()
        await more(history, 500)
    await check(tandem, "n", history)


async def test_workers_end_when_their_supervisor_is_killed(tandem: Deployment) -> None:
    async with tandem.client("n") as client:
        before = await client.put("k", b"before")
    workers = tandem.workers()
    tandem.gateway.kill()
    await until(lambda: not tandem.workers(), f"the workers {workers} end")
    await tandem.restart_gateway()
    async with tandem.client("n", session_keys_max=0) as client:
        assert await client.get("k") == b"before"
        assert await client.put("k", b"after") > before


async def test_a_worker_that_hangs_is_replaced_while_the_other_serves(tmp_path: Path) -> None:
    async with deployed(tmp_path / "tandem", workers=2, TANDEM_WORKER_SILENCE_MAX="3s") as tandem:
        await tandem.start()
        async with tandem.client() as client:
            await client.namespaces.create("n")
        # One that has not begun yet may be silent for longer.
        await until(lambda: tandem.gateway.words().count('"ready"') == 2, "two are ready")
        async with under_load(tandem.grpc, "n", Mix(clients=6)) as history:
            await more(history, 500)
            victim, other = tandem.workers()
            stop_process(victim)
            await until(lambda: victim not in tandem.workers(), "it is killed")
            await until(lambda: len(tandem.workers()) == 2, "it is replaced")
            await more(history, 500)
            assert other in tandem.workers()
        await check(tandem, "n", history)


async def test_a_stop_under_load_loses_nothing(tandem: Deployment) -> None:
    async with under_load(tandem.grpc, "n", Mix()) as history:
        await more(history, 1000)
        assert await tandem.gateway.stop() == 0
        assert tandem.workers() == []
        await tandem.restart_gateway()
        await more(history, 500)
    await check(tandem, "n", history)
    for program in (tandem.gateway, tandem.kvsp):
        assert await program.stop() == 0
    assert tandem.pids() == []
