"""`kvctl status`: how the homes and the repair queue are, once or again and again."""

import asyncio

import click

from kvctl.asking import Asked
from kvctl.crawler_asking import asks_crawler
from kvctl.crawls_seen import (
    CrawlsSeen,
    crawl_rows,
    crawls_document,
    crawls_seen,
    differences_seen,
)
from kvctl.options import looks_every
from kvctl.output import columns, duration, on_terminal, print_json, print_line
from kvctl.redrawing import redrawn
from kvctl.titles import names_ids, with_titles
from tandem.client import Client
from tandem.core.counted import counted
from tandem.core.differences import differences
from tandem.core.operations import HomeStatus, Status
from tandem.core.status_document import status_document
from tandem.errors import TandemError


@click.command("status")
@click.option("--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
@looks_every("How often --watch asks.")
@asks_crawler
def status_command(asked: Asked, watch: bool, every_s: float) -> None:
    """Show the homes, what waits for repair, and what differs."""
    if not watch:
        asked.ask(lambda client: _print(client, asked))
    elif asked.as_json or not on_terminal():
        asked.ask(lambda client: _print_each(client, asked, every_s))
    else:
        asked.ask(lambda client: _redraw(client, asked, every_s))


async def _print(client: Client, asked: Asked) -> None:
    if asked.as_json:
        print_json(await _documented(client, asked))
    else:
        print_line(await _titled(client, asked))


async def _print_each(client: Client, asked: Asked, every_s: float) -> None:
    while True:
        try:
            await _print(client, asked)
        except TandemError as error:
            print_line(f"kvctl: no answer: {error}", error=True)
        await asyncio.sleep(every_s)


async def _redraw(client: Client, asked: Asked, every_s: float) -> None:
    with redrawn() as draw:
        while True:
            try:
                shown = await _titled(client, asked)
            except TandemError as error:
                shown = f"no answer from {asked.gateway}: {error}"
            draw(shown)
            await asyncio.sleep(every_s)


async def _documented(client: Client, asked: Asked) -> dict[str, object]:
    status, crawls = await _both(client, asked)
    found = [*differences(status), *differences_seen(crawls)]
    return {
        **status_document(status),
        "equal": not found,
        "differences": found,
        "crawler": crawls_document(crawls),
    }


async def _both(client: Client, asked: Asked) -> tuple[Status, CrawlsSeen]:
    return await asyncio.gather(client.ops.status(), crawls_seen(asked))


async def _titled(client: Client, asked: Asked) -> str:
    """The status for people, in which namespaces have their titles."""
    text = status_text(*await _both(client, asked))
    if not names_ids(text):
        return text
    try:
        found = await client.namespaces.list(all_accounts=True)
    except TandemError:
        return text  # the ids are better than no status
    return with_titles(text, {one.id: one.title for one in found})


def status_text(status: Status, crawls: CrawlsSeen) -> str:
    """A status for people."""
    queue, found = status.queue, [*differences(status), *differences_seen(crawls)]
    oldest = f", the oldest for {duration(queue.oldest_age_us)}" if queue.oldest_age_us else ""
    repairs = (
        f"{counted(queue.depth, 'repair')}{oldest}; {queue.healed} healed,"
        f" {counted(queue.failed_tries, 'failed try', 'failed tries')};"
        f" {counted(queue.dirty_ranges, 'dirty range')}"
    )
    unwritable = "" if status.journal_writable else "; NOT WRITABLE: writes wait for both homes"
    alarm = "; ALARM: they disagree" if status.clock_alarm else ""
    restarts = status.worker_restarts
    restarted = f", restarted {counted(restarts, 'time')}" if restarts else ""
    doubled = "; DOUBLED: another gateway uses this id" if status.doubled else ""
    rows = [
        (
            "gateway",
            f"{status.gateway_id}, {counted(status.workers, 'worker')}{restarted}{doubled}",
        ),
        *((home.side.value, home.detail) for home in status.homes if home.detail),
        *(
            (f"{home.side.value} failed", home.last_failure)
            for home in status.homes
            if home.last_failure
        ),
        *_certificate_rows(status),
        *_settings_rows(status),
        ("queue", repairs),
        ("journal", f"{counted(status.journal_pending, 'open write')}{unwritable}"),
        ("clock", f"{duration(status.clock_offset_us)} from the homes' clocks{alarm}"),
        *crawl_rows(crawls, status.now_us),
        ("equal", "not yet" if found else _equal_as_far_as(crawls)),
        *(("", f"- {difference}") for difference in found),
    ]
    return f"{columns(home_rows(status))}\n\n{columns(rows)}"


def _equal_as_far_as(crawls: CrawlsSeen) -> str:
    who = "this gateway and the crawler know" if crawls.latest else "this gateway knows"
    return f"both homes are equal, as far as {who}"


def _certificate_rows(status: Status) -> list[tuple[str, str]]:
    if status.certificate is None:
        return []
    one, trouble = status.certificate.certificate, status.certificate.trouble
    days = f"{one.days_left(status.now_us):.0f} days left"
    rows = [("certificate", f"{one.subject}, serial {one.serial}; {days}")]
    return [*rows, ("", f"- TROUBLE: {trouble}")] if trouble else rows


def _settings_rows(status: Status) -> list[tuple[str, str]]:
    settings = status.settings
    if not (settings.mistakes or settings.waiting):
        return []
    age_us = status.now_us - status.clock_offset_us - settings.read_us
    rows = [("settings", f"those in force were read {duration(max(0, age_us))} ago")]
    rows += [("", f"- REFUSED: {mistake}") for mistake in settings.mistakes]
    if settings.waiting:
        rows.append(("", f"- wait for a restart: {', '.join(settings.waiting)}"))
    return rows


def home_rows(status: Status) -> list[tuple[str, ...]]:
    """The homes as rows of a table."""
    header = ("HOME", "KIND", "LOCATION", "READS", "WRITES", "BREAKER", "BEHIND")
    return [header, *(_home_row(home) for home in status.homes)]


def _home_row(home: HomeStatus) -> tuple[str, ...]:
    behind = "all" if "*" in home.behind else counted(len(home.behind), "namespace")
    return (
        home.side.value,
        home.kind,
        home.location,
        "on" if home.reads_enabled else "OFF",
        "on" if home.writes_enabled else "OFF",
        home.breaker,
        behind if home.behind else "no",
    )
