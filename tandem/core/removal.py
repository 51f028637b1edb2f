"""What is asked of a home when something is to go for good, and what it answers.

Nothing here is ever demanded of "whatever is there": a record is named by version and digest, a
cluster by its incarnation.
"""

import enum
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tandem.core.cluster_life import ClusterLife
from tandem.core.version import Version


class Span(NamedTuple):
    """A range of names of one namespace, in the byte order of names."""

    namespace: str
    start: str = ""
    """The first name; "" for all from the beginning."""
    end: str = ""
    """The first name that no longer belongs; "" for all to the end."""

    @property
    def raw_start(self) -> bytes:
        return self.start.encode()

    @property
    def raw_end(self) -> bytes:
        return self.end.encode()

    def holds(self, name: str) -> bool:
        """Whether the name belongs to the range."""
        return self.start <= name and (not self.end or name < self.end)


class Removal(enum.Enum):
    """What became of the demand to remove, or replace, exactly one record."""

    DONE = "done"
    ABSENT = "there is none"
    DIFFERENT = "another record is there"
    LIVE = "it is a value that has not expired"
    ABOVE_FLOOR = "it is above the floor of its range"
    OTHER_INCARNATION = "the cluster is another one"


class FloorReply(enum.Enum):
    """What a cluster answers to a floor that is to rise."""

    RAISED = "raised"
    """No part of the range has a lower one now."""
    OTHER_INCARNATION = "the cluster is another one"
    TOO_MANY_RANGES = "the cluster knows as many ranges as it may"


class FloorRaise(NamedTuple):
    """A floor that is to rise in the clusters that `incarnations` names."""

    span: Span
    floor: Version
    incarnations: Mapping[str, str]


class PurgeRow(NamedTuple):
    """A row that is to go if it is still this one."""

    raw_name: bytes
    version: Version
    digest: bytes


class RowPurge(NamedTuple):
    """Rows that are to go from the clusters that `incarnations` names."""

    namespace: str
    rows: Sequence[PurgeRow]
    incarnations: Mapping[str, str]


class Renewal(NamedTuple):
    """A cluster that is to begin a new life, and what is known of its past."""

    cluster: str
    incarnation: str
    past: ClusterLife


class Renewed(NamedTuple):
    """A cluster's new life."""

    incarnation: str
    rows_removed: int


class NamespacePurge(NamedTuple):
    """What one step of removing a namespace has done; `more` tells that something may be left."""

    removed: int
    more: bool
