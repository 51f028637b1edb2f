"""A copy of system records on a disk that may refuse."""

import asyncio
from collections.abc import Sequence
from typing import Generic

from kvgateway.registry.book import Kept
from kvgateway.registry.file import from_json, to_json
from kvgateway.registry.form import RecordForm, T


class MemoryCopy(Generic[T]):
    """See `kvgateway.registry.records.CopyFile`."""

    def __init__(self, form: RecordForm[T]) -> None:
        self._form = form
        self.content = to_json(form, [])
        self.refuses = False
        self.goes_on = asyncio.Event()
        """Not set while the disk hangs."""
        self.goes_on.set()
        self.saves = 0

    def load(self) -> Sequence[Kept[T]]:
        return from_json(self._form, self.content)

    async def save(self, kept: Sequence[Kept[T]]) -> None:
        await self.goes_on.wait()
        if self.refuses:
            raise OSError(28, "No space left on device")
        self.saves += 1
        self.content = to_json(self._form, kept)
