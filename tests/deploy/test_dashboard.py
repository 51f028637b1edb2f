"""The dashboard: what Grafana needs of it is there, and it asks for numbers that there are."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conftest import require
from tests.deploy.promtool import complaints_of, why_missing
from tests.docs.surface import ROOT, series

TEXT: Final = (ROOT / "deploy" / "grafana" / "tandem.json").read_text()
DASHBOARD: Final[dict[str, Any]] = json.loads(TEXT)
ROWS: Final = [panel for panel in DASHBOARD["panels"] if panel["type"] == "row"]
PANELS: Final = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
COLUMNS: Final = 24
"""Grafana's grid."""

each_panel = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])


def _expressions() -> list[str]:
    return [target["expr"] for panel in PANELS for target in panel["targets"]]


def _asked(expression: str) -> str:
    """As Grafana asks it, with its variables filled in."""
    return expression.replace("$__rate_interval", "1m").replace("$instance", ".*")


def test_prometheus_understands_every_expression(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    require(why_missing(), "promtool", request.config)
    asked = [_asked(expression) for expression in _expressions()]
    assert [expression for expression in asked if "$" in expression] == []
    assert complaints_of(asked, tmp_path) == ""
    assert complaints_of(["sum by ("], tmp_path), "it takes anything"


@each_panel
def test_a_panel_asks_for_what_the_programs_show_and_names_the_lines(panel: dict[str, Any]) -> None:
    assert panel["targets"]
    for target in panel["targets"]:
        named = set(re.findall(r"\btandem_\w+", target["expr"]))
        assert named, target
        assert named <= series()
        lines = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        kept = {
            label.strip()
            for labels in re.findall(r"by \(([^)]*)\)", target["expr"])
            for label in labels.split(",")
        } - {"le", ""}
        assert lines == kept, "a line that cannot be told from its neighbours"


@each_panel
def test_a_panel_takes_its_numbers_from_the_chosen_source(panel: dict[str, Any]) -> None:
    assert panel["type"] == "timeseries"
    assert panel["datasource"] == {"type": "prometheus", "uid": "${source}"}
    assert panel["fieldConfig"]["defaults"]["unit"]
    letters = [target["refId"] for target in panel["targets"]]
    assert letters == [chr(ord("A") + place) for place in range(len(letters))]


def test_panels_have_places_of_their_own() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= COLUMNS for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len({*numbers}) == len(numbers)


def test_its_rows_are_the_parts_of_the_store() -> None:
    assert [row["title"] for row in ROWS] == [
        "Requests and latency", "Homes", "Repair and drift", "Journal and disks", "KVSP",
        "Crawler", "HTTP and TLS", "Tenants",
    ]  # fmt: skip


def test_its_variables_are_those_that_it_uses() -> None:
    declared = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", TEXT)) - {"__rate_interval", "__all"}
    assert used == declared
