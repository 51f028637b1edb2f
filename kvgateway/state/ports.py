"""The shapes of a gateway's memory, as its races need them.

Three kinds of memory, by what they survive:

    Machine      shared memory of all worker processes; gone when the machine's gateway stops
    Journal      intents of one worker; survives a crash, read back by whoever starts next
    RepairQueue  one durable queue for the machine
"""

from asyncio import Future
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.reply import Side
from tandem.core.version import Version

QUEUE_ROWS_MAX: Final = 1_000_000
QUEUE_COLLAPSE_SHARE: Final = 16
"""When a queue collapses, it makes room for so many-th a part of its bound at once."""


@dataclass(frozen=True, slots=True)
class Known:
    """What this machine knows of one key."""

    version: Version
    """The highest version seen; NO_VERSION for a miss that both homes confirmed."""
    pinned: bool
    """A recent write (or left-over intent) that a home may still lack: no answer may be older."""
    record: Record | None
    """The record itself, where it is kept; None for a miss, or when only the version is."""
    seen_at_us: int
    """When it was written or read: its age decides whether a cache may serve it."""


class Intent(NamedTuple):
    """A write whose second home has not confirmed yet. It never carries the payload, so that
    replaying it cannot bring back what was overwritten meanwhile."""

    key: Key
    version: Version


class Seen(NamedTuple):
    """What a read found in the homes."""

    key: Key
    record: Record | None
    """None for a miss that both have confirmed."""
    began_us: int
    """When the read began, by the homes' time."""


class Machine(Protocol):
    """Shared memory: the one clock, recent writes, and the cache of this machine.

    Every method is one transaction. `now_us` is the homes' time as this machine knows it.
    """

    def mint(self, wanted: Sequence[tuple[Key, Version]], now_us: int) -> list[Version]:
        """One new version for each key, above all versions minted on this machine, above what is
        known of the key, and above the version given with it; versions further ahead than
        OBSERVED_AHEAD_MAX_US are not observed. Raises Overloaded while the persisted upper bound
        of the clock does not cover them."""
        ...

    def recall(self, key: Key, now_us: int) -> Known | None:
        """What `lookup` says of one key, in less time: most reads come alone."""
        ...

    def lookup(self, keys: Sequence[Key], now_us: int) -> list[Known | None]:
        """What is known of each key; pins that have ended by `now_us` are none."""
        ...

    def install(self, writes: Sequence[tuple[Key, Record]], now_us: int) -> None:
        """Enters writes that are about to be acknowledged, pinned; never back in version."""
        ...

    def pin(self, intents: Sequence[Intent]) -> None:
        """Enters left-over intents as wanted versions, without a payload."""
        ...

    def unpin(self, writes: Sequence[tuple[Key, Version]], until_us: int) -> None:
        """Both homes have confirmed these versions: they stay pinned until then only (unless a
        newer write is pinned), and are ordinary cache entries afterwards."""
        ...

    def fill(self, seen: Sequence[Seen], now_us: int) -> Sequence[Known | None]:
        """Caches what reads found; returns what is known of each key now.

        Never back in version; a miss is void when a version is known that was minted or installed
        after the read began.
        """
        ...

    def recent(
        self, namespace: str, after: str, prefix: str, limit: int, now_us: int
    ) -> list[tuple[str, Known]]:
        """Pinned names of a namespace above `after`, in byte order: an overlay for listings."""
        ...

    def note_spill(self) -> None:
        """Some wanted versions are only in the repair queue, as after a restart with many."""
        ...

    def spilled(self) -> bool:
        """Whether pinned entries had to be dropped for space, so that the repair queue, which has
        them all, must be asked for wanted versions."""
        ...

    def misses_news(self) -> bool:
        """Whether writes may be under way that nothing here tells of, not even the repair queue:
        there is no room for news, or memory was emptied since they began."""
        ...

    def spills(self) -> int:
        """How many pinned entries were dropped so far: what `settle_spills` is given later."""
        ...

    def settle_spills(self, spills: int) -> None:
        """The repair queue was empty after `spills` was read: it need not be asked for those."""
        ...

    def left_over(self) -> int:
        """How many intents of dead workers are pinned, and not in the repair queue yet."""
        ...


class Journal(Protocol):
    """The intents of one worker, on stable storage."""

    def append(self, intents: Sequence[Intent]) -> Future[bool]:
        """Makes the intents durable (group commit); False when the disk refused."""
        ...

    def done(self, intent: Intent) -> None:
        """The intent needs no repair any more, or has become a repair task. Not synced: an intent
        that is replayed though done costs one comparison."""
        ...


@dataclass(frozen=True, slots=True)
class RepairTask:
    """A key that `missing` may lack at `version`."""

    key: Key
    version: Version
    missing: tuple[Side, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """A task on lease; `generation` changes whenever its row does, so that it is removed only if
    it is still what was worked on."""

    task: RepairTask
    generation: int
    attempts: int


@dataclass(frozen=True, slots=True)
class QueueStats:
    """The queue at one moment."""

    depth: int
    depth_kvsp: int
    """Tasks that KVSP may lack, without those left to a person; one may count for both homes."""
    depth_s3: int
    needs_person: int
    oldest_us: int | None
    """Since when the oldest task waits; None when there is none."""
    dirty_marks: int


@dataclass(frozen=True, slots=True)
class QueuedTask:
    """One task as an operator sees it."""

    task: RepairTask
    attempts: int
    queued_us: int
    due_us: int
    failure: str
    needs_person: bool


@dataclass(frozen=True, slots=True)
class DirtyMark:
    """Some key of `namespace` may be missing on `side`; a crawl that begins later finds out."""

    side: Side
    namespace: str
    marked_us: int


class RepairQueue(Protocol):
    """One row per key, durable. At its bound, rows collapse into dirty marks on namespaces.

    Any method raises OSError when the disk refuses; nothing was changed then.
    """

    async def add(self, tasks: Sequence[RepairTask], due_us: int) -> None:
        """Enters tasks, merged by key (highest version, union of sides); durable on return."""
        ...

    async def take(self, limit: int, now_us: int, lease_us: int) -> list[Taken]:
        """Leases tasks that are due; a lease that runs out makes the task due again."""
        ...

    async def free(self) -> None:
        """Ends all leases, when one who took tasks has died; who lives may heal a key twice."""
        ...

    async def done(self, taken: Sequence[Taken]) -> None:
        """Removes those rows that have not changed since they were taken."""
        ...

    async def later(self, taken: Taken, due_us: int, failure: str) -> None:
        """Puts a task back, one attempt older."""
        ...

    async def wanted(self, key: Key) -> Version:
        """The version that some home may lack under `key`; NO_VERSION when none is queued."""
        ...

    async def queued(self, key: Key) -> Taken | None:
        """The task of a key as it stands, not on lease: for whoever heals the key by other means,
        and then removes it with `done` unless it has changed."""
        ...

    async def park(self, taken: Taken, reason: str) -> None:
        """Leaves a task to a person: it is not taken again unless a newer version is added."""
        ...

    async def stats(self) -> QueueStats:
        """How much is queued."""
        ...

    async def sample(self, limit: int) -> list[QueuedTask]:
        """Some tasks in the order in which they are due, those for a person last."""
        ...

    async def dirty(self) -> list[DirtyMark]:
        """The marks into which rows have collapsed."""
        ...

    async def clear_dirty(self, side: Side, namespace: str, began_us: int) -> None:
        """A crawl of `namespace` that began at `began_us` is complete: removes an older mark."""
        ...
