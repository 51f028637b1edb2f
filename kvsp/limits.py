"""How much may wait for one cluster, and how much is done at once."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClusterLimits:
    """The same for every cluster of a store."""

    writes_waiting_max: int = 16_384
    reads_waiting_max: int = 65_536
    at_once_max: int = 4_096
    """Rows of one transaction; reads of one hop."""
    large_at_once_max: int = 16
    """A large value under way holds two pieces, a thread now and then, and no more."""
    large_waiting_max: int = 64
