"""What KVSP shows of itself: names of metrics over plain counters."""

from collections.abc import Callable

from kvsp.service import StorageCounters
from tandem.runtime.telemetry import Metrics


def expose(metrics: Metrics, counters: StorageCounters) -> None:
    """Declares all of them."""

    def count(name: str) -> Callable[[], int]:
        return lambda: int(getattr(counters, name))

    metrics.counted(
        "tandem_kvsp_streams", "streams of gateways and crawlers opened", count("streams")
    )
    metrics.counted("tandem_kvsp_messages", "messages that came over streams", count("messages"))
    metrics.counted("tandem_kvsp_scans", "pages of listings answered", count("scans"))
    metrics.counted("tandem_kvsp_names", "names in them", count("names"))
    metrics.counted(
        "tandem_kvsp_scans_failed", "listings that no cluster answered", count("scans_failed")
    )
    metrics.counted(
        "tandem_kvsp_scans_incomplete", "listings without some cluster", count("scans_incomplete")
    )
