"""What the crawler has found, beside the status of a gateway: a gateway hears of crawls that found
a namespace equal, and of no other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kvctl.asking import Asked, no_way_to
from kvctl.crawler_asking import gateways_crawler
from kvctl.output import duration
from tandem.client.crawler import CrawlerClient
from tandem.core.counted import counted
from tandem.core.crawl_status import Crawled, CrawlerStatus, Stop
from tandem.core.drift import Drift
from tandem.errors import TandemError

ANSWER_S: Final = 2.0
"""So long a status waits for the crawler: it is worth something without it."""
NOT_ASKED: Final = (
    "not asked: the gateway is another machine's; --crawler or TANDEM_CRAWLER names its crawler"
)
_SHOWN_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class CrawlsSeen:
    """What the crawler at an address says."""

    address: str = ""
    """Empty where none was asked."""
    status: CrawlerStatus | None = None
    """None where it does not answer."""
    trouble: str = ""
    """Why not."""

    @property
    def latest(self) -> Sequence[Crawled]:
        """The last crawl of each namespace."""
        return self.status.latest if self.status else ()

    @property
    def breakers(self) -> Sequence[Stop]:
        """Those that wait for a person."""
        return [stop for stop in self.status.stops if not stop.accepted] if self.status else []

    @property
    def unequal(self) -> Sequence[Crawled]:
        """Crawls that have seen everything, and left the homes different."""
        return [crawled for crawled in self.latest if not crawled.equal and not crawled.failure]


async def crawls_seen(asked: Asked) -> CrawlsSeen:
    """Asks the gateway's crawler; one that does not answer, or is not known, is no failure."""
    address, within_s = gateways_crawler(asked), min(asked.timeout_s, ANSWER_S)
    if address is None:
        return CrawlsSeen(trouble=NOT_ASKED)
    trouble = await no_way_to(address, within_s)
    if trouble:
        return CrawlsSeen(str(address), trouble=trouble)
    try:
        async with CrawlerClient(
            str(address), token=asked.token, tls=asked.tls, timeout_s=within_s
        ) as crawler:
            return CrawlsSeen(str(address), await crawler.status())
    except TandemError as error:
        return CrawlsSeen(str(address), trouble=str(error))


def differences_seen(seen: CrawlsSeen) -> Sequence[str]:
    """What the last crawls left different; namespaces by their ids."""
    texts = [f"the last crawl of {one.namespace} {_left(one)}" for one in seen.unequal]
    more = len(texts) - _SHOWN_MAX
    return texts[:_SHOWN_MAX] + [f"the last crawls of {more} more left something different"] * (
        more > 0
    )


def _left(crawled: Crawled) -> str:
    if crawled.stopped:
        return f"was stopped: {crawled.stopped}"
    if unhealed := crawled.tally.unhealed_keys:
        return f"left {counted(unhealed, 'key')} different"
    zombies = counted(crawled.tally.keys[Drift.ZOMBIE], "value")
    return f"met {zombies} that had been deleted for good"


def crawl_rows(seen: CrawlsSeen, now_us: int) -> Sequence[tuple[str, str]]:
    """For people: what the crawler does, which breakers are open, what the last crawls found."""
    if not seen.address:
        return [("crawler", seen.trouble)]
    if seen.status is None:
        return [("crawler", f"{seen.address}: no answer: {seen.trouble}")]
    way_out = "`kvctl crawl status` says more"
    return [
        ("crawler", f"{seen.address}, {seen.status.doing}"),
        *(("", f"- BREAKER OPEN: {one.namespace}: {one.why}; {way_out}") for one in seen.breakers),
        ("crawled", _summary(seen, now_us)),
    ]


def _summary(seen: CrawlsSeen, now_us: int) -> str:
    if not seen.latest:
        return "nothing yet"
    oldest_us = max(now_us - min(one.ended_us for one in seen.latest), 0)
    found = f"{counted(len(seen.latest), 'namespace')}, all in the last {duration(oldest_us)}"
    unequal, failed = len(seen.unequal), sum(bool(one.failure) for one in seen.latest)
    if not unequal and not failed:
        return f"{found}: equal"
    unseen = f", {failed} not seen whole" if failed else ""
    return f"{found}: {len(seen.latest) - unequal - failed} equal, {unequal} not{unseen}"


def crawls_document(seen: CrawlsSeen) -> dict[str, object]:
    """For programs."""
    ends = [crawled.ended_us for crawled in seen.latest]
    return {
        "address": seen.address or None,
        "trouble": seen.trouble or None,
        "doing": seen.status.doing if seen.status else None,
        "breakers": [{"namespace": one.namespace, "why": one.why} for one in seen.breakers],
        "namespaces": len(seen.latest),
        "oldest_ended_us": min(ends, default=None),
        "not_equal": [crawled.namespace for crawled in seen.unequal],
        "not_seen_whole": [crawled.namespace for crawled in seen.latest if crawled.failure],
    }
