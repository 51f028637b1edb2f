"""A door to a gateway in memory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kvgateway.http.doors import Door, opened


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with opened(tmp_path) as door:
        yield door
