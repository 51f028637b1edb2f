"""What the documentation names is there: files, tests, links, metrics, events, status fields."""

import re
from functools import cache
from pathlib import Path

import pytest

from tandem.core.operations import HomeStatus, QueueStatus, Status
from tandem.core.reply import Side
from tandem.core.status_document import status_document
from tests.docs.surface import PRODUCTS, ROOT, calls, families

PAGES = (*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md")
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


@cache
def _operations() -> str:
    return (ROOT / "docs" / "operations.md").read_text()


def test_every_metric_is_documented_and_no_other() -> None:
    listed = re.findall(r"^\| `(tandem_\w+)`", _operations(), re.MULTILINE)
    assert sorted(listed) == sorted(families())


@pages
def test_metrics_that_are_named_are_exported(page: Path) -> None:
    assert set(_METRIC.findall(_prose(page))) <= families()


def test_every_alarming_event_is_documented_and_no_other() -> None:
    table = _operations().partition("## Logs")[2].partition("## Status")[0]
    assert _first_cells(table) == {event for _, event in calls("warning", "error")}


def test_every_field_of_the_status_is_documented() -> None:
    table = _operations().partition("## Status")[2].partition("## Kill")[0]
    homes = (HomeStatus(Side.KVSP, "", "", "", True, True),)
    document = status_document(Status(homes, QueueStatus(), "", 0))
    fields = {*document}
    for part in (*document.values(), *document["homes"]):  # type: ignore[misc]
        if isinstance(part, dict):
            fields |= part.keys()
    assert fields <= _first_cells(table)


def test_the_session_of_the_readme_needs_nothing_but_the_repository() -> None:
    """It read files of Python's own tests once, which Debian and Docker's images leave out."""
    session = (ROOT / "README.md").read_text()
    [directory] = re.findall(r"^\$ kvctl import (\S+) ", session, re.MULTILINE)
    keys = re.findall(r"^\$ kvctl key (?!list)\w+ (\S+)", session, re.MULTILINE)
    assert len(keys) > 4
    assert [key for key in keys if not (ROOT / directory / key).is_file()] == []
