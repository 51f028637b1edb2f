"""What the supervisor tells a worker when it starts it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_END: Final = "--"


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

    def arguments(self) -> Sequence[str]:
        """The front of the worker's command line."""
        return (
            str(self.slot), str(self.workers), str(self.pipe), str(self.machine),
            self.gateway_id.hex(), self.store_id, _END,
        )  # fmt: skip

    @classmethod
    def taken_from(cls, arguments: Sequence[str]) -> tuple[Self, Sequence[str]]:
        """The post, and the gateway's own flags behind it."""
        slot, workers, pipe, machine, gateway_id, store_id, end, *rest = arguments
        assert end == _END
        post = cls(
            int(slot), int(workers), int(pipe), Path(machine), bytes.fromhex(gateway_id), store_id
        )
        return post, rest
