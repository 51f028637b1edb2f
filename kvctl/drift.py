"""`kvctl drift`: one crawl now, what crawls have found, and the crawler at work."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import click

from kvctl import drift_page
from kvctl.asking import Asked
from kvctl.crawl import status_document, status_text
from kvctl.crawl_runs import ended_run
from kvctl.crawler_asking import ask_crawler, asks_crawler
from kvctl.drift_report import NO_CRAWL, UNKNOWN, as_csv, document, table
from kvctl.endings import Ended, Ending
from kvctl.options import Number, looks_every
from kvctl.output import on_terminal, print_json, print_line
from kvctl.redrawing import redrawn
from kvctl.titles import ONE_OR_ALL, namespace_id, titles
from tandem.client.crawler import CrawlerClient
from tandem.core.crawl_status import Crawled, CrawlerStatus, RunRequest

_SHOWN_MAX = 10_000
"""So many crawls one report holds."""
_DAY_US = 86_400 * 1_000_000


@click.group("drift")
def drift_group() -> None:
    """What differs between the homes: look now, reports, watch."""


@drift_group.command("scan")
@ONE_OR_ALL
@click.option("--deep", is_flag=True, help="Read and check the bytes of every key too.")
@click.option(
    "--deep-parts",
    type=click.IntRange(1, 1_000_000),
    help="Read the bytes of one key of so many instead.",
)
@click.option("--dry-run", is_flag=True, help="Count, and repair nothing.")
@asks_crawler
def scan_command(
    asked: Asked, namespace: str | None, deep: bool, deep_parts: int | None, dry_run: bool
) -> None:
    """Have the crawler compare both homes now, and show what it found.

    Exits 4 when there was drift (repaired or not), 5 when a breaker stopped the repair, 3 when not
    everything could be seen.
    """
    request = RunRequest(namespace_id(asked, namespace), deep_parts or int(deep), dry_run)
    run = ended_run(asked, request, "comparing")
    crawls = [*run.crawls]
    _show(asked, crawls)
    if run.failure:
        raise Ended(Ending.UNAVAILABLE, f"not everything was compared: {run.failure}")
    raise click.exceptions.Exit(int(_ending(crawls)))


@drift_group.command("report")
@ONE_OR_ALL
@click.option(
    "--days", type=Number(0, 36_500, min_open=True), default=30.0, show_default=True,
    help="Crawls that began so lately.",
)  # fmt: skip
@click.option("--csv", "as_csv_", is_flag=True, help="Print every crawl as a line of CSV.")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write one page with charts, which needs nothing from outside.",
)  # fmt: skip
@asks_crawler
def report_command(
    asked: Asked, namespace: str | None, days: float, as_csv_: bool, html: Path | None
) -> None:
    """Show what the last crawls found. With --json, one crawl a line, the newest first.

    Exits 4 when the last crawl of a namespace found drift, 5 when a breaker stopped it, 3 when it
    did not see everything, 1 when no crawl has ended yet.
    """
    forms = {"--csv": as_csv_, "--html": html is not None, "--json": asked.as_json}
    given = [form for form, is_given in forms.items() if is_given]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} exclude each other")
    since_us = max(0, asked.clock.now_us() - int(days * _DAY_US))
    wanted = namespace_id(asked, namespace)
    crawls = ask_crawler(asked, lambda c: c.report(wanted, since_us=since_us, limit=_SHOWN_MAX))
    if len(crawls) == _SHOWN_MAX:
        print_line(f"kvctl: only the last {_SHOWN_MAX} crawls; --days or -n narrow it", error=True)
    names = titles(asked)
    if html is not None:
        _write(html, drift_page.page(crawls, names, asked.clock.now_us()))
    elif as_csv_:
        print_line(as_csv(crawls, names).rstrip("\r\n"))
    elif asked.as_json:
        for crawled in crawls:
            print_json(document(crawled, names))
    elif crawls:
        print_line(table(_latest(crawls), names))
    if not crawls:
        raise Ended(Ending.NEGATIVE, f"no crawl of the last {days:g} days has ended: {UNKNOWN}")
    raise click.exceptions.Exit(int(_ending(_latest(crawls))))


def _write(file: Path, page: str) -> None:
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise Ended(Ending.NEGATIVE, f"{file}: cannot be written: {error.strerror}") from None
    print_line(f"wrote {file}")


def _latest(crawls: Sequence[Crawled]) -> list[Crawled]:
    latest: dict[str, Crawled] = {}
    for crawled in crawls:
        latest.setdefault(crawled.namespace, crawled)
    return [latest[namespace] for namespace in sorted(latest)]


def _show(asked: Asked, crawls: Sequence[Crawled]) -> None:
    names = titles(asked)
    if asked.as_json:
        for crawled in crawls:
            print_json(document(crawled, names))
    elif crawls:
        print_line(table(crawls, names))


@drift_group.command("watch")
@looks_every("How often to look.")
@asks_crawler
def watch_command(asked: Asked, every_s: float) -> None:
    """Show the crawler at work and what it finds, until Ctrl-C. With --json, a status a line."""
    names = titles(asked)

    def shown(status: CrawlerStatus) -> str:
        latest = [*status.latest]
        found = table(latest, names) if latest else NO_CRAWL
        return f"{status_text(status, names)}\n\n{found}"

    if asked.as_json:
        each = _each(every_s, lambda status: print_json(status_document(status)))
    elif on_terminal():
        each = _redrawn(every_s, shown)
    else:
        each = _each(every_s, lambda status: print_line(shown(status)))
    ask_crawler(asked, each)


def _each(
    every_s: float, show: Callable[[CrawlerStatus], None]
) -> Callable[[CrawlerClient], Awaitable[None]]:
    async def watching(crawler: CrawlerClient) -> None:
        async for status in crawler.watch(every_s):
            show(status)

    return watching


def _redrawn(
    every_s: float, shown: Callable[[CrawlerStatus], str]
) -> Callable[[CrawlerClient], Awaitable[None]]:
    async def watching(crawler: CrawlerClient) -> None:
        with redrawn() as draw:
            async for status in crawler.watch(every_s):
                draw(shown(status))

    return watching


def _ending(crawls: Sequence[Crawled]) -> Ending:
    """How a command ends that has shown crawls."""
    if any(crawled.stopped for crawled in crawls):
        return Ending.BREAKER
    if any(crawled.failure for crawled in crawls):
        return Ending.UNAVAILABLE
    drifted = any(crawled.tally.drifted or crawled.tally.unhealed_keys for crawled in crawls)
    return Ending.DRIFT if drifted else Ending.OK
