"""What a universe leaves behind goes with the module that made it."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """A process that crashed leaves coroutines that nobody will await, in cycles. Found later, they
    would be held against whichever test runs then."""
    yield
    gc.collect()
