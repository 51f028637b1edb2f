"""The crawler's service over gRPC, and a client of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tandem.client.crawler import CrawlerClient
from tests.crawler.served import Served


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    served = Served(tmp_path / "book.sqlite")
    await served.start()
    yield served
    await served.stop()


@pytest.fixture
async def crawler(served: Served) -> AsyncIterator[CrawlerClient]:
    async with served.client() as crawler:
        yield crawler
