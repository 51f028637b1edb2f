"""What a worker shows of the objects on its data path."""

from collections.abc import Callable, Mapping

from kvgateway.data_path.build import DataPath
from kvgateway.metrics import show_data_path, show_homes, show_repair
from tandem.runtime.telemetry import Metrics


def show_path(metrics: Metrics, path: DataPath) -> None:
    """Homes, requests, repair, and what this worker remembers."""
    show_homes(metrics, path.guards)
    show_data_path(metrics, path.writer, path.reader, path.inbox, path.machine)
    show_repair(metrics, path.repair)
    path.keeper.show(metrics)
    metrics.gauge("tandem_journal_pending", "intents not done", path.journal.live)
    metrics.gauge(
        "tandem_journal_writable", "0 while the disk refuses intents",
        lambda: float(path.journal.writable),
    )  # fmt: skip
    metrics.counted(
        "tandem_quota_memory_emptied", "times that the memory of quotas was full",
        lambda: path.quota_memory.emptied,
    )  # fmt: skip
    metrics.gauge(
        "tandem_registered", "1 while this process may go by the modes that it has seen",
        lambda: float(path.presence.stands()),
    )  # fmt: skip


def rounds_failed(path: DataPath) -> Mapping[str, Callable[[], int]]:
    """How many rounds of each loop met a fault and came again."""
    return {
        "keeper": lambda: path.keeper.errors,
        "switch copies": lambda: path.switch_copies.errors,
        "namespaces": lambda: path.registry.errors,
        "tokens": lambda: path.tokens.errors,
        "presence": lambda: path.presence.errors,
        "repair": lambda: path.repair.counters.errors + path.repair.counters.queue_errors,
        "inbox": lambda: path.inbox.queue_errors,
    }
