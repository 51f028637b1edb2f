"""`make compiled`: the programs with their hot paths as machine code. That they behave as the rest
is for the tests that `make test` runs on both."""

import json
import os
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-compiled" / "bin" / "python"
WHEEL = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
    "wheel"
]
FILES = WHEEL["hooks"]["mypyc"]["include"]

_WHERE = """
import importlib, json, sys
print(json.dumps({name: importlib.import_module(name).__file__ for name in sys.argv[1:]}))
"""


def _where(*modules: str) -> dict[str, Path]:
    """The files that the compiled programs have these modules from."""
    command = [str(PYTHON), "-I", "-c", _WHERE, *modules]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd="/").stdout
    return {name: Path(place) for name, place in json.loads(told).items()}


def _changed() -> Iterator[str]:
    """The sources that are not those that were compiled."""
    there = _where("tandem")["tandem"].parents[1]
    for package in WHEEL["packages"]:
        for path in (ROOT / package).rglob("*.py"):
            name = path.relative_to(ROOT)
            twin = there / name
            if not twin.exists() or twin.read_bytes() != path.read_bytes():
                yield str(name)


def test_a_file_is_named_once_and_is_there() -> None:
    assert [file for file in FILES if not (ROOT / file.removeprefix("/")).is_file()] == []
    assert len(FILES) == len(set(FILES))


@pytest.mark.skipif(
    not PYTHON.exists() and os.environ.get("CI") != "true",
    reason="`make compiled` has not been run",
)
def test_each_of_them_is_machine_code_made_of_these_sources() -> None:
    modules = [file.removeprefix("/").removesuffix(".py").replace("/", ".") for file in FILES]
    places = _where(*modules)
    assert {name: place for name, place in places.items() if place.suffix != ".so"} == {}
    assert list(_changed()) == []
