"""What the crawler shows of itself: names of metrics, read from the board and the book."""

from collections.abc import Callable
from functools import partial

from crawler.board import Board
from tandem.core.drift import Drift
from tandem.runtime.telemetry import Metrics


def expose(metrics: Metrics, board: Board) -> None:
    """Declares all of them."""
    counters = board.counters

    def count(name: str) -> Callable[[], int]:
        return lambda: int(getattr(counters, name))

    metrics.counted(
        "tandem_crawler_rounds", "rounds over all namespaces that were completed", count("rounds")
    )
    metrics.counted(
        "tandem_crawler_partial_rounds", "rounds over what is kept in KVSP alone",
        count("partial_rounds"),
    )  # fmt: skip
    metrics.counted(
        "tandem_crawler_crawls", "crawls of a namespace that have ended", count("crawls")
    )
    metrics.counted(
        "tandem_crawler_incomplete", "crawls that could not see everything", count("incomplete")
    )
    metrics.counted("tandem_crawler_copied", "records written to a home by repair", count("copied"))
    metrics.counted(
        "tandem_crawler_unhealed", "keys that stayed unequal, in each crawl", count("unhealed")
    )
    metrics.counted("tandem_crawler_errors", "faults of the crawler itself", count("errors"))
    metrics.counted(
        "tandem_crawler_unreadable", "looks at a plan or a lease that could not be read",
        count("unreadable"),
    )  # fmt: skip
    metrics.counted("tandem_crawler_compared", "keys compared", count("compared"))
    metrics.counted("tandem_crawler_s3_requests", "requests to S3", count("s3_requests"))
    metrics.counted("tandem_crawler_kvsp_requests", "requests to KVSP", count("kvsp_requests"))
    metrics.counted(
        "tandem_crawler_namespaces_ended", "deleted namespaces of which both homes hold no more",
        count("namespaces_ended"),
    )  # fmt: skip
    metrics.gauge("tandem_crawler_paused", "1 while a person has paused it", lambda: board.paused)
    metrics.gauge(
        "tandem_crawler_breakers_open", "namespaces whose repair or removal waits for a person",
        lambda: board.breakers_open,
    )  # fmt: skip
    for drift in Drift:
        metrics.gauge(
            "tandem_drift_keys", "keys of a class of drift in the last crawl of each namespace",
            partial(_keys, board, drift), drift=drift.name.lower(),
        )  # fmt: skip


def _keys(board: Board, drift: Drift) -> int:
    return sum(crawled.tally.keys[drift] for crawled in board.latest)
