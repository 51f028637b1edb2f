"""Every test of the registry begins with two homes that know nothing."""

import pytest

from tests.kvgateway.one_gateway import TwoHomes


@pytest.fixture
def homes() -> TwoHomes:
    return TwoHomes()
