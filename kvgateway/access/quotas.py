"""The quotas that a worker charges: those of namespaces, and those of tokens.

An allowance is one holder's quota with its meters; all callers in the process share it. It is made
anew when the quota changes, which starts with what the machine's buckets hold.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from kvgateway.access.meter import Meter
from kvgateway.state.quota_memory import QuotaMemory
from tandem.core.namespace import Settings
from tandem.core.quota import Quota, bytes_rate, operations_rate
from tandem.errors import QuotaExceeded
from tandem.runtime.latest import Latest

ALLOWANCES_MAX: Final = 10_000
REFUSAL_PAUSE_S: Final = 0.05
"""How long gRPC keeps a refused caller waiting: who asks again at once, whatever it is told, costs
the worker twenty refusals a second for each connection."""
BODY_RETRY_S: Final = 1.0
"""Nobody knows when a body ends."""


class Limit(enum.Enum):
    """What a request was refused for."""

    OPERATIONS = "operations"
    BYTES = "bytes"
    BODIES = "bodies"
    KEY_WRITES = "key_writes"


class Counts(Protocol):
    """Counts what there was no room for."""

    def waited(self, namespace: str, count: int) -> None:
        """So many operations on a namespace wait for their turn."""
        ...

    def refused(self, namespace: str, limit: Limit, count: int) -> None:
        """So many requests of a namespace were refused."""
        ...


@dataclass(frozen=True, slots=True)
class Allowance:
    """One holder's quota, metered."""

    holder: str
    """As it is called in answers."""
    quota: Quota
    operations: Meter | None
    payload: Meter | None
    bodies: bytes
    """What its large bodies are counted under."""

    def over_operations(self, now_us: int) -> QuotaExceeded:
        """The answer to an operation that there is no room for: it is told its turn."""
        assert self.operations is not None
        return QuotaExceeded(
            f"{self.holder} is over {self.quota.operations_per_s} operations a second",
            self.operations.turn_s(now_us),
        )

    def over_bytes(self, now_us: int) -> QuotaExceeded:
        """The answer to an operation while more bytes are charged than there was room for."""
        assert self.payload is not None
        return QuotaExceeded(
            f"{self.holder} is over {self.quota.bytes_per_s} bytes a second",
            self.payload.wait_s(now_us),
        )

    def over_bodies(self) -> QuotaExceeded:
        """The answer to a large body too many."""
        return QuotaExceeded(
            f"{self.holder} sends {self.quota.large_bodies_max} large values already",
            BODY_RETRY_S,
        )


class Quotas:
    """The allowances of one worker.

    Args:
        settings_of: the settings of a namespace that limits anything; None for all others.
        monotonic_us: the machine's monotonic clock.
    """

    def __init__(
        self,
        memory: QuotaMemory,
        settings_of: Callable[[str], Settings | None],
        monotonic_us: Callable[[], int],
        counts: Counts,
    ) -> None:
        self.memory = memory
        self.settings_of = settings_of
        self.monotonic_us = monotonic_us
        self.counts = counts
        self._allowances = Latest[str, Allowance](ALLOWANCES_MAX)

    def of_namespace(self, namespace: str, quota: Quota) -> Allowance | None:
        """A namespace's allowance; None without a quota."""
        return self._of(f"namespace {namespace}", quota) if quota else None

    def of_holder(self, holder: str, quota: Quota) -> Allowance | None:
        """The allowance of whoever holds a grant; None without a quota."""
        return self._of(holder, quota) if quota else None

    def _of(self, holder: str, quota: Quota) -> Allowance:
        allowance = self._allowances.get(holder)
        if allowance is None or allowance.quota != quota:
            allowance = self._made(holder, quota)
            self._allowances.keep(holder, allowance)
        return allowance

    def _made(self, holder: str, quota: Quota) -> Allowance:
        operations, size = quota.operations_per_s, quota.bytes_per_s
        name = holder.encode()
        return Allowance(
            holder,
            quota,
            Meter(self.memory, name + b" o", operations_rate(operations)) if operations else None,
            Meter(self.memory, name + b" b", bytes_rate(size)) if size else None,
            name,
        )
