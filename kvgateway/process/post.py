"""What the supervisor tells a worker when it starts it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_END: Final = "--"
_UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Post:
    """A worker's place on the machine."""

    slot: int
    workers: int
    pipe: int
    """File number of the pipe for its heartbeats."""
    machine: Path
    """Directory of the shared memory."""
    gateway_id: bytes
    store_id: str
    offset_us: int | None = None
    """How far the homes are ahead of the machine's monotonic clock, as the supervisor believes."""

    def arguments(self) -> Sequence[str]:
        """The front of the worker's command line."""
        return (
            str(self.slot), str(self.workers), str(self.pipe), str(self.machine),
            self.gateway_id.hex(), self.store_id, _text_of(self.offset_us), _END,
        )  # fmt: skip

    @classmethod
    def taken_from(cls, arguments: Sequence[str]) -> tuple[Self, Sequence[str]]:
        """The post, and the gateway's own flags behind it."""
        slot, workers, pipe, machine, gateway_id, store_id, offset, end, *rest = arguments
        assert end == _END
        post = cls(
            int(slot), int(workers), int(pipe), Path(machine), bytes.fromhex(gateway_id), store_id,
            None if offset == _UNKNOWN else int(offset),
        )  # fmt: skip
        return post, rest


def _text_of(offset_us: int | None) -> str:
    return _UNKNOWN if offset_us is None else str(offset_us)
