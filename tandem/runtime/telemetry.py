"""Metrics: plain numbers on the hot path, OpenTelemetry when somebody looks.

An OpenTelemetry `add` or `record` costs 6 to 7 us; a service that answers 40,000 requests a second
cannot pay that. So the hot path touches plain Python numbers (`counter.value += 1`,
`latency.observe(s)`), and the SDK reads them at collection time: counters and gauges through
observable instruments, latencies as histogram points built from buckets that are always exact.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import TypeAlias

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry, generate_latest

from tandem.runtime.clock import Clock

BOUNDS_S = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
)  # fmt: skip
OTLP_INTERVAL_S = 15.0
OTLP_TIMEOUT_S = 5.0

Labels: TypeAlias = tuple[tuple[str, str], ...]


class Counter:
    """Only ever grows: `counter.value += 1`."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def read(self) -> int:
        return self.value


class Latency:
    """A histogram of seconds."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0

    def observe(self, seconds: float, times: int = 1) -> None:
        self.counts[bisect_left(BOUNDS_S, seconds)] += times
        self.total_s += seconds * times


class Metrics:
    """The metrics of one process. Declare at start; the values returned are the hot path."""

    def __init__(self, program: str, clock: Clock, otlp_endpoint: str | None = None) -> None:
        """Export to `otlp_endpoint` too if it is given; `ImportError` without an OTLP exporter."""
        self._clock = clock
        self._start_us = clock.now_us()
        self._resource = Resource({"service.name": program})
        self._registry = CollectorRegistry()
        self._counters: dict[tuple[object, ...], Counter] = {}
        self._readings: dict[str, dict[Labels, Callable[[], float]]] = {}
        self._latencies: dict[str, tuple[str, dict[Labels, Latency]]] = {}
        readers: list[MetricReader] = [_Prometheus(self._registry, self._with_latencies)]
        if otlp_endpoint:
            readers.append(_Otlp(_otlp_exporter(otlp_endpoint), self._with_latencies))
        self._provider = MeterProvider(readers, self._resource, shutdown_on_exit=False)
        self._meter = self._provider.get_meter("tandem")

    def counter(self, name: str, help: str, **labels: str) -> Counter:  # noqa: A002
        """The counter `name` with these labels; the same one when it is asked for again."""
        key = (name, *sorted(labels.items()))
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = Counter()
            self.counted(name, help, counter.read, **labels)
        return counter

    def gauge(self, name: str, help: str, read: Callable[[], float], **labels: str) -> None:  # noqa: A002
        """`read` is called at each collection, on any thread; it must not block."""
        self._read(self._meter.create_observable_gauge, name, help, read, labels)

    def counted(self, name: str, help: str, read: Callable[[], float], **labels: str) -> None:  # noqa: A002
        """A counter kept elsewhere as a plain number; `read` must never go backwards."""
        self._read(self._meter.create_observable_counter, name, help, read, labels)

    def _read(
        self,
        create: Callable[..., object],
        name: str,
        text: str,
        read: Callable[[], float],
        labels: Mapping[str, str],
    ) -> None:
        family = self._readings.get(name)
        if family is None:
            family = self._readings[name] = {}
            create(name, [_reading(family)], "", text)
        family[tuple(sorted(labels.items()))] = read

    def latency(self, name: str, help: str, **labels: str) -> Latency:  # noqa: A002
        """The histogram `name` (exported with the unit, as `name_seconds`) with these labels."""
        _, family = self._latencies.setdefault(name, (help, {}))
        return family.setdefault(tuple(sorted(labels.items())), Latency())

    def timed(self, name: str, help: str, latency: Latency, **labels: str) -> None:  # noqa: A002
        """The same for a histogram that is kept elsewhere."""
        _, family = self._latencies.setdefault(name, (help, {}))
        family[tuple(sorted(labels.items()))] = latency

    def prometheus(self) -> bytes:
        """Everything in Prometheus' text format: milliseconds of work, so call it on a thread."""
        return generate_latest(self._registry)

    def close(self, timeout_s: float) -> None:
        """Last export; blocks for at most about `timeout_s`, whatever the collector does."""
        self._provider.shutdown(timeout_millis=timeout_s * 1000)

    def _with_latencies(self, data: MetricsData | None) -> MetricsData:
        now_us = self._clock.now_us()
        metrics = [
            Metric(name, text, "s", Histogram(
                [self._point(labels, latency, now_us) for labels, latency in list(family.items())],
                AggregationTemporality.CUMULATIVE,
            ))
            for name, (text, family) in list(self._latencies.items())
        ]  # fmt: skip
        scope = ScopeMetrics(InstrumentationScope("tandem"), metrics, "")
        ours = ResourceMetrics(self._resource, [scope], "")
        return MetricsData([*(data.resource_metrics if data else ()), ours])

    def _point(self, labels: Labels, latency: Latency, now_us: int) -> HistogramDataPoint:
        counts = list(latency.counts)
        return HistogramDataPoint(
            attributes=dict(labels),
            start_time_unix_nano=self._start_us * 1000,
            time_unix_nano=now_us * 1000,
            count=sum(counts),
            sum=latency.total_s,
            bucket_counts=counts,
            explicit_bounds=BOUNDS_S,
            min=0.0,
            max=0.0,
        )


_Completing: TypeAlias = Callable[[MetricsData | None], MetricsData]


class _Prometheus(PrometheusMetricReader):
    def __init__(self, registry: CollectorRegistry, complete: _Completing) -> None:
        super().__init__(disable_target_info=True, scope_info_enabled=False, registry=registry)
        self._complete = complete

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object
    ) -> None:
        super()._receive_metrics(self._complete(metrics_data), timeout_millis, **kwargs)


class _Otlp(PeriodicExportingMetricReader):
    """Exports on a thread of its own, so that a collector that hangs delays nobody."""

    def __init__(self, exporter: MetricExporter, complete: _Completing) -> None:
        self._complete = complete
        super().__init__(exporter, OTLP_INTERVAL_S * 1000, OTLP_TIMEOUT_S * 1000)

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object
    ) -> None:
        super()._receive_metrics(self._complete(metrics_data), timeout_millis, **kwargs)


def _otlp_exporter(endpoint: str) -> MetricExporter:
    module = import_module("opentelemetry.exporter.otlp.proto.http.metric_exporter")
    exporter: MetricExporter = module.OTLPMetricExporter(
        endpoint=endpoint.rstrip("/") + "/v1/metrics", timeout=OTLP_TIMEOUT_S
    )
    return exporter


def _reading(
    family: Mapping[Labels, Callable[[], float]],
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def read(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(each(), dict(labels)) for labels, each in list(family.items())]

    return read
