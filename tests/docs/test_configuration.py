"""docs/configuration.md says what the programs do."""

import re
from pathlib import Path
from typing import Any

import pytest

from kvgateway.settings import GatewaySettings
from tandem.runtime.settings import Loaded, SettingsError, Sources, load
from tools.generate_docs import CONFIGURATION, TABLES, with_tables

TEXT = CONFIGURATION.read_text()
[EXAMPLE] = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
MISTAKEN = b'workerz = 3\ns3_endpoint = "http://127.0.0.1:9"\n[gateway]\ncache_ttl = "5s"\n'


def test_the_tables_are_fresh() -> None:
    assert with_tables(TEXT) == TEXT, "run `make docs`"


def test_every_program_has_its_table() -> None:
    assert re.findall(r"<!-- table: (\w+) -->\n\n\| Setting", TEXT) == list(TABLES)


@pytest.mark.parametrize("program", TABLES)
def test_the_example_is_a_file_for_every_program(program: str) -> None:
    sources = Sources(file=EXAMPLE.encode(), file_name="tandem.toml")
    loaded: Loaded[Any] = load(TABLES[program], program, sources)
    assert loaded.settings.data == Path("/var/lib/tandem")
    own = [place for place in loaded.origins.values() if f"[{program}]" in place]
    assert own, "the example says nothing to it"


def test_mistakes_are_told_as_shown() -> None:
    sources = Sources(
        argv=["--workers", "many"],
        environ={"TANDEM_GRPC": "nowhere"},
        file=MISTAKEN,
        file_name="tandem.toml",
    )
    with pytest.raises(SettingsError) as refused:
        load(GatewaySettings, "gateway", sources)
    assert f"```\n{refused.value}\n```" in TEXT
