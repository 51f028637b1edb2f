"""The whole listing of a home: every page once, and an end to it whatever the home answers."""

import asyncio
from dataclasses import replace

import pytest

from tandem.backends import whole_listing
from tandem.backends.port import ScanPage
from tandem.backends.whole_listing import list_all
from tandem.core.envelope import seal
from tandem.core.key import SYSTEM_NAMESPACE, Key
from tandem.core.reply import Failed, Reason, Side
from tandem.core.version import Version
from tandem.runtime.clock import SystemClock
from tests.memory.home import MemoryHome

NAMES = [f"x/{number}" for number in range(5)]


class Paged(MemoryHome):
    """A home whose pages have two names at most."""

    def __init__(self) -> None:
        super().__init__(Side.S3, SystemClock())
        self.scans = 0
        self.fails_at = 0
        """The number of the page that cannot be had."""
        self.incomplete_at = 0
        """The number of the page that lacks something."""
        self.circles = False

    async def scan(
        self, namespace: str, *, after: str, prefix: str, limit: int, deadline_s: float
    ) -> ScanPage | Failed:
        self.scans += 1
        if self.scans == self.fails_at:
            return Failed(Reason.TIMEOUT)
        page = await super().scan(
            namespace, after=after, prefix=prefix, limit=min(limit, 2), deadline_s=deadline_s
        )
        assert isinstance(page, ScanPage)
        if self.circles and page.next_after is None:
            return replace(page, next_after=after)
        return replace(page, complete=self.scans != self.incomplete_at)


@pytest.fixture
async def home() -> Paged:
    paged = Paged()
    now_us = SystemClock().now_us()
    for number, name in enumerate([*NAMES, "y"]):
        record = seal(Version.at(now_us + number), b"value")
        await paged.put_if_newer(Key(SYSTEM_NAMESPACE, name), record, 1.0)
    return paged


async def listed(home: Paged) -> tuple[list[str], str]:
    async with asyncio.timeout(60):
        listing = await list_all(home, SYSTEM_NAMESPACE, "x/", 1.0)
    return [entry.name for entry in listing.entries], listing.lacking


async def test_all_pages_in_order(home: Paged) -> None:
    assert await listed(home) == (NAMES, "")
    assert home.scans == 3


async def test_a_page_that_cannot_be_had_is_the_last(home: Paged) -> None:
    home.fails_at = 2
    assert await listed(home) == (NAMES[:2], str(Failed(Reason.TIMEOUT)))
    assert home.scans == 2


async def test_what_one_page_lacks_all_of_them_lack(home: Paged) -> None:
    home.incomplete_at = 1
    assert await listed(home) == (NAMES, "the listing is incomplete")


async def test_a_listing_in_circles_ends(home: Paged) -> None:
    home.circles = True
    assert await listed(home) == (NAMES, "the listing goes in circles")
    assert home.scans == 3


async def test_a_listing_without_an_end_ends(home: Paged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_listing, "PAGES_MAX", 2)
    names, lacking = await listed(home)
    assert (names, home.scans) == (NAMES[:4], 2)
    assert "more than" in lacking
