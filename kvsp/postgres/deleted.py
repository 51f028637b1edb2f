"""Tells every cluster of a ring which namespaces are deleted for ever.

Only the owner of a namespace's record learns it from the record. What another cluster takes for the
namespace until it is told goes when the namespace is purged, which a cluster does only once it
refuses the namespace itself.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from tandem.core.reply import Failed


class Refusing(Protocol):
    """A cluster that can be told."""

    async def refuse(self, namespaces: Sequence[str]) -> Failed | None: ...


class DeletedNamespaces:
    """What this process has told all of `clusters`, which may be filled later."""

    def __init__(self, clusters: Sequence[Refusing]) -> None:
        self._clusters = clusters
        self._told: set[str] = set()

    async def tell(self, namespaces: Sequence[str], within_s: float | None = None) -> None:
        """Tells what it has not told yet; whoever cannot be told now is told with the next."""
        new = sorted(set(namespaces) - self._told)
        if not new or len(self._clusters) == 1:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                answers = await asyncio.gather(*(one.refuse(new) for one in self._clusters))
                if not any(answers):
                    self._told.update(new)
