"""Deployments for the tests of this directory."""

from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest

from tests.e2e.deployment import STANDING, Deployment, deployed


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed shows the logs of the deployments that its fixtures hold."""
    report = yield
    if report.failed:
        report.sections += [(str(one.directory), one.last_words()) for one in STANDING]
    return report


@pytest.fixture
async def tandem(tmp_path: Path) -> AsyncIterator[Deployment]:
    """KVSP and a gateway with one worker, on the embedded file, and a namespace "n"."""
    async with deployed(tmp_path / "tandem") as deployment:
        await deployment.start()
        async with deployment.client() as client:
            await client.namespaces.create("n")
        yield deployment
