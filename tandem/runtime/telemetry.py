"""Metrics: plain numbers on the hot path, and the text that Prometheus reads.

An OpenTelemetry `add` or `record` costs 6 to 7 us; a service that answers 40,000 requests a second
cannot pay that. So the hot path touches plain Python numbers (`counter.value += 1`,
`latency.observe(s)`), which are read when somebody looks. A gateway's workers make the text once a
second, while the loop waits for Python's lock: OpenTelemetry's reader and prometheus_client would
keep it twenty times as long.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Final, Protocol, TypeAlias

from tandem.runtime.clock import Clock

BOUNDS_S: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
)  # fmt: skip
_LE: Final = (*map(str, BOUNDS_S), "+Inf")
_HELP_ESCAPED: Final = str.maketrans({"\\": r"\\", "\n": r"\n"})
_LABEL_ESCAPED: Final = _HELP_ESCAPED | str.maketrans({'"': r"\""})

Labels: TypeAlias = tuple[tuple[str, str], ...]
Read: TypeAlias = Callable[[], float]


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


class Family:
    """The numbers of one name that are read, by their labels."""

    def __init__(self, name: str, kind: str, text: str) -> None:
        self.head = _head(name, kind, text)
        self.name = name
        self.reads: dict[Labels, tuple[str, Read]] = {}

    def add(self, labels: Labels, read: Read) -> None:
        self.reads[labels] = f"{self.name}{_text_of(labels)} ", read


class Histogram:
    """The latencies of one name, by their labels."""

    def __init__(self, name: str, text: str) -> None:
        self.head = _head(name, "histogram", text)
        self.name = name
        self.text = text
        self.latencies: dict[Labels, tuple[list[str], Latency]] = {}

    def latency(self, labels: Labels) -> Latency | None:
        found = self.latencies.get(labels)
        return None if found is None else found[1]

    def add(self, labels: Labels, latency: Latency) -> None:
        starts = [
            *(f"{self.name}_bucket{_text_of((*labels, ('le', le)))} " for le in _LE),
            f"{self.name}_count{_text_of(labels)} ",
            f"{self.name}_sum{_text_of(labels)} ",
        ]
        self.latencies[labels] = starts, latency


class Exporter(Protocol):
    """Who else is told of the numbers."""

    def show(self, family: Family, *, grows: bool, text: str) -> None:
        """There is a new family."""
        ...

    def close(self, timeout_s: float) -> None:
        """Last export; blocks for at most about that long."""
        ...


class Metrics:
    """The metrics of one process. Declare at start; the values returned are the hot path."""

    def __init__(self, program: str, clock: Clock, otlp_endpoint: str | None = None) -> None:
        """Export to `otlp_endpoint` too if it is given; `ImportError` without an OTLP exporter."""
        self._counters: dict[tuple[str, Labels], Counter] = {}
        self._families: dict[str, Family] = {}
        self._histograms: dict[str, Histogram] = {}
        self._exporter: Exporter | None = None
        if otlp_endpoint:
            from tandem.runtime.otlp import OtlpExporter

            self._exporter = OtlpExporter(program, clock, otlp_endpoint, self._histograms)
        self._unread = self.counter("tandem_metrics_unread", "numbers that could not be read")

    def counter(self, name: str, help: str, **labels: str) -> Counter:  # noqa: A002
        """The counter `name` with these labels; the same one when it is asked for again."""
        key = name, _sorted(labels)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = Counter()
            self.counted(name, help, counter.read, **labels)
        return counter

    def gauge(self, name: str, help: str, read: Read, **labels: str) -> None:  # noqa: A002
        """`read` is called at each collection, on any thread; it must not block."""
        self._show(name, "gauge", help, read, labels)

    def counted(self, name: str, help: str, read: Read, **labels: str) -> None:  # noqa: A002
        """A counter kept elsewhere as a plain number; `read` must never go backwards."""
        self._show(f"{name}_total", "counter", help, read, labels)

    def _show(self, name: str, kind: str, text: str, read: Read, labels: Mapping[str, str]) -> None:
        family = self._families.get(name)
        if family is None:
            family = self._families[name] = Family(name, kind, text)
            if self._exporter is not None:
                self._exporter.show(family, grows=kind == "counter", text=text)
        family.add(_sorted(labels), read)

    def latency(self, name: str, help: str, **labels: str) -> Latency:  # noqa: A002
        """The histogram `name` (exported with the unit, as `name_seconds`) with these labels."""
        latency = self._histogram(name, help).latency(_sorted(labels))
        if latency is None:
            latency = Latency()
            self.timed(name, help, latency, **labels)
        return latency

    def timed(self, name: str, help: str, latency: Latency, **labels: str) -> None:  # noqa: A002
        """The same for a histogram that is kept elsewhere."""
        self._histogram(name, help).add(_sorted(labels), latency)

    def _histogram(self, name: str, text: str) -> Histogram:
        return self._histograms.setdefault(name, Histogram(f"{name}_seconds", text))

    def prometheus(self) -> bytes:
        """Everything in Prometheus' text format; on any thread."""
        return "".join(self._texts()).encode()

    def _texts(self) -> Iterator[str]:
        for family in list(self._families.values()):
            yield family.head
            for start, read in list(family.reads.values()):
                try:
                    yield f"{start}{float(read())!r}\n"
                except Exception:  # one number that is broken must not hide the others
                    self._unread.value += 1
        for histogram in list(self._histograms.values()):
            yield histogram.head
            for starts, latency in list(histogram.latencies.values()):
                upto = list(accumulate(latency.counts))
                values = (*upto, upto[-1], latency.total_s)
                yield from (
                    f"{start}{value}\n" for start, value in zip(starts, values, strict=True)
                )

    def close(self, timeout_s: float) -> None:
        """Last export; blocks for at most about `timeout_s`, whatever the collector does."""
        if self._exporter is not None:
            self._exporter.close(timeout_s)


def _sorted(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _head(name: str, kind: str, text: str) -> str:
    return f"# HELP {name} {text.translate(_HELP_ESCAPED)}\n# TYPE {name} {kind}\n"


def _text_of(labels: Labels) -> str:
    texts = [f'{name}="{value.translate(_LABEL_ESCAPED)}"' for name, value in labels]
    return f"{{{','.join(texts)}}}" if texts else ""
