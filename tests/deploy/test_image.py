"""The image: what it and the command of docs/operations.md set are settings, and its ports ours."""

import re
import shlex
from typing import Final

from kvctl.settings import UpSettings
from kvgateway.settings import GatewaySettings
from tandem.runtime.settings import Sources, load, settings_of
from tests.docs.surface import ROOT

DOCKERFILE: Final = (ROOT / "Dockerfile").read_text()
PARTS: Final = 3
"""Stopped one after the other."""


def _run() -> list[str]:
    """The words of `docker run`."""
    page = (ROOT / "docs" / "operations.md").read_text()
    found = re.search(r"^docker run (.*?[^\\])$", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    return shlex.split(found[1])


def test_what_it_sets_are_settings_of_what_it_runs() -> None:
    given = re.findall(r"\b(TANDEM_\w+)=", f"{DOCKERFILE} {' '.join(_run())}")
    assert {"TANDEM_DATA", "TANDEM_HTTP", "TANDEM_GRPC"} < set(given)
    assert set(given) <= {one.env for one in settings_of(UpSettings)}


def test_its_ports_are_those_of_the_gateway() -> None:
    defaults = load(GatewaySettings, "gateway", Sources()).settings
    ports = {str(defaults.http_address.port), str(defaults.grpc_address.port)}
    [exposed] = re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)
    assert set(exposed.split()) == ports
    words = _run()
    published = {words[at + 1] for at, word in enumerate(words) if word == "-p"}
    assert published == {f"{port}:{port}" for port in ports}


def test_a_stop_is_waited_for() -> None:
    words = _run()
    given_s = float(words[words.index("--stop-timeout") + 1])
    assert given_s > PARTS * load(UpSettings, "kvctl", Sources()).settings.stop_s
