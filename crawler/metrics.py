"""What the crawler shows of itself: names of metrics, read from the board and the book."""

from functools import partial

from crawler.board import Board
from tandem.core.drift import Drift
from tandem.runtime.telemetry import Metrics


def expose(metrics: Metrics, board: Board) -> None:
    """Declares all of them."""
    counters = board.counters
    for name, text in (
        ("rounds", "rounds over all namespaces that were completed"),
        ("crawls", "crawls of a namespace that have ended"),
        ("incomplete", "crawls that could not see everything"),
        ("copied", "records written to a home by repair"),
        ("unhealed", "keys that stayed unequal, counted in every crawl"),
        ("errors", "faults of the crawler itself"),
        ("compared", "keys compared"),
        ("s3_requests", "requests to S3"),
        ("kvsp_requests", "requests to KVSP"),
    ):
        metrics.counted(f"tandem_crawler_{name}", text, partial(getattr, counters, name))
    metrics.gauge("tandem_crawler_paused", "1 while a person has paused it", lambda: board.paused)
    metrics.gauge(
        "tandem_crawler_breakers_open", "namespaces whose repair waits for a person",
        lambda: board.breakers_open,
    )  # fmt: skip
    for drift in Drift:
        metrics.gauge(
            "tandem_drift_keys", "keys of a class of drift in the last crawl of each namespace",
            partial(_keys, board, drift), drift=drift.name.lower(),
        )  # fmt: skip


def _keys(board: Board, drift: Drift) -> int:
    return sum(crawled.tally.keys[drift] for crawled in board.latest)
