"""The page of programs that serve no HTTP otherwise."""

from tandem.runtime import logs
from tandem.runtime.clock import SystemClock
from tandem.runtime.metrics_page import MetricsPage
from tandem.runtime.settings import Address
from tandem.runtime.telemetry import Metrics
from tests.e2e.pages import fetch


async def test_it_says_why_the_program_is_not_ready_and_that_it_is() -> None:
    clock, waits_for = SystemClock(), ["waiting: s3 does not answer"]
    metrics = Metrics("test", clock)
    metrics.counted("tandem_things", "things", lambda: 3)
    page = MetricsPage(metrics, lambda: waits_for[0], clock, logs.get("test"))
    address = f"127.0.0.1:{await page.start(Address('127.0.0.1', 0))}"
    try:
        assert await fetch(address, "/readyz") == (503, "waiting: s3 does not answer\n")
        assert await fetch(address, "/healthz") == (200, "alive\n")
        waits_for[0] = ""
        assert await fetch(address, "/readyz?now") == (200, "ready\n")
        assert "tandem_things_total 3.0" in (await fetch(address, "/metrics"))[1]
        assert (await fetch(address, "/other"))[0] == 404
        assert (await fetch(address, "/metrics", "POST"))[0] == 405
    finally:
        await page.stop()
        metrics.close(1.0)
