"""The crawler's service over gRPC, and a client of it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from crawler.book import Book
from tandem.client.crawler import CrawlerClient
from tests.crawler.served import Served


@pytest.fixture(autouse=True)
def _books_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Most tests end like a process that is killed; from Python 3.13 on, SQLite's warns of that."""
    opened: list[Book] = []
    open_book = Book.__init__

    def noted(book: Book, path: Path, *, history_days: float = 30.0) -> None:
        open_book(book, path, history_days=history_days)
        opened.append(book)

    monkeypatch.setattr(Book, "__init__", noted)
    yield
    for book in opened:
        book.close()


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
