"""What a worker shows of its HTTP port and of what it survived."""

from prometheus_client.parser import text_string_to_metric_families

from kvgateway.metrics import show_faults, show_http, show_lives
from kvgateway.process.lives import Lives
from tandem.runtime.clock import SystemClock
from tandem.runtime.httpd import HttpLimits, Request, Response
from tandem.runtime.telemetry import Metrics
from tests.runtime.wire import get, serving


def _shown(metrics: Metrics) -> dict[str, float]:
    """The samples, each under its name and the value of its label, without the page's own."""
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.prometheus().decode())
        for sample in family.samples
        if sample.name.startswith("tandem_") and sample.name != "tandem_metrics_unread_total"
    }


def _app(request: Request) -> Response:
    if request.target == b"/broken":
        raise LookupError("a bug")
    return Response(200)


async def test_the_http_port_shows_what_it_answered_and_whom_it_turned_away() -> None:
    metrics = Metrics("test", SystemClock())
    async with serving(_app, HttpLimits(connections_max=1)) as served:
        show_http(metrics, served.server)
        show_faults(metrics, {"http": lambda: served.server.stats.failures}, {})
        wire = await served.connect()
        await wire.send(get() + get(b"/broken"))
        assert [(await wire.answer()).status for _ in range(2)] == [200, 500]
        assert (await (await served.connect()).answer()).status == 503
        assert _shown(metrics) == {
            "tandem_http_connections": 1,
            "tandem_http_requests_total": 2,
            "tandem_http_refused_total connections": 1,
            "tandem_http_refused_total handshake": 0,
            "tandem_http_refused_total malformed": 0,
            "tandem_http_refused_total slow": 0,
            "tandem_bugs_total http": 1,
        }
        await wire.send(b"no request\r\n\r\n")
        assert (await wire.answer()).status == 400
        assert _shown(metrics)["tandem_http_refused_total malformed"] == 1
    metrics.close(1.0)


def test_what_was_survived_is_shown_by_part_and_by_loop() -> None:
    metrics = Metrics("test", SystemClock())
    show_faults(
        metrics,
        {"rpc": lambda: 1, "process": lambda: 2},
        {"keeper": lambda: 3, "inbox": lambda: 4},
    )
    assert _shown(metrics) == {
        "tandem_bugs_total rpc": 1,
        "tandem_bugs_total process": 2,
        "tandem_rounds_failed_total keeper": 3,
        "tandem_rounds_failed_total inbox": 4,
    }
    metrics.close(1.0)


def test_what_became_of_a_worker_is_shown() -> None:
    metrics = Metrics("test", SystemClock())
    show_lives(metrics, lambda: Lives(started=5, silent=1, died=3, not_started=2, replaced=1))
    assert _shown(metrics) == {
        "tandem_worker_started_total": 5,
        "tandem_worker_died_total": 3,
        "tandem_worker_silent_total": 1,
        "tandem_worker_not_started_total": 2,
        "tandem_worker_replaced_total": 1,
    }
    metrics.close(1.0)
