"""Precedence of the sources, the forms of values, and mistakes told all at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tandem.runtime.settings import (
    ADDRESS,
    BOOLEAN,
    DURATION_S,
    OPTIONAL_TEXT,
    PATH,
    SIZE,
    WHOLE,
    Address,
    Kind,
    Relation,
    SettingsError,
    Sources,
    docs_table,
    help_text,
    load,
    read_sources,
    setting,
    settings_of,
)


@dataclass(frozen=True, slots=True)
class Example:
    kvsp: Address = setting(
        ADDRESS, Address("127.0.0.1", 8782), "Where KVSP listens.",
        key="kvsp_address", flag="--kvsp", env="TANDEM_KVSP", shared=True,
    )  # fmt: skip
    data: Path = setting(PATH, Path("data"), "Data directory.", shared=True)
    workers: int = setting(WHOLE, 1, "Worker processes.", low=1, high=64)
    cache_bytes: int = setting(SIZE, 64 << 20, "Cache size.", low=4096)
    settle_s: float = setting(DURATION_S, 2.0, "Time given to a write in flight.")
    answer_s: float = setting(DURATION_S, 5.0, "Time to answer.", high=60)
    admin_token: str = setting(OPTIONAL_TEXT, "", "Admin token.", secret=True, high=None)
    mirror: bool = setting(BOOLEAN, False, "Mirror.")

    def check(self) -> Sequence[Relation]:
        if self.settle_s < self.answer_s:
            return ()
        return [Relation(("settle_s", "answer_s"), "settle must be shorter than answer")]


def _load(*argv: str, env: dict[str, str] | None = None, file: str | None = None) -> Example:
    raw = None if file is None else file.encode()
    return load(Example, "gateway", Sources(argv, env or {}, raw, "t.toml")).settings


def _mistakes(
    *argv: str, env: dict[str, str] | None = None, file: str | None = None
) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        _load(*argv, env=env, file=file)
    return caught.value.mistakes


def test_flag_over_environment_over_file_over_default() -> None:
    file = "[gateway]\nworkers = 2\n"
    env = {"TANDEM_WORKERS": "3"}
    assert _load().workers == 1
    assert _load(file=file).workers == 2
    assert _load(file=file, env=env).workers == 3
    assert _load("--workers", "4", file=file, env=env).workers == 4
    loaded = load(Example, "gateway", Sources(["--workers=4"], env, file.encode(), "t.toml"))
    assert loaded.origins["workers"] == "--workers"
    assert loaded.origins["cache_bytes"] == "default"


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (SIZE, "64KiB", 65536), (SIZE, "1GiB", 1 << 30), (SIZE, "1.5 MiB", 3 << 19),
        (SIZE, "42", 42), (DURATION_S, "250ms", 0.25), (DURATION_S, "30s", 30.0),
        (DURATION_S, "2h", 7200.0), (DURATION_S, "7", 7.0), (DURATION_S, "1.5s", 1.5),
        (DURATION_S, "9", 9.0), (ADDRESS, "[::1]:80", Address("::1", 80)),
        (ADDRESS, "h:0", Address("h", 0)), (BOOLEAN, "Yes", True), (WHOLE, "-3", -3),
    ],
)  # fmt: skip
def test_forms_that_are_understood(kind: Kind[object], text: str, value: object) -> None:
    assert kind.parse(text) == value
    assert kind.parse(kind.show(kind.parse(text))) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (SIZE, "64kb"), (SIZE, "-1"), (SIZE, "0.3"), (SIZE, ""), (DURATION_S, "5 years"),
        (DURATION_S, "-5s"), (DURATION_S, "inf"), (ADDRESS, "localhost"), (ADDRESS, ":80"),
        (ADDRESS, "h:65536"), (ADDRESS, "::1:80"), (ADDRESS, "http://h:80"), (WHOLE, "1_0"),
        (WHOLE, "1.0"), (BOOLEAN, "maybe"), (PATH, ""),
    ],
)  # fmt: skip
def test_forms_that_are_refused(kind: Kind[object], text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the loader words the message
        kind.parse(text)


def test_every_mistake_is_told_at_once_with_its_source() -> None:
    mistakes = _mistakes(
        "--wokers", "3", "--kvsp", "localhost", "stray", "--mirror",
        env={"TANDEM_WORKERS": "many", "TANDEM_CACHE": "1"},
        file="colour = 1\nkvsp_address = [1]\n[gateway]\nsettel = 1\nanswer = '2min'\n",
    )  # fmt: skip
    form = "a duration such as 250ms, 30s or 2h"
    assert mistakes == (
        "t.toml:4: [gateway] settel: unknown setting; did you mean settle?",
        f't.toml:5: [gateway] answer "2min": expected {form}, at most 1min',
        "t.toml:1: colour: unknown setting",
        "t.toml:2: kvsp_address [1]: expected host:port, such as 127.0.0.1:8781",
        'TANDEM_WORKERS "many": expected a whole number from 1 to 64',
        'TANDEM_CACHE "1": expected a size such as 65536, 64KiB or 1GiB, at least 4KiB',
        "--wokers: unknown flag; did you mean --workers?",
        '--kvsp "localhost": expected host:port, such as 127.0.0.1:8781',
        "stray: unexpected argument",
        "--mirror: has no value; expected true or false",
    )


def test_a_broken_relation_names_both_sides_and_where_they_came_from() -> None:
    assert _mistakes("--settle", "9s") == (
        "settle (--settle), answer (default): settle must be shorter than answer",
    )
    assert len(_mistakes("--settle", "9s", "--answer", "never")) == 1


def test_tables_and_shared_keys_of_other_programs_are_not_mistakes() -> None:
    file = "s3_bucket = 'b'\n[kvsp]\nanything = 1\n[crawler]\nx = 2\n"
    assert _load(file=file) == Example()
    assert _mistakes(file="[gatway]\nworkers = 2\n") == (
        "t.toml:1: gatway: unknown setting; did you mean gateway?",
    )


def test_a_setting_in_the_wrong_table_or_called_by_its_flag_is_told_its_place() -> None:
    file = "workers = 2\nkvsp = 5\n[gateway]\nkvsp_address = 'h:1'\n"
    above = "unknown setting; did you mean kvsp_address, above the tables?"
    assert _mistakes(file=file) == (
        f"t.toml:4: [gateway] kvsp_address: {above}",
        "t.toml:1: workers: unknown setting; did you mean workers in [gateway]?",
        f"t.toml:2: kvsp: {above}",
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("workers = '2'", '"2": expected a whole number from 1 to 64, without quotes'),
        ("workers = 2.0", "2.0: expected a whole number from 1 to 64"),
        ("workers = true", "true: expected a whole number from 1 to 64"),
        ("mirror = 'true'", '"true": expected true or false, without quotes'),
        ("mirror = 1", "1: expected true or false"),
        ("cache = true", "true: expected a size such as 65536, 64KiB or 1GiB, at least 4KiB"),
        ("answer = false", "false: expected a duration such as 250ms, 30s or 2h, at most 1min"),
        ("admin_token = 5", "(hidden): expected text, in quotes"),
        ("workers = 2026-11-27", "2026-11-27: expected a whole number from 1 to 64"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_in_the_file(line: str, told: str) -> None:
    """There a number is no text, and a text no number, whatever could be made of it."""
    key = line.split()[0]
    assert _mistakes(file=f"[gateway]\n\n{line}\n") == (f"t.toml:3: [gateway] {key} {told}",)


def test_numbers_without_a_unit_and_texts_with_one_are_both_fit_for_sizes_and_durations() -> None:
    bare = _load(file="[gateway]\ncache = 4096\nanswer = 3\nsettle = 0.5\n")
    assert (bare.cache_bytes, bare.answer_s, bare.settle_s) == (4096, 3.0, 0.5)
    assert _load(file="[gateway]\ncache = '4KiB'\nanswer = '3s'\nsettle = '500ms'\n") == bare


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("# data = 1\n  data = 5", "t.toml:2"),
        ("[kvsp]\ndata = 1\n[gateway]\nworkers = 2", ""),
        ('"data" = 5', "t.toml"),
        ("s3_bucket = '''\ndata = 1\n'''\ndata = 5", "t.toml"),
    ],
)
def test_a_line_is_told_only_where_it_is_sure(file: str, place: str) -> None:
    if place:
        assert _mistakes(file=file) == (f"{place}: data 5: expected a path, in quotes",)
    else:
        assert _load(file=file).workers == 2


def test_a_file_that_is_not_toml_or_not_there(tmp_path: Path) -> None:
    assert "not TOML" in _mistakes(file="a = ")[0]
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read_sources(["--config", str(tmp_path / "none")], {}, "gateway")
    path = tmp_path / "t.toml"
    path.write_bytes(b"[gateway]\nworkers = 9\n")
    for argv, env in ((["--config", str(path)], {}), ([], {"TANDEM_CONFIG": str(path)})):
        sources = read_sources(argv, env, "gateway")
        assert load(Example, "gateway", sources).settings.workers == 9


def test_a_secret_is_never_printed() -> None:
    @dataclass(frozen=True, slots=True)
    class Guarded:
        token: int = setting(WHOLE, 1234567, "Token.", secret=True)

    with pytest.raises(SettingsError) as caught:
        load(Guarded, "gateway", Sources((), {"TANDEM_TOKEN": "hunter2"}))
    text = str(caught.value) + help_text(Guarded, "g", "A.") + docs_table(Guarded, "gateway")
    assert "hunter2" not in text
    assert "1234567" not in text + repr(Guarded())


def test_help_and_documentation_name_every_setting() -> None:
    page, table = help_text(Example, "kvgateway", "About."), docs_table(Example, "gateway")
    for each in settings_of(Example):
        assert f"{each.flag} " in page
        assert f"`{each.env}`" in table
    assert "64MiB" in table
    assert "`[gateway] settle`" in table
