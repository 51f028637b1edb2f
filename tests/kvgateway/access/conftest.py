"""A memory of quotas for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kvgateway.access.quota_setup import quota_directory


@pytest.fixture
def directory() -> Iterator[Path]:
    with quota_directory() as directory:
        yield directory
