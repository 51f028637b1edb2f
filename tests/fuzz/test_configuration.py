"""Configurations that nobody meant: every mistake is told, and nothing else happens."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.settings import CrawlerSettings
from kvctl.settings import UpSettings
from kvgateway.settings import GatewaySettings
from kvsp.settings import KvspSettings
from tandem.runtime.settings import SettingsError, load
from tandem.runtime.settings.fields import settings_of
from tandem.runtime.settings.load import Sources
from tests.fuzz.mutations import malformed

PROGRAMS: dict[str, type[Any]] = {
    "gateway": GatewaySettings,
    "kvsp": KvspSettings,
    "crawler": CrawlerSettings,
    "kvctl": UpSettings,
}
TOML_VALUES = ("1", '"1s"', "nan", "true", "[]", "{}", "''")
VALUES = st.sampled_from(
    ("", "0", "-1", "1", "1s", "30d", "1e999", "nan", "inf", "9" * 5000, "5MiB", "-5MiB", "true",
     "127.0.0.1:0", ":", "[::1]:99999", "é", "\x00", "²", "/", "a" * 5000, "1_0", "٣")
) | st.text(max_size=20)  # fmt: skip


@pytest.mark.parametrize(("program", "declared"), PROGRAMS.items())
@given(data=st.data())
def test_any_values_are_taken_or_refused(
    program: str, declared: type[Any], data: st.DataObject
) -> None:
    known = settings_of(declared)
    flags = st.sampled_from([one.flag for one in known]) | st.text(max_size=10)
    argv = data.draw(st.lists(flags | VALUES, max_size=6))
    names = st.sampled_from([one.env for one in known])
    environ = data.draw(st.dictionaries(names, VALUES, max_size=4))
    with suppress(SettingsError):
        load(declared, program, Sources(argv, environ))


@pytest.mark.parametrize(("program", "declared"), PROGRAMS.items())
@given(data=st.data())
def test_any_file_is_taken_or_refused(
    program: str, declared: type[Any], data: st.DataObject
) -> None:
    lines = ["[gateway]", "[kvsp]", "[[crawler]]", "[kvctl.x]", "x = [[1]]"]
    for one in settings_of(declared):
        lines += [f"{one.key} = {value}" for value in TOML_VALUES]
    text = "\n".join(data.draw(st.lists(st.sampled_from(lines), max_size=8))).encode()
    for content in (text, data.draw(malformed([text]))):
        with suppress(SettingsError):
            load(declared, program, Sources((), {}, content, "file.toml"))
