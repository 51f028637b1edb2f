"""What changes when settings are read again: enumerated over every setting of every program."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from kvgateway.settings import GatewaySettings
from tandem.runtime.settings import (
    Loaded,
    SettingsError,
    Sources,
    change,
    environment_of,
    load,
    settings_of,
)
from tandem.runtime.settings.fields import Setting
from tools.generate_docs import TABLES

TEXTS = (
    "7", "90", "5000", "9s", "1h", "2d", "96MiB", "192KiB", "yes", "no", "0.5", "10.0.0.1:1",
    "debug", "json", "open", "none", "words/",
)  # fmt: skip
IDS = "0123456789abcdef0123456789abcdef"
TOGETHER = {
    "kv_sockets": {"kv_socket_ids": IDS},
    "kv_socket_ids": {"kv_sockets": "/tmp/s"},
    "write_bytes_max": {"leg_bytes_max": "64MiB"},
}
"""What a setting cannot do without."""


def _another_text(setting: Setting) -> str:
    if setting.field == "kv_socket_ids":
        return IDS
    for text in TEXTS:
        try:
            if setting.parse(text) != setting.default:
                return text
        except ValueError:
            continue
    raise AssertionError(f"no other value for {setting.key}")


def _with(declared: type, texts: dict[str, str]) -> Loaded[Any]:
    """What is read when each of these texts is in the file, whatever that breaks."""
    known = {setting.field: setting for setting in settings_of(declared)}
    values = {field: known[field].parse(text) for field, text in texts.items()}
    return Loaded(replace(declared(), **values), {}, texts)


def _every() -> Iterator[Any]:
    for program, declared in TABLES.items():
        for setting in settings_of(declared):
            yield pytest.param(program, declared, setting, id=f"{program}-{setting.key}")


@pytest.mark.parametrize(("program", "declared", "setting"), [*_every()])
def test_each_setting_is_taken_or_named_and_nothing_else_is(
    program: str, declared: type, setting: Setting
) -> None:
    running = _with(declared, {})
    texts = {setting.field: _another_text(setting), **TOGETHER.get(setting.field, {})}
    read = _with(declared, texts)
    made = change(declared, program, running, read)
    now = getattr(made.loaded.settings, setting.field)
    if setting.reload:
        assert made.waiting == ()
        assert any(line.startswith(f"{setting.key}: ") for line in made.taken)
        assert now == getattr(read.settings, setting.field)
        assert made.loaded.settings == read.settings
    else:
        assert (made.taken, made.waiting) == ((), (setting.key,))
        assert now == setting.default
        assert made.loaded.settings == running.settings


@pytest.mark.parametrize(("program", "declared"), [*TABLES.items()])
def test_what_waits_is_named_again_until_it_is_as_it_was(program: str, declared: type) -> None:
    running = _with(declared, {"data": "here"})
    made = change(declared, program, running, _with(declared, {"data": "there"}))
    again = change(declared, program, made.loaded, _with(declared, {"data": "there"}))
    assert made.waiting == again.waiting == ("data",)
    back = change(declared, program, again.loaded, _with(declared, {"data": "here"}))
    assert back.waiting == ()


def test_the_log_tells_what_was_and_what_is_but_no_secret() -> None:
    before = _with(GatewaySettings, {"admin_token": "a" * 20, "cache_ttl_s": "90s"})
    after = _with(GatewaySettings, {"admin_token": "b" * 20, "kv_host_suffix": "kv.test"})
    made = change(GatewaySettings, "gateway", before, after)
    assert made.taken == (
        "admin_token: (not shown), now (not shown)",
        "cache_ttl: 90s, now 1min",
        "kv_host_suffix: nothing, now kv.test",
    )
    assert made.loaded.settings.admin_token == "b" * 20
    assert made.loaded.texts == after.texts


def test_what_is_taken_must_go_with_what_has_to_wait() -> None:
    running = _with(GatewaySettings, {"write_bytes_max": "512MiB"})
    read = _with(GatewaySettings, {"write_bytes_max": "64MiB"})
    with pytest.raises(SettingsError, match="legs under way must not be allowed more bytes"):
        change(GatewaySettings, "gateway", running, read)


def test_another_process_gets_the_same_values_whatever_the_file_says() -> None:
    """Also where the text that is shown of a value would lose some of it."""
    texts = {"read_deadline_s": "1234567.8us", "read_sample_share": "0.123456789", "tls_key": ""}
    given = environment_of(GatewaySettings, texts)
    sources = Sources(environ=given, file=b"[gateway]\nread_deadline = 5\n", file_name="t")
    handed = load(GatewaySettings, "gateway", sources).settings
    assert handed == _with(GatewaySettings, texts).settings
    assert (handed.read_deadline_s, handed.read_sample_share) == (1.2345678, 0.123456789)


def test_a_loaded_text_is_that_of_the_strongest_source() -> None:
    sources = Sources(["--drain=3s"], {"TANDEM_DRAIN": "4s"}, b'[gateway]\ndrain = "5s"\n', "t")
    assert load(GatewaySettings, "gateway", sources).texts == {"drain_s": "3s"}
