"""The breaker of work that deletes or rewrites on its own: too much of it at once needs a person.

A bug, a wrong clock or a home restored from old data shows as a crawl that wants to change much of
a range. It is stopped before the first change. A person who accepts it accepts a number: what has
grown beyond it since is not accepted.
"""

import enum
from dataclasses import dataclass
from typing import Final, Self


class MassWork(enum.Enum):
    """What may grow too large."""

    COLLECT = "removing dead records"
    SWEEP = "sweeping objects"
    VALUES = "sweeping values that KVSP has dropped"
    REPAIR = "repairing"
    END = "ending deleted namespaces"

    @property
    def touches(self) -> str:
        """What its numbers count."""
        return "namespaces" if self is MassWork.END else "records"


@dataclass(frozen=True, slots=True)
class MassLimit:
    """How much of a range may change in one crawl."""

    share: float = 0.3
    """Of the records of the range, from 0 to 1."""
    always: int = 1_000
    """So many changes are allowed whatever the share: small ranges change as a whole."""

    def __post_init__(self) -> None:
        assert 0 <= self.share <= 1
        assert self.always >= 0


MASS_LIMIT: Final = MassLimit()
SWEPT_VALUES_LIMIT: Final = MassLimit(share=0.01, always=100)
"""Of values that S3 alone has, below the floor. An old copy of S3 shows them, and few late requests
do; so does a KVSP that has lost rows and does not know it, and then S3 has the last copy."""


@dataclass(frozen=True, slots=True)
class NeedsPerson:
    """Nothing was done; somebody must look."""

    work: MassWork
    changes: int
    records: int

    def __str__(self) -> str:
        touched = f"{self.changes} of {self.records} {self.work.touches}"
        return f"{self.work.value} would touch {touched}"

    def document(self) -> list[object]:
        """As JSON has it."""
        return [self.work.name, self.changes, self.records]

    @classmethod
    def of(cls, document: object) -> Self:
        """What `document` made; ValueError, KeyError or TypeError for anything else."""
        if not isinstance(document, list):
            raise TypeError(f"{document!r} instead of a stop")
        work, changes, records = document
        return cls(MassWork[work], int(str(changes)), int(str(records)))


def mass_change(
    work: MassWork, changes: int, records: int, limit: MassLimit, accepted: int = 0
) -> NeedsPerson | None:
    """Whether `changes` of the `records` of a range are too many to go on alone.

    Args:
        accepted: how many changes of this work a person has allowed for this range.
    """
    assert changes >= 0
    assert records >= 0
    if changes <= max(limit.always, accepted) or changes <= limit.share * records:
        return None
    return NeedsPerson(work, changes, records)
