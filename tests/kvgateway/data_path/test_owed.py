"""What was acknowledged by one home is owed to the other, whatever the disk does and whoever dies."""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kvgateway.data_path.failing_disk import Fault, failing
from tests.kvgateway.data_path.owing import Gateway, Leg, QueueFault
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



Step = Write | Wait | Fault | QueueFault | bool


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
        case True:
            gateway.kill()
        case False:
            gateway.cut_power()


def _lived(steps: Sequence[Step], prepare: Callable[[Gateway], None] = lambda _: None) -> Gateway:
    async def live() -> Gateway:
        with (
            tempfile.TemporaryDirectory(dir=_FAST_DISK) as directory,
            failing(Path(directory)) as disk,
        ):
            gateway = Gateway(disk)
            await asyncio.sleep(0.1)
            prepare(gateway)
            for step in steps:
                await _take(gateway, step)
                gateway.check()
            await gateway.calm()
            assert not virtual.current().errors
            return gateway

    gateway = virtual.run(live())
    assert not gateway.broken, gateway.broken[:5]
    return gateway


_NAMES = st.sampled_from("abcdefgh")
_ONE_HOME = st.sampled_from([Leg.DOWN, Leg.DOWN_LATER, Leg.LOST])
_WRITES = st.one_of(
    st.builds(Write, _NAMES, st.sampled_from(Leg), st.sampled_from(Leg)),
    st.builds(Write, _NAMES, _ONE_HOME, st.just(Leg.STORED)),
    st.builds(Write, _NAMES, st.just(Leg.STORED), _ONE_HOME),
)
_WAITS = st.builds(Wait, st.sampled_from([0.0005, 0.0015, 0.003, 0.004, 0.01, 0.3, 1.2]))
_STEPS = st.one_of(
    _WRITES, _WRITES, _WRITES, _WAITS, _WAITS, _WAITS,
    st.sampled_from(Fault), st.sampled_from(QueueFault), st.booleans(),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(_STEPS, min_size=30, max_size=60))
def test_any_history(steps: list[Step]) -> None:
    _lived(steps)
