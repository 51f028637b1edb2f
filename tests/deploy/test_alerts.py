"""The alert rules: promtool takes them, each fires when it should, and each says what to do."""

import re
from pathlib import Path
from typing import Any, Final

import click
import pytest
import yaml

from kvctl.main import cli
from tests.conftest import require
from tests.deploy.alert_cases import CASES, MINUTES, Case, Series
from tests.deploy.promtool import firing, promtool, why_missing
from tests.docs.surface import ROOT, series

PROMETHEUS: Final = ROOT / "deploy" / "prometheus"
RULES: Final = PROMETHEUS / "tandem.rules.yml"
RUNBOOK: Final = ROOT / "docs" / "alerts.md"
ABSENT: Final = "TandemCrawlerAbsent"
"""Fires where there is no series, so it cannot be tried beside others."""

ALERTS: Final[list[dict[str, Any]]] = [
    rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
]
NAMES: Final = [alert["alert"] for alert in ALERTS]
alerts = pytest.mark.parametrize("alert", ALERTS, ids=NAMES)


@pytest.fixture(autouse=True)
def _there_is_promtool(request: pytest.FixtureRequest) -> None:
    if "tmp_path" in request.fixturenames:
        require(why_missing(), "promtool", request.config)


def _of(case: Case, instance: str, chosen: Series) -> Series:
    """The series of one case, told apart from all others by their instance."""
    place = f'job="{case.job}",instance="{instance}"'
    return {
        f"{name}{{{place}{',' if labels else ''}{labels}": values
        for name, labels, values in (
            (text.partition("{")[0], text.partition("{")[2] or "}", values)
            for text, values in chosen.items()
        )
    }


def test_prometheus_takes_the_example_and_the_rules(tmp_path: Path) -> None:
    del tmp_path
    assert promtool("check", "config", PROMETHEUS / "prometheus.yml") == ""


def test_the_rules_go_by_jobs_that_the_example_has() -> None:
    example = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    jobs = {job["job_name"] for job in example["scrape_configs"]}
    named = {
        job
        for alert in ALERTS
        for chosen in re.findall(r'job=~?"([^"]+)"', alert["expr"])
        for job in chosen.split("|")
    }
    assert named == jobs


def test_each_alert_fires_with_its_numbers_and_not_with_those_beside_them(tmp_path: Path) -> None:
    numbers: dict[str, str] = {}
    expected: dict[str, int] = {}
    for name, case in CASES.items():
        for instance, chosen in ((f"{name}-fires", case.fires), (f"{name}-quiet", case.quiet)):
            numbers |= _of(case, instance, chosen)
            expected[f"{name} {instance}"] = int(chosen is case.fires)
    assert firing(RULES, numbers, MINUTES, expected, tmp_path / "all.yml") == ""


@pytest.mark.parametrize(
    ("numbers", "fires"), [({}, 1), ({"tandem_crawler_rounds_total": "0x90"}, 0)]
)
def test_a_crawler_that_nobody_sees_is_missed(numbers: Series, fires: int, tmp_path: Path) -> None:
    there = {"up": "1x90", **numbers}
    assert firing(RULES, there, 60, {f"{ABSENT} ": fires}, tmp_path / "absent.yml") == ""


def test_each_alert_is_tried() -> None:
    assert sorted(NAMES) == sorted({*CASES, ABSENT})


@alerts
def test_it_asks_for_what_the_programs_show(alert: dict[str, Any]) -> None:
    named = set(re.findall(r"\btandem_\w+", alert["expr"]))
    assert named <= series()
    assert named or "up{" in alert["expr"]


@alerts
def test_its_texts_name_labels_that_it_has(alert: dict[str, Any]) -> None:
    texts = " ".join(alert["annotations"].values())
    named = set(re.findall(r"\$labels\.(\w+)", texts))
    kept = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", alert["expr"]))))
    assert named <= (kept or {"instance", "job"})


@alerts
def test_it_says_what_it_means_and_where_it_is_told_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket"}
    told = alert["annotations"]
    assert told.keys() == {"summary", "description", "runbook_url"}
    assert told["runbook_url"] == f"docs/alerts.md#{alert['alert'].lower()}"


def test_the_runbook_names_commands_that_there_are() -> None:
    named = set(re.findall(r"`kvctl ([a-z]+)(?: ([a-z]+))?", RUNBOOK.read_text()))
    for group, command in named:
        found = cli.commands[group]
        assert not command or (isinstance(found, click.Group) and command in found.commands)


def test_each_alert_has_its_section_in_the_runbook_and_no_other() -> None:
    page = RUNBOOK.read_text()
    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == NAMES
    for name in NAMES:
        section = page.partition(f"### {name}\n")[2].partition("\n#")[0]
        assert len(section.split()) >= 10, f"{name}: says too little"
