"""What the programs show of themselves, found in their source."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tandem.runtime.clock import SystemClock
from tandem.runtime.snapshots import SnapshotWriter, render
from tandem.runtime.telemetry import Latency, Metrics

ROOT = Path(__file__).resolve().parents[2]
PRODUCTS = ("tandem", "kvgateway", "kvsp", "crawler", "kvctl")


def calls(*methods: str) -> Iterator[tuple[str, str]]:
    """Method and first argument of each call of one of `methods` that begins with plain text."""
    for root in PRODUCTS:
        for path in sorted((ROOT / root).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(
                        func=ast.Attribute(attr=method), args=[ast.Constant(value=str(text)), *_]
                    ) if method in methods:
                        yield method, text


@cache
def families() -> frozenset[str]:
    """The names under which everything that the programs count appears on the /metrics page."""
    return frozenset(re.findall(r"^# HELP (\w+)", _page(), re.MULTILINE))


@cache
def series() -> frozenset[str]:
    """The names that an expression may ask for: of a histogram its buckets, sum and count."""
    kinds = re.findall(r"^# TYPE (\w+) (\w+)", _page(), re.MULTILINE)
    return frozenset(
        name + end
        for name, kind in kinds
        for end in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
    )


@cache
def _page() -> str:
    metrics = Metrics("test", SystemClock())
    for method, name in calls("counter", "counted", "gauge", "latency", "timed"):
        match method:
            case "counter":
                metrics.counter(name, "")
            case "counted":
                metrics.counted(name, "", float)
            case "gauge":
                metrics.gauge(name, "", float)
            case _:
                metrics.timed(name, "", Latency())
    with TemporaryDirectory() as directory:
        SnapshotWriter(Path(directory), 0, 1).write(metrics.prometheus(), 0)
        return render(Path(directory), 0).decode()
