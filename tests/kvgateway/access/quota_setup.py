"""Quotas over a memory of their own, with a clock that tests move."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from kvgateway.access.quotas import Limit, Quotas
from kvgateway.state.quota_memory import QuotaMemory
from tandem.core.namespace import Settings

MAP_BYTES = 4 * 1024 * 1024
SECOND_US = 1_000_000


@contextmanager
def quota_directory(map_bytes: int = MAP_BYTES) -> Iterator[Path]:
    """A directory with a memory of quotas in it."""
    with TemporaryDirectory() as place:
        directory = Path(place) / "quotas"
        QuotaMemory.create(directory, map_bytes)
        yield directory


@dataclass
class Counted:
    """Counts refusals by namespace and limit, and what waits by namespace."""

    counts: Counter[tuple[str, Limit]] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)

    def waited(self, namespace: str, count: int) -> None:
        self.waiting[namespace] += count

    def refused(self, namespace: str, limit: Limit, count: int) -> None:
        self.counts[namespace, limit] += count


@dataclass
class Worker:
    """One worker's quotas."""

    memory: QuotaMemory
    settings: dict[str, Settings]
    now_us: int = 1000 * SECOND_US
    refusals: Counted = field(default_factory=Counted)
    quotas: Quotas = field(init=False)

    def __post_init__(self) -> None:
        self.quotas = Quotas(self.memory, self.settings.get, lambda: self.now_us, self.refusals)


@contextmanager
def worker(directory: Path, settings: dict[str, Settings], slot: int = 0) -> Iterator[Worker]:
    """A worker on a memory, in a place of its own."""
    memory = QuotaMemory(directory, slot)
    yield Worker(memory, settings)
    memory.close()
