"""Keys into files: a few at a time, so that what is in memory has a bound."""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kvctl.export.file_names import free_path_of
from kvctl.export.manifest import VALUES, Line, Manifest
from tandem.client import Client, Entry
from tandem.errors import TandemError, Unavailable

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
    may_lack_keys: bool = False
    """Whether a home that could list more did not answer."""
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
            entries = await self._entries(names)
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
        listing = self._client.list(prefix, after=self._manifest.after)
        async for listed in listing:
            names.append(listed.name)
            self.exported.may_lack_keys = listing.stale
            if len(names) == KEYS_AT_ONCE:
                yield names
                names = []
        self.exported.may_lack_keys = listing.stale
        if names:
            yield names

    async def _entries(self, names: Sequence[str]) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        for name, outcome in (await self._client.get_many(names)).items():
            if isinstance(outcome, TandemError):
                raise outcome
            entry = outcome or await self._looked_for(name)
            if entry is not None:
                entries[name] = entry
        return entries

    async def _looked_for(self, name: str) -> Entry | None:
        """A key that was listed and is missed now: None once it is known to be deleted, or to have
        expired, in between."""
        seen = await self._client.look(name)
        if seen.unconfirmed:
            raise Unavailable(f"{name!r} is listed, and the home that holds it does not answer")
        return seen.entry

    def _written(self, entries: Mapping[str, Entry]) -> list[Line]:
        return [self._write(name, entry) for name, entry in entries.items()]

    def _write(self, name: str, entry: Entry) -> Line:
        path = free_path_of(name, self._values)
        target = self._values / path
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = self._values / _PARTIAL
        partial.write_bytes(entry.value)
        if target.is_dir():
            # An earlier try wrote keys below this one and ended before they were in the manifest.
            shutil.rmtree(target)
        partial.replace(target)
        digest = hashlib.sha256(entry.value).hexdigest()
        return Line(
            name, path, len(entry.value), digest, entry.metadata_json.decode(), entry.expires_at_s
        )
