"""What bounds the reads of one process, and what is counted of them."""

from dataclasses import dataclass
from typing import Final

from tandem.core.latency import KNOWN_FROM
from tandem.core.reading import COMPANY_FROM


@dataclass(frozen=True, slots=True)
class ReadBounds:
    """Deadlines, lifetimes and how much may be under way."""

    deadline_s: float = 5.0
    cache_ttl_s: int = 60
    miss_ttl_us: int = 1_000_000
    flights_max: int = 20_000
    sample_share: float = 0.01
    """Of the reads that would not ask both homes, so many do all the same."""
    latency_known_from: int = KNOWN_FROM
    company_from: int = COMPANY_FROM
    remembered_s: int = 3600
    """So long after a home last showed a record, memory answers instead of homes that show less or
    nothing; below the shortest grace, or a key that was deleted for good could come back."""


READ_BOUNDS: Final = ReadBounds()


@dataclass(slots=True)
class ReadCounters:
    """Where answers came from and what reading noticed."""

    hits: int = 0
    misses: int = 0
    stale: int = 0
    unavailable: int = 0
    overloaded: int = 0
    drift: int = 0
    corrupt: int = 0
    hedged: int = 0
    """Reads that had to ask the second home after the first."""
    sampled: int = 0
    """Reads that asked both homes only because they were drawn by lot."""
