"""One row of the tables: a script for worker.mjs, and what every runtime makes of it."""

from dataclasses import dataclass
from typing import Any, Final

SAME: Final = object()


@dataclass(frozen=True)
class Case:
    """`script` is the body of an async function of `kv` and the tools of worker.mjs."""

    name: str
    script: str
    expected: Any
    """The result of Tandem behind workerd, as JSON."""
    miniflare: Any = SAME
    """The result of Miniflare's own KV, where that is documented to be another."""

    def __str__(self) -> str:
        return self.name

    @property
    def of_miniflare(self) -> Any:  # noqa: ANN401 - that is what JSON holds
        """What Miniflare is known to answer."""
        return self.expected if self.miniflare is SAME else self.miniflare


def put_refused(reason: str) -> str:
    """What a put throws that the server refuses."""
    return f"Error: KV PUT failed: {reason}"


def get_refused(reason: str) -> str:
    """What a get or a list throws that the server refuses."""
    return f"Error: KV GET failed: {reason}"


def bulk_refused(reason: str) -> str:
    """What a get of many keys throws that the server refuses."""
    return f"Error: KV GET_BULK failed: {reason}"
