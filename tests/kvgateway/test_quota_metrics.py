"""What is shown of refusals and waits: by namespace and limit, for so many namespaces at most."""

from prometheus_client.parser import text_string_to_metric_families

from kvgateway.access.quotas import Limit
from kvgateway.metrics import NAMESPACES_SHOWN_MAX, QuotaMetrics
from tandem.runtime.clock import SystemClock
from tandem.runtime.telemetry import Metrics


def _shown(
    metrics: Metrics, name: str = "tandem_quota_refused_total"
) -> dict[tuple[str, str], float]:
    return {
        (sample.labels["namespace"], sample.labels.get("limit", "")): sample.value
        for family in text_string_to_metric_families(metrics.prometheus().decode())
        for sample in family.samples
        if sample.name == name
    }


def test_refusals_are_counted_by_namespace_and_limit() -> None:
    metrics = Metrics("test", SystemClock())
    quota_metrics = QuotaMetrics(metrics)
    for namespace in ("a", "b"):
        for number, limit in enumerate(Limit, 1):
            quota_metrics.refused(namespace, limit, number)
            quota_metrics.refused(namespace, limit, 10)
    assert _shown(metrics) == {
        (namespace, limit.value): 10 + number
        for namespace in ("a", "b")
        for number, limit in enumerate(Limit, 1)
    }
    metrics.close(1.0)


def test_what_waits_for_its_turn_is_counted_by_namespace() -> None:
    metrics = Metrics("test", SystemClock())
    quota_metrics = QuotaMetrics(metrics)
    for number in range(NAMESPACES_SHOWN_MAX + 2):
        quota_metrics.waited(f"n{number}", 2)
        quota_metrics.waited(f"n{number}", 3)
    shown = _shown(metrics, "tandem_quota_waited_total")
    assert shown["n0", ""] == 5
    assert shown["other", ""] == 10
    metrics.close(1.0)


def test_namespaces_beyond_the_bound_are_counted_together() -> None:
    metrics = Metrics("test", SystemClock())
    quota_metrics = QuotaMetrics(metrics)
    for _ in range(2):
        for number in range(NAMESPACES_SHOWN_MAX + 50):
            quota_metrics.refused(f"n{number}", Limit.BYTES, 1)
    shown = _shown(metrics)
    assert len(shown) == NAMESPACES_SHOWN_MAX + 1
    assert shown["other", "bytes"] == 100
    assert shown["n0", "bytes"] == 2
    metrics.close(1.0)
