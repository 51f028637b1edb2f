"""The same numbers for a collector of OpenTelemetry, pushed over OTLP/HTTP.

Imported only where somebody wants it: OpenTelemetry takes longer to import than all of ours.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricsData,
    PeriodicExportingMetricReader,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from tandem.runtime import telemetry
from tandem.runtime.clock import Clock
from tandem.runtime.telemetry import BOUNDS_S, Family, Labels, Latency

INTERVAL_S: Final = 15.0
TIMEOUT_S: Final = 5.0
_SCOPE: Final = "tandem"


class OtlpExporter:
    """Pushes each `INTERVAL_S`; counters and gauges through observable instruments, latencies as
    points built from buckets that are always exact."""

    def __init__(
        self,
        program: str,
        clock: Clock,
        endpoint: str,
        histograms: Mapping[str, telemetry.Histogram],
    ) -> None:
        self._clock = clock
        self._start_us = clock.now_us()
        self._resource = Resource({"service.name": program})
        self._histograms = histograms
        exporter = OTLPMetricExporter(
            endpoint=endpoint.rstrip("/") + "/v1/metrics", timeout=TIMEOUT_S
        )
        reader = _Reader(exporter, self._with_latencies)
        self._provider = MeterProvider([reader], self._resource, shutdown_on_exit=False)
        self._meter = self._provider.get_meter(_SCOPE)

    def show(self, family: Family, *, grows: bool, text: str) -> None:
        """See `telemetry.Exporter`."""
        if grows:
            name = family.name.removesuffix("_total")
            self._meter.create_observable_counter(name, [_reading(family)], "", text)
        else:
            self._meter.create_observable_gauge(family.name, [_reading(family)], "", text)

    def close(self, timeout_s: float) -> None:
        """See `telemetry.Exporter`."""
        self._provider.shutdown(timeout_millis=timeout_s * 1000)

    def _with_latencies(self, data: MetricsData | None) -> MetricsData:
        now_us = self._clock.now_us()
        metrics = [
            Metric(name, histogram.text, "s", Histogram(
                [
                    self._point(labels, latency, now_us)
                    for labels, (_, latency) in list(histogram.latencies.items())
                ],
                AggregationTemporality.CUMULATIVE,
            ))
            for name, histogram in list(self._histograms.items())
        ]  # fmt: skip
        scope = ScopeMetrics(InstrumentationScope(_SCOPE), metrics, "")
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


class _Reader(PeriodicExportingMetricReader):
    """Exports on a thread of its own, so that a collector that hangs delays nobody."""

    def __init__(
        self, exporter: MetricExporter, complete: Callable[[MetricsData | None], MetricsData]
    ) -> None:
        self._complete = complete
        super().__init__(exporter, INTERVAL_S * 1000, TIMEOUT_S * 1000)

    def _receive_metrics(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object
    ) -> None:
        super()._receive_metrics(self._complete(metrics_data), timeout_millis, **kwargs)


def _reading(family: Family) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def read(_: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(each(), dict(labels)) for labels, (_, each) in list(family.reads.items())
        ]

    return read
