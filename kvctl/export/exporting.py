"""Keys into files: a few at a time, so that what is in memory has a bound."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kvctl.export.file_names import free_path_of
from kvctl.export.manifest import VALUES, Line, Manifest
from tandem.client import Client, Entry
from tandem.errors import TandemError

KEYS_AT_ONCE: Final = 8
"""At 25 MiB each, this bounds the memory."""

_PARTIAL: Final = ".partial%"
"""A file that is being written; `%` at the end is in no key's path."""


@dataclass(slots=True)
class Exported:
    """What an export has done so far, in this run."""

    keys: int = 0
    bytes: int = 0
    stale: int = 0
    """How many values may be old, since a home did not answer."""
    complete: bool = False


class Export:
    """Writes the keys below a prefix that come after the manifest's last name."""

    def __init__(
        self,
        client: Client,
        directory: Path,
        manifest: Manifest,
        advanced: Callable[[Exported], None],
    ) -> None:
        """`advanced` hears of each step."""
        self.exported = Exported()
        self._client = client
        self._values = directory / VALUES
        self._manifest = manifest
        self._advanced = advanced

    async def run(self, prefix: str) -> None:
        """Sees it through; TandemError when the gateway cannot answer, OSError when a file cannot
        be written. What is in the manifest then stays, and the next try goes on behind it."""
        async for names in self._groups(prefix):
            entries = _found(await self._client.get_many(names))
            lines = await asyncio.to_thread(self._written, entries)
            self._manifest.add(lines)
            self.exported.keys += len(lines)
            self.exported.bytes += sum(line.bytes for line in lines)
            self.exported.stale += sum(entry.stale for entry in entries.values())
            self._advanced(self.exported)
        self._manifest.complete()
        self.exported.complete = True

    async def _groups(self, prefix: str) -> AsyncIterator[Sequence[str]]:
        names: list[str] = []
        async for listed in self._client.list(prefix, after=self._manifest.after):
            names.append(listed.name)
            if len(names) == KEYS_AT_ONCE:
                yield names
                names = []
        if names:
            yield names

    def _written(self, entries: Mapping[str, Entry]) -> list[Line]:
        return [self._write(name, entry) for name, entry in entries.items()]

    def _write(self, name: str, entry: Entry) -> Line:
        path = free_path_of(name, self._values)
        target = self._values / path
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = self._values / _PARTIAL
        partial.write_bytes(entry.value)
        partial.replace(target)
        digest = hashlib.sha256(entry.value).hexdigest()
        return Line(name, path, len(entry.value), digest, entry.metadata, entry.expires_at_s)


def _found(read: Mapping[str, Entry | TandemError | None]) -> dict[str, Entry]:
    """The entries among what was read; the first failure is raised.

    A key that was listed and is gone now was deleted, or has expired, in between.
    """
    found: dict[str, Entry] = {}
    for name, outcome in read.items():
        if isinstance(outcome, TandemError):
            raise outcome
        if outcome is not None:
            found[name] = outcome
    return found
