"""What one home has acknowledged is owed to the other, whatever the disk does and whoever dies."""

import asyncio
import enum
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from tests.kvgateway.data_path.owing import Gateway, Leg, QueueFault
from tests.kvgateway.state.failing_disk import Fault, failing
from tests.kvgateway.state.machines import SHARED_MEMORY
from tests.sim import loop as virtual

_FAST_DISK = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None


@dataclass(frozen=True, slots=True)
class Write:
    name: str
    kvsp: Leg
    s3: Leg


@dataclass(frozen=True, slots=True)
class Wait:
    for_s: float


class Death(enum.Enum):
    """Who goes, to be replaced."""

    WORKER = "worker"
    POWER = "power"


Step = Write | Wait | Fault | QueueFault | Death
"""A fault lasts until the next one of its kind."""


async def _take(gateway: Gateway, step: Step) -> None:
    match step:
        case Write(name, kvsp, s3):
            gateway.write(name, kvsp, s3)
        case Wait(for_s):
            await asyncio.sleep(for_s)
        case Fault():
            gateway.disk.fault = step
        case QueueFault():
            gateway.queue.fault = step
        case Death.WORKER:
            gateway.kill()
        case Death.POWER:
            gateway.cut_power()


def _live(steps: Sequence[Step]) -> None:
    """Takes the steps on a new machine, then lets all be well again."""

    async def live() -> None:
        with (
            tempfile.TemporaryDirectory(dir=_FAST_DISK) as directory,
            failing(Path(directory)) as disk,
        ):
            gateway = Gateway(disk)
            await asyncio.sleep(0.1)
            for step in steps:
                await _take(gateway, step)
                gateway.check()
            await gateway.calm()
            assert not virtual.current().errors
            assert not gateway.broken, gateway.broken[:5]

    virtual.run(live())


_HISTORIES = 100
_STEPS = 80
_ONE_HOME = (Leg.DOWN, Leg.DOWN_LATER, Leg.LOST)
_WAITS_S = (0.0005, 0.0015, 0.003, 0.004, 0.01, 0.3, 1.2)


def _drawn(random: Random) -> Step:
    match random.choices(["write", "wait", "disk", "queue", "death"], [24, 16, 2, 2, 1])[0]:
        case "write":
            alone = [random.choice(_ONE_HOME), Leg.STORED]
            random.shuffle(alone)
            anyhow = random.choices(list(Leg), k=2)
            return Write(random.choice("abcdefgh"), *random.choice([alone, alone, anyhow]))
        case "wait":
            return Wait(random.choice(_WAITS_S))
        case "disk":
            return random.choice(list(Fault))
        case "queue":
            return random.choice(list(QueueFault))
        case _:
            return random.choice(list(Death))


@pytest.mark.parametrize("seed", range(_HISTORIES))
def test_any_history(seed: int) -> None:
    random = Random(seed)
    _live([_drawn(random) for _ in range(_STEPS)])
