"""Exact numbers in Prometheus' text, one page for all workers, and collectors that hang."""

import math
import socket
from importlib.util import find_spec
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tandem.runtime.clock import SystemClock
from tandem.runtime.snapshots import STALE_US, SnapshotWriter, render
from tandem.runtime.telemetry import BOUNDS_S, Latency, Metrics
from tests.runtime.clocks import StillClock


def _samples(page: bytes) -> dict[str, float]:
    lines = [line for line in page.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_counters_gauges_and_latencies_are_exact() -> None:
    metrics = Metrics("kvgateway", StillClock())
    acks = {home: metrics.counter("acks", "First confirmations.", home=home) for home in "ab"}
    assert metrics.counter("acks", "First confirmations.", home="a") is acks["a"]
    depth = 7
    metrics.gauge("queue_depth", "Repair tasks.", lambda: depth)
    metrics.counted("seen", "Seen elsewhere.", lambda: 12)
    latency = metrics.latency("leg", "One leg.", home="a")
    acks["a"].value += 3
    latency.observe(0.0001, times=2)
    for seconds in (0.00011, 0.2, 31.0):
        latency.observe(seconds)
    samples = _samples(metrics.prometheus())
    assert samples['acks_total{home="a"}'] == 3
    assert samples['acks_total{home="b"}'] == 0
    assert samples["queue_depth"] == 7
    assert samples["seen_total"] == 12
    assert samples['leg_seconds_count{home="a"}'] == 5
    assert samples['leg_seconds_sum{home="a"}'] == pytest.approx(31.20031)
    buckets = [samples[f'leg_seconds_bucket{{home="a",le="{bound}"}}'] for bound in BOUNDS_S]
    assert buckets == [2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4]
    metrics.close(1)


def test_a_latency_that_is_kept_elsewhere_is_shown_beside_others() -> None:
    metrics = Metrics("kvgateway", StillClock())
    metrics.counter("acks", "First confirmations.")
    kept = Latency()
    metrics.timed("leg", "One leg.", kept, home="a")
    metrics.latency("leg", "One leg.", home="b").observe(0.2)
    kept.observe(0.1, times=3)
    samples = _samples(metrics.prometheus())
    assert samples['leg_seconds_count{home="a"}'] == 3
    assert samples['leg_seconds_count{home="b"}'] == 1
    metrics.close(1)


def test_a_number_that_cannot_be_read_hides_no_other() -> None:
    metrics = Metrics("kvgateway", StillClock())
    metrics.gauge("broken", "Raises.", lambda: 1 / 0)
    metrics.gauge("whole", "Does not.", lambda: 5)
    assert "broken" not in _samples(metrics.prometheus())
    samples = _samples(metrics.prometheus())
    assert samples["whole"] == 5
    assert samples["tandem_metrics_unread_total"] == 1
    metrics.close(1)


def test_the_text_is_what_prometheus_own_client_reads() -> None:
    metrics = Metrics("kvgateway", StillClock())
    text, label = 'back\\slash, "quote",\nnew line', 'a\\b"c\nd'
    metrics.gauge("odd", text, lambda: 0.1 + 0.2, label=label, other="x")
    metrics.gauge("none", "Not a number.", lambda: math.nan)
    metrics.gauge("large", "More than all.", lambda: math.inf)
    metrics.counter("seen", "Seen.").value += 2**53
    metrics.latency("took", text, kind=label).observe(0.3, times=2)
    families = {
        family.name: family
        for family in text_string_to_metric_families(metrics.prometheus().decode())
    }
    assert families["odd"].documentation == families["took_seconds"].documentation == text
    assert [(one.labels, one.value) for one in families["odd"].samples] == [
        ({"label": label, "other": "x"}, 0.1 + 0.2)
    ]
    assert math.isnan(families["none"].samples[0].value)
    assert families["large"].samples[0].value == math.inf
    assert (families["seen"].type, families["seen"].samples[0].value) == ("counter", 2**53)
    took = families["took_seconds"]
    assert took.type == "histogram"
    samples = {(one.name, one.labels.get("le")): one.value for one in took.samples}
    assert samples["took_seconds_bucket", "0.25"] == 0
    assert samples["took_seconds_bucket", "+Inf"] == samples["took_seconds_count", None] == 2
    assert samples["took_seconds_sum", None] == 0.6
    assert {one.labels["kind"] for one in took.samples} == {label}
    metrics.close(1)


def _page(acks: int) -> bytes:
    return (
        b"# HELP acks_total Acks.\n# TYPE acks_total counter\n"
        b'acks_total{home="a"} %d\nacks_total %d\n'
        b"# HELP depth Depth.\n# TYPE depth gauge\ndepth 5\n" % (acks, acks)
    )


def test_workers_share_a_page_with_one_head_per_family(tmp_path: Path) -> None:
    for slot in (0, 1):
        SnapshotWriter(tmp_path, slot, 1).write(_page(slot + 1), 1000)
    page = render(tmp_path, 1000)
    assert page.count(b"# HELP acks_total") == page.count(b"# TYPE acks_total") == 1
    samples = _samples(page)
    assert samples['acks_total{worker="0",home="a"}'] == 1
    assert samples['acks_total{worker="1"}'] == 2
    assert samples['tandem_worker_up{worker="1"}'] == 1


def test_a_dead_worker_keeps_its_counters_until_its_successor_writes(tmp_path: Path) -> None:
    old, new = SnapshotWriter(tmp_path, 0, 1), SnapshotWriter(tmp_path, 0, 2)
    old.write(_page(9), 0)
    samples = _samples(render(tmp_path, STALE_US))
    assert samples['acks_total{worker="0"}'] == 9
    assert samples['tandem_worker_up{worker="0"}'] == 0
    assert 'depth{worker="0"}' not in samples
    new.write(_page(0), STALE_US)
    old.write(_page(10), STALE_US)
    assert _samples(render(tmp_path, STALE_US))['acks_total{worker="0"}'] == 0
    new.write(_page(1), STALE_US)
    assert [path.name for path in tmp_path.iterdir()] == ["worker-0.2.prom"]


def test_a_snapshot_that_cannot_be_written_is_counted(tmp_path: Path) -> None:
    writer = SnapshotWriter(tmp_path / "gone", 0, 1)
    writer.write(b"", 0)
    assert writer.failures == 1


@pytest.mark.skipif(
    find_spec("opentelemetry.exporter.otlp") is None, reason="the OTLP exporter is optional"
)
def test_a_collector_that_never_answers_stops_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(10)
        host, port = silent.getsockname()
        metrics = Metrics("t", SystemClock(), f"http://{host}:{port}")
        counter = metrics.counter("ops", "Operations.")
        counter.value += 1
        assert _samples(metrics.prometheus())["ops_total"] == 1
        metrics.close(1)
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(4096).startswith(b"POST /v1/metrics")
