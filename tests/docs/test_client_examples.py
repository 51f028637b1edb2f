"""Every example of docs/client.md runs against a gateway in memory."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.kvgateway.rpc.running import running

PAGE = Path(__file__).resolve().parents[2] / "docs" / "client.md"
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


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 6
