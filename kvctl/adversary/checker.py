"""What is promised, checked as the answers come, in memory that does not grow.

A *scope* is within what the promises hold: a gateway's machine, or a session that goes from gateway
to gateway. In a scope

    a read       is at or above every write that was acknowledged before it began,
                 and at or above what was read before it began
    a write      gets a version above all that were acknowledged before it began
    a value      is, whole, the one that was written under its key and version

and when all is over, each key holds the newest acknowledged write of all scopes, or a newer one.
A miss counts with the version of its tombstone, or with no version at all.
"""

import enum
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from kvctl.adversary.operation import NOTHING, Kind, Operation, Outcome
from tandem.core.version import NO_VERSION, Version

WRITES_REMEMBERED: Final = 1000
"""Of each key: versions whose value is known."""


class Broken(enum.Enum):
    """A promise that an answer does not keep."""

    OWN_WRITES = "read-your-own-writes"
    MONOTONIC = "monotonic-reads"
    WRITE_ORDER = "write-order"
    WRONG_VALUE = "wrong-value"
    LOST_WRITE = "lost-write"


@dataclass(frozen=True, slots=True)
class Violation:
    """One answer that breaks a promise."""

    broken: Broken
    operation: Operation
    why: str


@dataclass(slots=True)
class _Known:
    """What a scope knows of a key."""

    acknowledged: Version = NO_VERSION
    seen: Version = NO_VERSION
    seen_since_us: int = 0


class Checker:
    """Judges each operation when it ends, by what was known when it began."""

    def __init__(self, seen_for_us: int | None) -> None:
        """`seen_for_us` is how long after its first reading a version binds later reads; None for
        ever. A machine promises it while its cache holds the entry, a session without end."""
        self._seen_for_us = seen_for_us
        self._known: defaultdict[tuple[int, int], _Known] = defaultdict(_Known)
        self._contents: defaultdict[int, dict[Version, int]] = defaultdict(dict)
        self.newest: dict[int, Operation] = {}
        """The newest acknowledged write of each key."""

    def begin(self, operation: Operation, scope: int) -> None:
        """Notes what the operation may not fall behind."""
        known = self._known[scope, operation.key]
        operation.acknowledged = known.acknowledged
        operation.seen = known.seen if self._binds(known, operation.began_us) else NO_VERSION

    def end(self, operation: Operation, scope: int) -> list[Violation]:
        """Judges an operation whose outcome is known, and learns from it."""
        if operation.outcome is not Outcome.ANSWERED:
            return []
        if operation.kind is Kind.GET:
            found = [*self._judged_read(operation)]
            self._saw(self._known[scope, operation.key], operation)
        else:
            found = [*self._judged_write(operation)]
            self._wrote(self._known[scope, operation.key], operation)
        return found

    def _binds(self, known: _Known, now_us: int) -> bool:
        return self._seen_for_us is None or now_us - known.seen_since_us <= self._seen_for_us

    def _judged_read(self, read: Operation) -> Iterator[Violation]:
        shown = read.version if read.version != NO_VERSION else "nothing"
        if read.version < read.acknowledged:
            why = f"read {shown} after {read.acknowledged} was acknowledged"
            yield Violation(Broken.OWN_WRITES, read, why)
        if read.version < read.seen:
            yield Violation(Broken.MONOTONIC, read, f"read {shown} after {read.seen} was read")
        if not read.intact:
            yield Violation(Broken.WRONG_VALUE, read, f"{shown} has a value that nobody wrote")
            return
        written = self._contents[read.key].get(read.version, read.content)
        if written != read.content:
            why = f"{shown} has {_said(read.content)}, and was written as {_said(written)}"
            yield Violation(Broken.WRONG_VALUE, read, why)

    def _judged_write(self, write: Operation) -> Iterator[Violation]:
        if write.version <= write.acknowledged:
            why = f"got {write.version}, which is not above {write.acknowledged}"
            yield Violation(Broken.WRITE_ORDER, write, why)

    def _saw(self, known: _Known, read: Operation) -> None:
        if read.version > known.seen or not self._binds(known, read.began_us):
            known.seen, known.seen_since_us = read.version, read.began_us

    def _wrote(self, known: _Known, write: Operation) -> None:
        known.acknowledged = max(known.acknowledged, write.version)
        newest = self.newest.get(write.key)
        if newest is None or write.version > newest.version:
            self.newest[write.key] = write
        contents = self._contents[write.key]
        contents[write.version] = write.content
        if len(contents) > WRITES_REMEMBERED:
            for version in [*islice(contents, WRITES_REMEMBERED // 2)]:
                del contents[version]

    def held(self, key: int, version: Version) -> Violation | None:
        """Judges what both homes hold under a key when all is over."""
        newest = self.newest.get(key)
        if newest is None or version >= newest.version:
            return None
        why = f"both homes hold {version}, and {newest.version} was acknowledged"
        return Violation(Broken.LOST_WRITE, newest, why)


def _said(content: int) -> str:
    return "no value" if content == NOTHING else f"the value of operation {content}"
