"""Files into keys: what is stored, what is left alone, and how much is under way at a time."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from kvctl.tree import NotRead, Refused, TreeFile, read_whole
from tandem.client import Client, JsonText
from tandem.core.limits import MIB, VALUE_BYTES_MAX
from tandem.errors import (
    InvalidArgument,
    NamespaceNotFound,
    Overloaded,
    PermissionDenied,
    TandemError,
    Unauthenticated,
    Unavailable,
)

FILES_AT_ONCE: Final = 128
BYTES_AT_ONCE: Final = 128 * MIB
UNANSWERED_MAX: Final = 2 * FILES_AT_ONCE
"""So many files in a row without an answer: the gateway is gone, and the rest is not tried."""
FAILURES_KEPT_MAX: Final = 1000
NAMES_MAX: Final = 1_000_000
"""Up to so many stored names are listed beforehand, so that new files need not be looked for."""


@dataclass(slots=True)
class Tally:
    """What an import has done so far."""

    stored: int = 0
    stored_bytes: int = 0
    unchanged: int = 0
    unchanged_bytes: int = 0
    expired: int = 0
    """Keys of an export that have less than a minute to live, or none."""
    failed: int = 0
    failures: list[Refused] = field(default_factory=list)
    """The first FAILURES_KEPT_MAX."""
    gave_up: bool = False
    """Whether the gateway stopped answering."""
    complete: bool = False
    """Whether every file was looked at."""

    @property
    def files(self) -> int:
        """How many files were looked at."""
        return self.stored + self.unchanged + self.expired + self.failed


class BytesAtOnce:
    """Lets holders of at most `bytes_max` on, in the order in which they came.

    One that is larger than that goes alone.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._held = 0
        self._changed = asyncio.Condition()

    async def take(self, count: int) -> None:
        """Returns when there is room for `count` bytes."""
        async with self._changed:
            await self._changed.wait_for(
                lambda: not self._held or self._held + count <= self._bytes_max
            )
            self._held += count

    async def give_back(self, count: int) -> None:
        """Makes room again."""
        async with self._changed:
            self._held -= count
            self._changed.notify_all()


class Import:
    """Stores a tree's files, several at a time; what is stored already it may leave alone."""

    def __init__(
        self,
        client: Client,
        *,
        look: bool = True,
        refused: Callable[[Refused], None],
        advanced: Callable[[Tally], None],
    ) -> None:
        """`refused` hears of each failure, `advanced` of each file that is done. Unless it shall
        `look`, it stores every file, whatever is there."""
        self.tally = Tally()
        self._client = client
        self._look = look
        self._refused = refused
        self._advanced = advanced
        self._room = BytesAtOnce(BYTES_AT_ONCE)
        self._unanswered = 0
        self._shut_out: TandemError | None = None
        """Why no file can be stored any more."""
        self._stored: frozenset[str] | None = None

    async def run(self, found: Iterator[TreeFile | Refused], prefix: str = "") -> None:
        """Sees all files through; cancelling it leaves each one stored whole or not at all.

        Every name in `found` begins with `prefix`. Raises TandemError when the names that are
        stored already cannot be listed; nothing is stored then. So it does once the gateway refuses
        whatever is asked of the namespace; the rest is not tried.
        """
        self._stored = await self._listed(prefix) if self._look else frozenset()
        async with asyncio.TaskGroup() as group:
            for _ in range(FILES_AT_ONCE):
                group.create_task(self._work(found))
        if self._shut_out is not None:
            raise self._shut_out
        self.tally.complete = not self.tally.gave_up

    async def _work(self, found: Iterator[TreeFile | Refused]) -> None:
        for item in found:
            if isinstance(item, Refused):
                self._fail(item)
            else:
                # Twice: the file's bytes and those that are stored now.
                await self._room.take(2 * item.size)
                try:
                    await self._one(item)
                finally:
                    await self._room.give_back(2 * item.size)
            self._advanced(self.tally)
            if self.tally.gave_up or self._shut_out is not None:
                return

    async def _one(self, file: TreeFile) -> None:
        try:
            content = await asyncio.to_thread(read_whole, file)
            same = await self._is_stored(file, content)
            if not same:
                await self._client.put(
                    file.name,
                    content,
                    metadata=JsonText(file.metadata),
                    expires_at=file.expires_at_s,
                )
        except NotRead as error:
            self._fail(Refused(file.path, str(error)))
            return
        except (NamespaceNotFound, PermissionDenied, Unauthenticated) as error:
            self._shut_out = error
            return
        except TandemError as error:
            if isinstance(error, InvalidArgument) and error.field == "expires_at_s":
                self.tally.expired += 1
                return
            perhaps = isinstance(error, Unavailable)
            self._fail(
                Refused(file.path, f"{'not confirmed' if perhaps else 'not stored'}: {error}")
            )
            self._unanswered += isinstance(error, Unavailable | Overloaded)
            self.tally.gave_up = self._unanswered >= UNANSWERED_MAX
            return
        self._unanswered = 0
        if same:
            self.tally.unchanged += 1
            self.tally.unchanged_bytes += file.size
        else:
            self.tally.stored += 1
            self.tally.stored_bytes += file.size

    async def _listed(self, prefix: str) -> frozenset[str] | None:
        """The names below `prefix`; None when they are too many to hold."""
        names: set[str] = set()
        async for key in self._client.list(prefix):
            names.add(key.name)
            if len(names) > NAMES_MAX:
                return None
        return frozenset(names)

    async def _is_stored(self, file: TreeFile, content: bytes) -> bool:
        if self._stored is not None and file.name not in self._stored:
            return False
        entry = await self._client.get_with_metadata(file.name)
        return (
            entry is not None
            and not entry.stale
            and entry.value == content
            and entry.metadata_json == file.metadata
            and entry.expires_at_s == file.expires_at_s
        )

    def _fail(self, refused: Refused) -> None:
        self.tally.failed += 1
        if len(self.tally.failures) < FAILURES_KEPT_MAX:
            self.tally.failures.append(refused)
        self._refused(refused)


assert BYTES_AT_ONCE >= 2 * VALUE_BYTES_MAX
