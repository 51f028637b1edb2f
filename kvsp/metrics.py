"""What KVSP shows of itself: names of metrics over plain counters."""

from functools import partial

from kvsp.service import StorageCounters
from tandem.runtime.telemetry import Metrics


def expose(metrics: Metrics, counters: StorageCounters) -> None:
    """Declares all of them."""
    for name, text in (
        ("streams", "streams of gateways and crawlers that were opened"),
        ("messages", "messages that came over streams"),
        ("scans", "pages of listings that were answered"),
        ("names", "names in them"),
        ("scans_failed", "listings that no cluster answered"),
        ("scans_incomplete", "listings without some cluster"),
    ):
        metrics.counted(f"tandem_kvsp_{name}", text, partial(getattr, counters, name))
