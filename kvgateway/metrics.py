"""What a worker shows of itself: names of metrics, and how the hot path counts them."""

from collections.abc import Callable, Mapping
from functools import partial

from kvgateway.access.entrance import EntranceCounters
from kvgateway.access.quotas import Limit
from kvgateway.data_path.inbox import RepairInbox
from kvgateway.data_path.reads import Reader
from kvgateway.data_path.repair import RepairWorker
from kvgateway.data_path.writes import Writer
from kvgateway.homes.guard import GuardedHome
from kvgateway.process.lives import Lives
from kvgateway.state.ports import Machine
from tandem.core.backoff import BreakerState
from tandem.core.reply import Reason, Side
from tandem.runtime.httpd import Server
from tandem.runtime.telemetry import Counter, Latency, Metrics

_OPERATIONS = ("get", "put", "scan")
NAMESPACES_SHOWN_MAX = 100
"""So many namespaces have numbers of their own; the rest is counted together, as "other"."""


class HomeMetrics:
    """Counts and times what homes answer; a `kvgateway.homes.guard.HomeObserver`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._latencies: dict[tuple[Side, str], Latency] = {
            (side, operation): metrics.latency(
                "tandem_home_latency", "time until a home answered", home=side.value,
                operation=operation,
            )
            for side in Side
            for operation in _OPERATIONS
        }  # fmt: skip
        self._failures: dict[tuple[Side, str, Reason], Counter] = {}
        self._broke = {
            side: metrics.counter(
                "tandem_home_bugs", "exceptions that a home should not raise", home=side.value
            )
            for side in Side
        }

    def replied(
        self, side: Side, operation: str, failure: Reason | None, elapsed_us: int, calls: int = 1
    ) -> None:
        """So many calls that began together have ended alike."""
        self._latencies[side, operation].observe(elapsed_us / 1_000_000, calls)
        if failure is not None:
            self._failure(side, operation, failure).value += calls

    def broke(self, side: Side) -> None:
        """A home's code raised an exception that it should not."""
        self._broke[side].value += 1

    def _failure(self, side: Side, operation: str, reason: Reason) -> Counter:
        at = (side, operation, reason)
        counter = self._failures.get(at)
        if counter is None:
            counter = self._failures[at] = self._metrics.counter(
                "tandem_home_failures", "calls that a home did not answer", home=side.value,
                operation=operation, reason=reason.value,
            )  # fmt: skip
        return counter


class QuotaMetrics:
    """Counts what quotas refuse and hold back; a `kvgateway.access.quotas.Counts`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._shown: set[str] = set()
        self._refused: dict[tuple[str, Limit], Counter] = {}
        self._waited: dict[str, Counter] = {}

    def refused(self, namespace: str, limit: Limit, count: int) -> None:
        """So many requests of a namespace were refused."""
        counter = self._refused.get((namespace, limit))
        if counter is None:
            counter = self._counter(self._label(namespace), limit)
        counter.value += count

    def waited(self, namespace: str, count: int) -> None:
        """So many operations on a namespace wait for their turn."""
        label = self._label(namespace)
        counter = self._waited.get(label)
        if counter is None:
            counter = self._waited[label] = self._metrics.counter(
                "tandem_quota_waited", "operations that waited for their turn", namespace=label
            )
        counter.value += count

    def _label(self, namespace: str) -> str:
        if namespace not in self._shown and len(self._shown) >= NAMESPACES_SHOWN_MAX:
            return "other"
        self._shown.add(namespace)
        return namespace

    def _counter(self, label: str, limit: Limit) -> Counter:
        counter = self._refused[label, limit] = self._metrics.counter(
            "tandem_quota_refused", "requests that a quota had no room for", namespace=label,
            limit=limit.value,
        )  # fmt: skip
        return counter


def show_homes(metrics: Metrics, guards: Mapping[Side, GuardedHome]) -> None:
    """Breaker and switches of each home."""
    for side, guard in guards.items():
        home = side.value
        metrics.gauge(
            "tandem_breaker_open", "1 while a home is not asked", partial(_broken, guard), home=home
        )
        for use, enabled in (("reads", _reads_enabled), ("writes", _writes_enabled)):
            metrics.gauge(
                "tandem_home_enabled", "1 while a home is used", partial(enabled, guard),
                home=home, use=use,
            )  # fmt: skip


def _broken(guard: GuardedHome) -> float:
    return float(guard.breaker.state is not BreakerState.CLOSED)


def _reads_enabled(guard: GuardedHome) -> float:
    return float(guard.switch.reads)


def _writes_enabled(guard: GuardedHome) -> float:
    return float(guard.switch.writes)


def show_data_path(
    metrics: Metrics, writer: Writer, reader: Reader, inbox: RepairInbox, machine: Machine
) -> None:
    """Acknowledgements, cache results and what is under way."""
    writes, reads, compared = writer.counters, reader.counters, reader.comparisons.total
    for side in Side:
        metrics.counted(
            "tandem_acks", "writes acknowledged, by the home that confirmed first",
            partial(writes.acked_first.__getitem__, side), home=side.value,
        )  # fmt: skip
    metrics.counted(
        "tandem_superseded", "writes that found a newer version", lambda: writes.superseded
    )
    metrics.counted(
        "tandem_single_copy", "writes that one home lacked when their legs had ended",
        lambda: writes.single_copy,
    )  # fmt: skip
    for result, read in (
        ("hit", lambda: reads.hits),
        ("miss", lambda: reads.misses),
        ("stale", lambda: reads.stale),
    ):
        metrics.counted("tandem_cache_results", "reads by cache result", read, result=result)
    for operation, unavailable, overloaded in (
        ("read", lambda: reads.unavailable, lambda: reads.overloaded),
        ("write", lambda: writes.unavailable, lambda: writes.overloaded),
    ):
        metrics.counted(
            "tandem_unavailable", "requests that no home could answer", unavailable,
            operation=operation,
        )  # fmt: skip
        metrics.counted(
            "tandem_overloaded", "requests refused at a bound", overloaded, operation=operation
        )
    metrics.counted(
        "tandem_hedged_reads", "reads that asked the second home late", lambda: reads.hedged
    )
    metrics.counted(
        "tandem_sampled_reads", "reads that asked both homes by lot", lambda: reads.sampled
    )
    for result, read in (
        ("equal", lambda: compared.compared - compared.different),
        ("different", lambda: compared.different),
    ):
        metrics.counted(
            "tandem_shadow_reads", "reads that a home which does not answer alone was compared in",
            read, result=result,
        )  # fmt: skip
    for operation, waited in (("read", reader.waited), ("write", writer.waited)):
        metrics.timed(
            "tandem_answer", "time until a read that missed, or a write, was answered", waited,
            operation=operation,
        )  # fmt: skip
    metrics.counted("tandem_read_drift", "reads that saw two answers", lambda: reads.drift)
    metrics.counted("tandem_corruption", "equal versions, other bytes", lambda: reads.corrupt)
    metrics.counted(
        "tandem_drift_dropped", "noticed, but the inbox was full", lambda: inbox.dropped
    )
    metrics.counted(
        "tandem_repairs_left_to_intents", "of writes, but the inbox was full",
        lambda: inbox.left_to_intents,
    )  # fmt: skip
    metrics.gauge(
        "tandem_repairs_unqueued", "repairs that the queue's disk has not taken yet",
        lambda: inbox.waiting + machine.left_over(),
    )  # fmt: skip
    metrics.gauge("tandem_writes_under_way", "writes", lambda: writer.under_way)
    metrics.gauge("tandem_reads_under_way", "races of reads", lambda: reader.under_way)


def show_entrance(metrics: Metrics, counters: EntranceCounters) -> None:
    """Who was not let in."""
    for why, read in (
        ("missing", lambda: counters.missing),
        ("invalid", lambda: counters.invalid),
        ("not looked for", lambda: counters.not_looked_for),
    ):
        metrics.counted(
            "tandem_authentication_failures", "callers that were not let in", read, why=why
        )
    metrics.counted(
        "tandem_token_lookups", "tokens that the homes were asked for",
        lambda: counters.looked_for,
    )  # fmt: skip


def show_repair(metrics: Metrics, worker: RepairWorker) -> None:
    """What repair did."""
    counters = worker.counters
    metrics.counted("tandem_healed", "repair tasks done", lambda: counters.healed)
    metrics.counted("tandem_copies", "records written by repair", lambda: counters.copied)
    metrics.counted("tandem_heal_failures", "repair tasks put back", lambda: counters.failed)
    metrics.counted("tandem_parked", "repair tasks left to a person", lambda: counters.parked)


def show_http(metrics: Metrics, server: Server) -> None:
    """What the HTTP port sees of its clients."""
    stats = server.stats
    metrics.gauge("tandem_http_connections", "open", lambda: server.open_connections)
    metrics.counted("tandem_http_requests", "requests answered", lambda: stats.requests)
    for why, read in (
        ("connections", lambda: stats.connections_refused),
        ("handshake", lambda: stats.handshakes_failed),
        ("malformed", lambda: stats.rejected),
        ("slow", lambda: stats.timeouts),
    ):
        metrics.counted("tandem_http_refused", "connections that were ended", read, why=why)


def show_lives(metrics: Metrics, lives: Callable[[], Lives]) -> None:
    """What became of the processes in this worker's slot."""
    metrics.counted("tandem_worker_started", "processes of this worker", lambda: lives().started)
    metrics.counted(
        "tandem_worker_died", "of them, those that ended by themselves or were killed",
        lambda: lives().died,
    )  # fmt: skip
    metrics.counted(
        "tandem_worker_silent", "of them, those that were killed for their silence",
        lambda: lives().silent,
    )  # fmt: skip
    metrics.counted(
        "tandem_worker_not_started", "replacements that failed", lambda: lives().not_started
    )
    metrics.counted(
        "tandem_worker_replaced", "of them, those that gave way to one with other settings",
        lambda: lives().replaced,
    )  # fmt: skip


def show_faults(
    metrics: Metrics, bugs: Mapping[str, Callable[[], int]], loops: Mapping[str, Callable[[], int]]
) -> None:
    """What a worker survived: by the part that met a `bug`, and by the loop that went on."""
    for part, read in bugs.items():
        metrics.counted("tandem_bugs", "faults of Tandem itself", read, part=part)
    for loop, read in loops.items():
        metrics.counted(
            "tandem_rounds_failed", "rounds that failed and come again", read, loop=loop
        )
