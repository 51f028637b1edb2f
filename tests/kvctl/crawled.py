"""A gateway and a crawler beside each other, each behind a real gRPC server."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

from tandem.core.crawl_status import Crawled
from tests.crawler.served import Served
from tests.kvctl.serving import Gateway


class CrawledGateway(Gateway):
    """The crawler is served from the gateway's loop, and touched nowhere else."""

    def __init__(self, book: Path, *tokens: str) -> None:
        super().__init__()
        self.crawler = Served(book, tokens=tokens, is_open=not tokens)

    def __enter__(self) -> Self:
        super().__enter__()
        self.complete(self.crawler.start())
        return self

    def __exit__(self, *error: object) -> None:
        self.complete(self.crawler.stop())
        super().__exit__(*error)

    @property
    def environment(self) -> dict[str, str]:
        """Where the commands find both."""
        return {**super().environment, "TANDEM_CRAWLER": self.crawler.address}

    def found(self, *crawls: Crawled) -> None:
        """Crawls that have ended."""
        self.tell(lambda crawler: crawler.found(*crawls))

    def tell(self, change: Callable[[Served], object]) -> None:
        """Changes something of the crawler, in its own thread."""

        async def changing() -> None:
            change(self.crawler)

        self.complete(changing())
