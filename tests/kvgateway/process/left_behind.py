"""What a worker that died left behind, and the machine's memory that it leaves it to."""

from dataclasses import dataclass, field

from kvgateway.state.ports import Intent
from tandem.core.key import Key
from tandem.core.version import Version
from tests.kvgateway.two_homes import NAMESPACE, Numbers
from tests.memory.machine import MemoryMachine
from tests.sim.loop import EPOCH_US

INTENTS = [Intent(Key(NAMESPACE, f"key {n}"), Version.at(EPOCH_US + n)) for n in range(5)]


@dataclass
class LeftBehind:
    """A dead worker's journal."""

    intents: list[Intent] = field(default_factory=lambda: list(INTENTS))
    fate: str = "held"
    damaged: bool = False

    async def drop(self) -> None:
        self.fate = "dropped"

    def release(self) -> None:
        self.fate = "released"


def memory(bytes_max: int = 256 * 1024 * 1024) -> MemoryMachine:
    return MemoryMachine(
        gateway_id=bytes(4), random=Numbers().token, clock_bound_us=2**51, bytes_max=bytes_max
    )
