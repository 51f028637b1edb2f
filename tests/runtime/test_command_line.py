"""How a program begins: with its settings, or not at all."""

from dataclasses import dataclass
from importlib.metadata import version

import pytest

from tandem.runtime.settings import MISTAKEN_STATUS, WHOLE, setting, settings_or_exit, shared


@dataclass(frozen=True, slots=True)
class Some:
    """Two settings."""

    admin_token: str = shared.admin_token()
    readers: int = setting(WHOLE, 2, "how many read", low=1)


def begun(*arguments: str, **environment: str) -> Some:
    return settings_or_exit(
        Some, "kvsp", arguments, environment, program="some-program", about="Does nothing."
    ).settings


def test_a_program_begins_with_its_settings() -> None:
    assert begun("--readers", "3", TANDEM_ADMIN_TOKEN="t" * 16) == Some("t" * 16, 3)


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_whoever_asks_for_help_hears_of_no_mistake(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        begun("--readers", "none", flag)
    out, err = capsys.readouterr()
    assert ended.value.code == 0
    assert out.startswith("usage: some-program ")
    assert "Does nothing." in out
    assert err == ""


def test_whoever_asks_for_the_version_gets_that_of_the_package(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        begun("--version")
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"some-program, version {version('tandem-kv')}\n"


def test_mistakes_are_told_together_and_nothing_begins(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        begun("--readers", "none", "--raeders", "1")
    out, err = capsys.readouterr()
    assert ended.value.code == MISTAKEN_STATUS
    assert err.startswith("kvsp: 2 mistakes in the configuration, nothing was started:\n")
    assert '--readers "none"' in err
    assert "--raeders: unknown flag; did you mean --readers?" in err
    assert out == ""
