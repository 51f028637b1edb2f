"""A crawl that a command asks for, and waits for."""

from kvctl.asking import Asked
from kvctl.crawler_asking import ask_crawler
from kvctl.endings import Ended, Ending
from kvctl.output import on_terminal
from kvctl.progress import Display
from tandem.client.crawler import CrawlerClient
from tandem.core.crawl_status import CrawlerStatus, Run, RunRequest

_LOOK_S = 0.2


def ended_run(asked: Asked, request: RunRequest, doing: str, expected: int | None = None) -> Run:
    """Has the crawler crawl, with a bar on a terminal, and returns what came of it.

    Args:
        doing: what the bar is called.
        expected: about how many keys there are.

    Raises:
        Ended: when there is no crawler, or it does not stay.
    """
    shown = on_terminal() and not asked.as_json

    async def crawled(crawler: CrawlerClient) -> Run:
        run_id = await crawler.run(request)
        with Display(doing, shown=shown) as display:
            if expected is not None:
                display.expect(expected)
            told = False
            async for status in crawler.watch(_LOOK_S):
                if status.paused and not told:
                    display.say("kvctl: the crawler is paused; `kvctl crawl resume` lets it go on")
                told = status.paused
                for run in status.runs:
                    if run.id == run_id and run.ended:
                        return run
                display.advance(_compared(status, run_id), 0)
        raise Ended(Ending.UNAVAILABLE, "the crawler ended before the crawl did")

    return ask_crawler(asked, crawled)


def _compared(status: CrawlerStatus, run_id: str) -> int:
    """Keys of the namespaces that are done, and of those ranges that are being crawled."""
    done = [crawled for run in status.runs if run.id == run_id for crawled in run.crawls]
    return sum(one.tally.records for one in done) + sum(one.compared for one in status.ranges)
