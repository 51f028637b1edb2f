"""The contract over the home in memory, as either side."""

import pytest

from tandem.backends.memory import MemoryHome
from tandem.core.reply import Side
from tandem.runtime.clock import SystemClock
from tests.backends.contract import HomeContract
from tests.backends.home_under_test import HomeUnderTest


class TestMemoryHome(HomeContract):
    @pytest.fixture(params=Side)
    def under(self, request: pytest.FixtureRequest) -> HomeUnderTest:
        side: Side = request.param
        clock = SystemClock()
        return HomeUnderTest(
            MemoryHome(side, clock), clock.now_us, lists_versions=side is Side.KVSP
        )
