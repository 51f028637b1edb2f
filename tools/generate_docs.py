"""Writes the tables of docs/configuration.md anew, from the settings of each program."""

import re
from pathlib import Path

from crawler.settings import CrawlerSettings
from kvctl.settings import UpSettings
from kvgateway.settings import GatewaySettings
from kvsp.settings import KvspSettings
from tandem.runtime.settings import docs_table

CONFIGURATION = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
TABLES = {
    "gateway": GatewaySettings,
    "kvsp": KvspSettings,
    "crawler": CrawlerSettings,
    "kvctl": UpSettings,
}
"""By the program's table in the TOML file."""

_GENERATED = re.compile(r"(?<=<!-- table: )(\w+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)


def with_tables(text: str) -> str:
    """`text` with a fresh table between each pair of marks."""
    return _GENERATED.sub(
        lambda match: f"{match[1]}{match[2]}\n{docs_table(TABLES[match[1]], match[1])}\n", text
    )


if __name__ == "__main__":
    CONFIGURATION.write_text(with_tables(CONFIGURATION.read_text()))
