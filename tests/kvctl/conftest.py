"""A running gateway for each test."""

from collections.abc import Iterator

import pytest

from tests.kvctl.serving import Gateway


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as gateway:
        yield gateway
