"""One operation of an adversary, from the question to the answer."""

import enum
from dataclasses import dataclass
from typing import Final

from tandem.core.version import NO_VERSION, Version

NOTHING: Final = 0
"""In place of a put's number: a miss, or a deletion."""
UNKNOWN: Final = 0
"""In place of a process: it has not said who it is."""


class Kind(enum.Enum):
    GET = "get"
    PUT = "put"
    DELETE = "delete"


class Outcome(enum.Enum):
    UNDER_WAY = "under way"
    ANSWERED = "answered"
    AMBIGUOUS = "ambiguous"
    """A write without a word on whether it happened: it may still happen."""
    FAILED = "failed"
    """A read without an answer, or a write that was refused before it began."""


@dataclass(slots=True)
class Operation:
    """What was asked and what came of it; times are microseconds since the epoch."""

    number: int
    """From 1 on, in the order in which they began."""
    kind: Kind
    key: int
    gateway: int
    connection: int
    session: int
    began_us: int
    ended_us: int = 0
    outcome: Outcome = Outcome.UNDER_WAY
    version: Version = NO_VERSION
    """Of the write, or of what was read; of a tombstone too."""
    content: int = NOTHING
    """The number of the put whose value was written, or read."""
    intact: bool = True
    """Whether a value that was read is one that the adversary writes under this key."""
    error: str = ""
    process: int = UNKNOWN
    """The worker process that its connection had been led to when it began."""
    acknowledged: Version = NO_VERSION
    """The newest write that had been acknowledged in its scope when it began."""
    seen: Version = NO_VERSION
    """The newest version that had been read in its scope when it began."""
