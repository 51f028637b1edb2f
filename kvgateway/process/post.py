"""What the supervisor tells a worker when it starts it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Post:
    """A worker's place on the machine."""

    seat: int
    """Below twice the number of workers: each slot has two, for one who takes over while the other
    one still serves."""
    workers: int
    pipe: int
    """File number of the pipe for its heartbeats."""
    machine: Path
    """Directory of the shared memory."""
    gateway_id: bytes
    store_id: str
    offset_us: int | None = None
    """How far the homes are ahead of the machine's monotonic clock, as the supervisor believes."""

    @property
    def slot(self) -> int:
        """Which of the machine's workers it is."""
        return self.seat % self.workers

    def arguments(self) -> Sequence[str]:
        """The worker's command line."""
        return (
            str(self.seat), str(self.workers), str(self.pipe), str(self.machine),
            self.gateway_id.hex(), self.store_id, _text_of(self.offset_us),
        )  # fmt: skip

    @classmethod
    def taken_from(cls, arguments: Sequence[str]) -> Self:
        """The post that `arguments` tell of."""
        seat, workers, pipe, machine, gateway_id, store_id, offset = arguments
        return cls(
            int(seat), int(workers), int(pipe), Path(machine), bytes.fromhex(gateway_id), store_id,
            None if offset == _UNKNOWN else int(offset),
        )  # fmt: skip


def _text_of(offset_us: int | None) -> str:
    return _UNKNOWN if offset_us is None else str(offset_us)
