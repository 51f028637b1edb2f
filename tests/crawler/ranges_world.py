"""Namespaces of keys of which a home lacks a few or all, and what a crawl of them must say."""

import asyncio

from tandem.core.crawl_status import Crawled
from tandem.core.drift import Drift
from tandem.core.record import Record
from tandem.core.reply import Side
from tests.crawler.crawling import Ground, record

KEYS = 120
MISSING = frozenset({7, 31, 32, 90})


async def ground() -> Ground:
    """120 keys, four of which S3 lacks."""
    made = Ground()
    for n in range(KEYS):
        await made.hold(f"{n:04}", record(n), None if n in MISSING else record(n))
    return made


def check(crawled: Crawled) -> None:
    """What a crawl of that ground must say, however often it was begun."""
    tally = crawled.tally
    assert (crawled.failure, crawled.stopped) == ("", "")
    assert tally.equal == KEYS - len(MISSING)
    assert tally.keys[Drift.MISSING_IN_S3] == tally.copied[Side.S3] == len(MISSING)
    assert tally.records == KEYS
    assert crawled.equal


async def lost(side: Side, also: int = 0) -> Ground:
    """60 keys, of which a home lacks 30 and holds 10 in an older version; and the other one lacks
    so many of the rest."""
    made = Ground()
    for n in range(60):
        copies: dict[Side, Record | None] = {one: record(n + 500) for one in Side}
        if n < 40:
            copies[side] = record(n) if n < 10 else None
        elif n < 40 + also:
            copies[side.other] = None
        await made.hold(f"{n:04}", copies[Side.KVSP], copies[Side.S3])
    return made


def cancel(task: "asyncio.Task[Crawled]") -> None:
    task.cancel()
