"""The contract over the home in memory, as either side, and over several clusters of it."""

import pytest

from tandem.backends.port import CollectableObjects, CollectableRows
from tandem.core.reply import Side
from tandem.runtime.clock import SystemClock
from tests.backends.contract import HomeContract
from tests.backends.contract_objects import ObjectsContract
from tests.backends.contract_rows import RowsContract
from tests.backends.home_under_test import HomeUnderTest
from tests.memory.home import MemoryHome
from tests.memory.stripes import MemoryStripes


class TestMemoryHome(HomeContract):
    @pytest.fixture(params=Side)
    def under(self, request: pytest.FixtureRequest) -> HomeUnderTest:
        side: Side = request.param
        clock = SystemClock()
        return HomeUnderTest(
            MemoryHome(side, clock), clock.now_us, lists_versions=side is Side.KVSP
        )


class TestMemoryStripes(HomeContract):
    @pytest.fixture
    def under(self) -> HomeUnderTest:
        clock = SystemClock()
        return HomeUnderTest(MemoryStripes(clock, 3), clock.now_us)


class TestMemoryRows(RowsContract):
    @pytest.fixture(params=[MemoryHome, MemoryStripes])
    def under(self, request: pytest.FixtureRequest) -> HomeUnderTest:
        clock = SystemClock()
        if request.param is MemoryStripes:
            return HomeUnderTest(MemoryStripes(clock, 3), clock.now_us)
        return HomeUnderTest(MemoryHome(Side.KVSP, clock), clock.now_us)

    @pytest.fixture
    def rows(self, under: HomeUnderTest) -> CollectableRows:
        assert isinstance(under.home, MemoryHome | MemoryStripes)
        return under.home


class TestMemoryObjects(ObjectsContract):
    @pytest.fixture(params=[True, False], ids=["removes", "keeps"])
    def under(self, request: pytest.FixtureRequest) -> HomeUnderTest:
        clock = SystemClock()
        home = MemoryHome(Side.S3, clock, removes=request.param)
        return HomeUnderTest(home, clock.now_us, lists_versions=False)

    @pytest.fixture
    def objects(self, under: HomeUnderTest) -> CollectableObjects:
        assert isinstance(under.home, MemoryHome)
        return under.home
