"""The wall clock of a gateway's machine jumps under load: versions come from the homes' time, so
nobody notices. (The monotonic clock is left alone: no administrator sets it.)"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import require
from tests.e2e.buckets import new_bucket
from tests.e2e.comparison import check
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.history import Mix, more, under_load
from tests.e2e.waiting import until_true
from tests.servers import faketime
from tests.servers.rgw import Rgw

_JUMPS_S = (3600, -7200, 2, 20 * 60, -600_000, 0)


@dataclass(frozen=True, slots=True)
class Jumping:
    """A deployment on S3, and the wall clock of its gateway alone."""

    tandem: Deployment
    clock: faketime.WallClock


@pytest.fixture
async def jumping(
    rgw: Rgw, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Jumping]:
    library = faketime.library()
    if library is None:
        require(faketime.why_missing(), "clock jumps", request.config)
        return
    clock = faketime.WallClock(tmp_path / "wall-clock")
    async with deployed(tmp_path / "tandem", new_bucket(rgw)) as tandem:
        tandem.kvsp.start()
        tandem.gateway.start(**clock.environment(library))
        await tandem.serving(tandem.kvsp, tandem.kvsp_address)
        await tandem.serving(tandem.gateway, tandem.grpc)
        async with tandem.client() as client:
            await client.namespaces.create("n")
        yield Jumping(tandem, clock)
        await tandem.gateway.stop()  # killed, it would leave the library's shared memory behind


async def test_a_wall_clock_that_jumps_changes_nothing(jumping: Jumping) -> None:
    tandem = jumping.tandem
    async with under_load(tandem.grpc, "n", Mix(clients=2)) as history:
        for jump_s in _JUMPS_S:
            jumping.clock.set_ahead(jump_s)
            await _shown(tandem, jump_s)
            await more(history, 150)
    assert not history.errors()
    await check(tandem, "n", history)


async def _shown(tandem: Deployment, ahead_s: int) -> None:
    """Returns when the gateway has seen its wall clock jump."""

    async def shown() -> bool:
        offset_us = (await tandem.status()).clock_offset_us
        return abs(offset_us / 1e6 + ahead_s) < 1.5

    await until_true(shown, f"its wall clock is {ahead_s} s ahead")
