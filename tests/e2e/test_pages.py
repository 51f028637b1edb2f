"""Health, readiness and metrics of a running gateway; and a collector that never answers."""

import socket
from pathlib import Path

from tests.e2e.comparison import check
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.history import Mix, more, under_load
from tests.e2e.pages import fetch, metrics, total
from tests.e2e.waiting import until_true

NAMES = frozenset({
    "tandem_acks_total", "tandem_breaker_open", "tandem_cache_results_total", "tandem_healed_total",
    "tandem_home_enabled", "tandem_home_latency_seconds_bucket", "tandem_journal_pending",
    "tandem_queue_depth", "tandem_single_copy_seconds", "tandem_superseded_total",
    "tandem_worker_up",
})  # fmt: skip


async def test_health_and_readiness(tandem: Deployment) -> None:
    assert await fetch(tandem.http, "/healthz") == (200, "alive\n")
    assert await fetch(tandem.http, "/readyz") == (200, "ready\n")
    assert (await fetch(tandem.http, "/nothing"))[0] == 404


async def test_metrics_tell_of_writes_reads_and_what_waits_for_repair(tandem: Deployment) -> None:
    before = await metrics(tandem.http)
    assert {sample.name for sample in before} >= NAMES
    assert {sample.labels["worker"] for sample in before} == {"0"}
    async with tandem.client("n") as client:
        for number in range(50):
            await client.put(f"k-{number}", b"v")
            await client.get(f"k-{number}")

        async def counted() -> bool:
            now = await metrics(tandem.http)
            acks = total(now, "tandem_acks_total") - total(before, "tandem_acks_total")
            return acks >= 50 and total(now, "tandem_cache_results_total", result="hit") >= 50

        await until_true(counted, "writes and reads are counted")
        tandem.kvsp.kill()
        for number in range(50):
            await client.put(f"k-{number}", b"w")

        async def deep() -> bool:
            now = await metrics(tandem.http)
            return (
                total(now, "tandem_queue_depth", home="kvsp") >= 50
                and total(now, "tandem_queue_depth", home="s3") == 0
                and total(now, "tandem_breaker_open", home="kvsp") == 1
                and total(now, "tandem_single_copy_seconds") > 0
            )

        await until_true(deep, "the queue is shown")
        await tandem.restart_kvsp()

        async def healed() -> bool:
            now = await metrics(tandem.http)
            return total(now, "tandem_queue_depth") == 0 and total(now, "tandem_healed_total") >= 50

        await until_true(healed, "the queue is shown to run empty")


async def test_a_collector_that_never_answers_slows_and_stops_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with deployed(
            tmp_path / "tandem",
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
            OTEL_METRIC_EXPORT_INTERVAL="200",
        ) as tandem:
            await tandem.start()
            async with tandem.client() as client:
                await client.namespaces.create("n")
            async with under_load(tandem.grpc, "n", Mix()) as history:
                await more(history, 3000)
            assert not history.errors()
            await check(tandem, "n", history)
            assert await tandem.gateway.stop() == 0
            assert tandem.workers() == []
