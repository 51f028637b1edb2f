"""The systemd units: systemd takes them, they shut the programs in, and their settings exist."""

import configparser
import re
import shlex
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from crawler.settings import CrawlerSettings
from kvgateway.settings import GatewaySettings
from kvsp.settings import KvspSettings
from tandem.runtime.settings import MISTAKEN_STATUS, Loaded, Sources, load
from tests.conftest import require
from tests.deploy.systemd import complaints_of, exposure, why_missing
from tests.docs.surface import ROOT

UNITS: Final = ROOT / "deploy" / "systemd"
INSTALLED: Final = "/opt/tandem/.venv/bin"
EXPOSURE_MAX: Final = 2.0
MARGIN_S: Final = 10.0
"""For what comes after a drain: closing files, and workers that have to be killed."""

PROGRAMS: Final[dict[str, tuple[str, str, type[Any]]]] = {
    "tandem-kvsp": ("kvsp", "kvsp", KvspSettings),
    "tandem-gateway": ("kvgateway", "gateway", GatewaySettings),
    "tandem-crawler": ("crawler", "crawler", CrawlerSettings),
}
"""The command, what its settings are called by, and they."""

each_unit = pytest.mark.parametrize("name", PROGRAMS)


def _service(name: str) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNITS / f"{name}.service")
    return parser["Service"]


def _environment(name: str) -> dict[str, str]:
    pairs = (text.partition("=") for text in shlex.split(_service(name)["Environment"]))
    return {variable: value for variable, _, value in pairs}


def _loaded(name: str) -> Loaded[Any]:
    """The program's settings, as it would take them from its unit."""
    _, program, settings = PROGRAMS[name]
    return load(settings, program, Sources(environ=_environment(name)))


def test_there_is_a_unit_for_each_program_and_no_other() -> None:
    assert sorted(path.stem for path in UNITS.glob("*.service")) == sorted(PROGRAMS)


def test_systemd_takes_them(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    require(why_missing(), "systemd-analyze", request.config)
    here = str(Path(sys.executable).parent)
    copies = [tmp_path / f"{name}.service" for name in PROGRAMS]
    for copy in copies:
        text = (UNITS / copy.name).read_text()
        assert f"ExecStart={INSTALLED}/" in text
        copy.write_text(text.replace(INSTALLED, here))
    assert complaints_of(*copies) == ""


@each_unit
def test_a_program_sees_little_of_the_machine(name: str, request: pytest.FixtureRequest) -> None:
    require(why_missing(), "systemd-analyze", request.config)
    assert exposure(UNITS / f"{name}.service") <= EXPOSURE_MAX


@each_unit
def test_it_starts_its_program_with_settings_that_there_are(name: str) -> None:
    service, loaded = _service(name), _loaded(name)
    assert service["ExecStart"] == f"{INSTALLED}/{PROGRAMS[name][0]}"
    assert str(loaded.settings.data) == f"/var/lib/{service['StateDirectory']}"
    named = {place for place in loaded.origins.values() if place.startswith("TANDEM_")}
    assert {*_environment(name)} == named


@each_unit
def test_a_stop_has_time_to_drain(name: str) -> None:
    seconds = float(_service(name)["TimeoutStopSec"].removesuffix("s"))
    assert seconds >= getattr(_loaded(name).settings, "drain_s", 0.0) + MARGIN_S


@each_unit
def test_it_comes_back_unless_its_configuration_is_refused(name: str) -> None:
    service = _service(name)
    assert service["Restart"] == "always"
    assert service["RestartPreventExitStatus"] == str(MISTAKEN_STATUS)


@each_unit
def test_a_reload_has_it_read_its_settings_again(name: str) -> None:
    assert _service(name)["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_prometheus_looks_where_the_programs_show_their_numbers() -> None:
    example = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    looked = {
        job["job_name"]: job["static_configs"][0]["targets"] for job in example["scrape_configs"]
    }
    assert looked == {
        "tandem-gateway": [str(_loaded("tandem-gateway").settings.http_address)],
        "tandem-kvsp": [str(_loaded("tandem-kvsp").settings.kvsp_metrics)],
        "tandem-crawler": [str(_loaded("tandem-crawler").settings.crawler_metrics)],
    }


def test_the_example_of_the_environment_names_settings() -> None:
    named = set(re.findall(r"^#(TANDEM_\w+)=", (UNITS / "tandem.env").read_text(), re.MULTILINE))
    documented = (ROOT / "docs" / "configuration.md").read_text()
    assert named
    assert [name for name in named if f"`{name}`" not in documented] == []
