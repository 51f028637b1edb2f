"""The API on a server of its own."""

from collections.abc import AsyncIterator

import pytest

from tests.kvgateway.http.rest.api import Api, opened


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with opened() as api:
        yield api
