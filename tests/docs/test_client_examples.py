"""Every example of docs/client.md, and that of the README, runs against a gateway in memory."""

import re
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.kvgateway.rpc.running import running

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "client.md"
DEFAULT_ADDRESS = '"127.0.0.1:8781"'
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def _function(source: str) -> Callable[[str], Awaitable[None]]:
    """The one function that an example defines."""
    names: dict[str, object] = {}
    exec(compile(source, PAGE.name, "exec"), names)
    found = [value for name, value in names.items() if f"\nasync def {name}(" in source]
    assert len(found) == 1, f"an example defines one function: {source}"
    return found[0]  # type: ignore[return-value]


@pytest.mark.parametrize("source", EXAMPLES, ids=lambda s: re.findall(r"\nasync def (\w+)", s)[0])
async def test_the_example_runs(source: str) -> None:
    async with running() as gateway:
        await _function(source)(gateway.address)
        assert not gateway.log.events


async def test_the_example_of_the_readme_runs() -> None:
    [shown] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert DEFAULT_ADDRESS in shown
    body = textwrap.indent(shown.replace(DEFAULT_ADDRESS, "address"), "    ")
    async with running() as gateway:
        await _function(f"\nasync def readme(address: str) -> None:\n{body}")(gateway.address)
        assert not gateway.log.events


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 6
