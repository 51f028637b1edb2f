"""Deployments for the tests of this directory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.deployment import Deployment, deployed


@pytest.fixture
async def tandem(tmp_path: Path) -> AsyncIterator[Deployment]:
    """KVSP and a gateway with one worker, on the embedded file, and a namespace "n"."""
    async with deployed(tmp_path / "tandem") as deployment:
        await deployment.start()
        async with deployment.client() as client:
            await client.namespaces.create("n")
        yield deployment
