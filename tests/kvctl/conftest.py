"""A running gateway for each test, and one with a crawler."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kvctl.crawled import CrawledGateway
from tests.kvctl.serving import Gateway


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as gateway:
        yield gateway


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No command tries again: what an answer says is told, and not what is said of the attempt that
    the timeout ends."""
    monkeypatch.setattr("tandem.client.retries.RETRY_TOKENS_MAX", 0.0)


@pytest.fixture
def crawled(tmp_path: Path) -> Iterator[CrawledGateway]:
    with CrawledGateway(tmp_path / "book.sqlite") as crawled:
        yield crawled
