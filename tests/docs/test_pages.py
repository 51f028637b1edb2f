"""What the documentation names is there: files, tests, links, metrics, events, status fields."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from kvctl.status import status_document
from tandem.core.operations import HomeStatus, QueueStatus, Status
from tandem.core.reply import Side
from tandem.runtime.clock import SystemClock
from tandem.runtime.snapshots import SnapshotWriter, render
from tandem.runtime.telemetry import Metrics

ROOT = Path(__file__).resolve().parents[2]
PAGES = (*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md")
PRODUCTS = ("tandem", "kvgateway", "kvsp", "crawler", "kvctl")
PLACES = (*PRODUCTS, "tests", "examples", "tools", "proto", "docs", "bench", "deploy", ".ci")

_CODE = re.compile(r"`([^`\n]+)`")
_FENCED = re.compile(r"```.*?```", re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_NAMED = re.compile(rf"(?:{'|'.join(map(re.escape, PLACES))})/[\w./*-]*(?:::\w+)?")
_METRIC = re.compile(r"`(tandem_\w+)`")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def _prose(page: Path) -> str:
    return _FENCED.sub("", page.read_text())


def _named(page: Path) -> list[str]:
    return [text for text in _CODE.findall(_prose(page)) if _NAMED.fullmatch(text)]


def _exists(text: str) -> bool:
    path, _, test = text.partition("::")
    found = list(ROOT.glob(path.rstrip("/")))
    return bool(found) and (not test or f"def {test}(" in found[0].read_text())


def _first_cells(table: str) -> set[str]:
    """What stands in backticks in the first column."""
    cells = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
    return {text for cell in cells for text in _CODE.findall(cell)}


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pages
def test_files_and_tests_that_are_named_exist(page: Path) -> None:
    assert [text for text in _named(page) if not _exists(text)] == []


@pages
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for link in _LINK.findall(_prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            dead.append(link)
    assert not dead


def test_the_pages_name_files() -> None:
    assert sum(len(_named(page)) for page in PAGES) > 50


def _calls(*methods: str) -> Iterator[tuple[str, str]]:
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
def _operations() -> str:
    return (ROOT / "docs" / "operations.md").read_text()


def _exported(directory: Path) -> set[str]:
    """The names under which everything that the programs count appears on the /metrics page."""
    metrics = Metrics("test", SystemClock())
    for method, name in _calls("counter", "counted", "gauge", "latency"):
        match method:
            case "counter":
                metrics.counter(name, "")
            case "counted":
                metrics.counted(name, "", float)
            case "gauge":
                metrics.gauge(name, "", float)
            case _:
                metrics.latency(name, "")
    SnapshotWriter(directory, 0, 1).write(metrics.prometheus(), 0)
    return set(re.findall(r"^# HELP (\w+)", render(directory, 0).decode(), re.MULTILINE))


def test_every_metric_is_documented_and_no_other(tmp_path: Path) -> None:
    listed = re.findall(r"^\| `(tandem_\w+)`", _operations(), re.MULTILINE)
    assert sorted(listed) == sorted(_exported(tmp_path))


@pages
def test_metrics_that_are_named_are_exported(page: Path, tmp_path: Path) -> None:
    assert set(_METRIC.findall(_prose(page))) <= _exported(tmp_path)


def test_every_alarming_event_is_documented_and_no_other() -> None:
    table = _operations().partition("## Logs")[2].partition("## Status")[0]
    assert _first_cells(table) == {event for _, event in _calls("warning", "error")}


def test_every_field_of_the_status_is_documented() -> None:
    table = _operations().partition("## Status")[2].partition("## Kill")[0]
    homes = (HomeStatus(Side.KVSP, "", "", "", True, True),)
    document = status_document(Status(homes, QueueStatus(), "", 0))
    fields = {*document}
    for part in (*document.values(), *document["homes"]):  # type: ignore[misc]
        if isinstance(part, dict):
            fields |= part.keys()
    assert fields <= _first_cells(table)
