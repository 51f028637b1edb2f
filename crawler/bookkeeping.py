"""What a crawler keeps between its runs, as those who use it see it: see `crawler.book`."""

from collections.abc import Mapping
from typing import Protocol

from crawler.report import Checkpoint
from tandem.core.crawl_status import Crawled, HistoryPage, Stop


class Bookkeeping(Protocol):
    """Checkpoints, history, breakers and words; each change is one whole."""

    def save(self, plan: str, number: int, at: Checkpoint) -> None:
        """How far the crawl of a range has come."""
        ...

    def checkpoint(self, plan: str, number: int) -> Checkpoint | None:
        """What was saved last."""
        ...

    def drop(self, plan: str, number: int) -> None:
        """The range is done."""
        ...

    def enter(self, crawled: Crawled) -> None:
        """A crawl has ended; entering it again changes nothing."""
        ...

    def history(self, page: HistoryPage) -> list[Crawled]:
        """The last crawls, the newest first."""
        ...

    def latest(self) -> list[Crawled]:
        """The last crawl of each namespace."""
        ...

    def stop(self, stop: Stop) -> None:
        """A breaker has opened, and stays so until a person says otherwise."""
        ...

    def stops(self) -> Mapping[str, Stop]:
        """The breakers by namespace."""
        ...

    def accept(self) -> list[Stop]:
        """A person allows as many changes as each breaker has named; which were open."""
        ...

    def passed(self, namespace: str) -> None:
        """A crawl has ended without being stopped."""
        ...

    def forget(self, namespace: str, at_us: int) -> None:
        """A deleted namespace has ended: nothing is kept but when that was."""
        ...

    def ended(self) -> Mapping[str, int]:
        """When the namespaces were last looked at that have ended."""
        ...

    def word(self, name: str) -> str:
        """What was kept under a name; "" for nothing."""
        ...

    def keep(self, name: str, value: str) -> None:
        """Keeps a text under a name."""
        ...
