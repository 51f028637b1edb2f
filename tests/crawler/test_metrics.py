"""What the crawler shows, asked from another thread, as its page does."""

import asyncio
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from crawler.board import Board
from crawler.book import Book
from crawler.metrics import expose
from tandem.core.crawl_status import Crawled, Stop
from tandem.core.drift import Drift
from tandem.core.tally import Tally
from tandem.runtime.clock import SystemClock
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.telemetry import Metrics

NAMESPACE = "a" * 32


async def _shown(metrics: Metrics) -> dict[str, float]:
    """The samples, each under its name and the value of its label."""
    page = await asyncio.to_thread(metrics.prometheus)
    return {
        " ".join((sample.name.removeprefix("tandem_"), *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
        if sample.name.startswith("tandem_")
    }


async def test_everything_that_it_knows_is_on_the_page(tmp_path: Path) -> None:
    book = Book(tmp_path / "book.sqlite")
    board, metrics = Board(book, SystemEntropy()), Metrics("crawler", SystemClock())
    expose(metrics, board)
    shown = await _shown(metrics)
    assert {*shown.values()} == {0.0}
    assert {name for name in shown if name.startswith("drift_keys ")} == {
        f"drift_keys {drift.name.lower()}" for drift in Drift
    }
    board.counters.rounds += 1
    board.pause()
    book.stop(Stop(NAMESPACE, 1, 5000, "too much"))
    tally = Tally(equal=4)
    tally.keys[Drift.ZOMBIE] = 3
    board.note(Crawled(NAMESPACE, "p", 1, 1, 2, 0, False, 1, "", "", tally))
    assert {name: value for name, value in (await _shown(metrics)).items() if value} == {
        "crawler_rounds_total": 1,
        "crawler_paused": 1,
        "crawler_breakers_open": 1,
        "drift_keys zombie": 3,
    }
    book.accept()
    assert (await _shown(metrics))["crawler_breakers_open"] == 0
    metrics.close(1.0)
    book.close()
