"""What an adversary has counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from kvctl.adversary.checker import Broken, Violation
from kvctl.adversary.operation import Kind, Operation, Outcome

ERRORS_MAX: Final = 20
"""Different messages that are kept; others count as one."""
OTHER: Final = "other"


@dataclass(slots=True)
class Tally:
    """A run in numbers."""

    operations: int = 0
    reads: int = 0
    """Those that were answered; so are writes and deletes."""
    writes: int = 0
    deletes: int = 0
    failed: int = 0
    ambiguous: int = 0
    value_bytes: int = 0
    seconds: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    broken: Counter[Broken] = field(default_factory=Counter)
    converged_us: list[int] = field(default_factory=list)
    """Of each key: how long after the last write both homes were seen to be equal."""
    unequal: list[str] = field(default_factory=list)
    """Keys whose homes were not equal in time, and why."""
    interrupted: bool = False

    def ended(self, operation: Operation) -> None:
        """Counts an operation."""
        self.operations += 1
        match operation.outcome, operation.kind:
            case Outcome.ANSWERED, Kind.GET:
                self.reads += 1
            case Outcome.ANSWERED, Kind.PUT:
                self.writes += 1
            case Outcome.ANSWERED, Kind.DELETE:
                self.deletes += 1
            case Outcome.AMBIGUOUS, _:
                self.ambiguous += 1
            case _:
                self.failed += 1
        if operation.error:
            known = operation.error in self.errors or len(self.errors) < ERRORS_MAX
            self.errors[operation.error if known else OTHER] += 1

    def violated(self, violations: Sequence[Violation]) -> None:
        """Counts violations."""
        for violation in violations:
            self.broken[violation.broken] += 1

    @property
    def answered(self) -> int:
        """Operations with an answer."""
        return self.reads + self.writes + self.deletes

    def share(self, broken: Broken) -> float:
        """The share of the answered reads that break a promise."""
        return self.broken[broken] / self.reads if self.reads else 0.0

    def converged(self, share: float) -> int | None:
        """The time within which that share of the keys converged, in microseconds."""
        ordered = sorted(self.converged_us)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None

    @property
    def good(self) -> bool:
        """Whether every promise was kept, and both homes became equal."""
        return not self.broken.total() and not self.unequal
