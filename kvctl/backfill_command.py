"""`kvctl backfill`: copies to a home that is being brought in what it lacks of a namespace."""

import asyncio
import shlex
from dataclasses import dataclass
from typing import Final

import click

from kvctl.asking import Asked
from kvctl.crawl_runs import ended_run
from kvctl.crawler_asking import ask_crawler, asks_crawler
from kvctl.endings import Ended, Ending
from kvctl.namespace_mode import WAIT_S
from kvctl.options import form
from kvctl.output import print_json, print_line, size
from kvctl.rebuild.evidence import Lacks, check_seen, lacks, seen
from tandem.client import Client
from tandem.core.counted import counted
from tandem.core.crawl_status import RunRequest
from tandem.core.limits import WHOLE_SECOND_CLOCK_SKEW_MAX_US
from tandem.core.mode import Mode, Stage
from tandem.core.mode_step import ModeReport
from tandem.core.reply import Side
from tandem.runtime.settings import DURATION_S

CRAWLS_MAX: Final = 5
"""So many crawls fill the home at most: writes that fail meanwhile need one more."""
REQUESTS_PER_S_MAX: Final = 1_000_000
_POLL_S: Final = 0.5
_LOOKS_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class _Filled:
    """What came of it."""

    copied: Lacks
    compared: int
    left: int
    crawls: int
    report: ModeReport


@click.command("backfill")
@click.argument("namespace", metavar="TITLE|ID")
@click.option(
    "--requests-per-second", "requests_per_s", type=click.IntRange(1, REQUESTS_PER_S_MAX),
    help="At most so many, within the crawler's own limits; a key that is copied costs two.",
)  # fmt: skip
@click.option(
    "--wait", "wait_s", type=form(DURATION_S), default=f"{WAIT_S:g}s", show_default=True,
    help="How long to wait for gateways that have not seen the mode yet.",
)  # fmt: skip
@asks_crawler
def backfill_command(
    asked: Asked, namespace: str, requests_per_s: int | None, wait_s: float
) -> None:
    """Fill the home that a namespace is being brought to.

    The namespace is in shadow (`kvctl namespace mode`). Reads and writes go on meanwhile.
    Interrupted, the crawler finishes by itself; the same command goes on.

    Exits 1 when the namespace is not in shadow, or something else than records keeps the next step
    from being taken; 3 when something does not answer, 5 when a breaker is open.
    """
    report = asked.ask(lambda client: client.namespaces.mode(namespace))
    side = _filled_home(report)
    asked.ask(lambda client: _seen_everywhere(client, report, wait_s))
    request = RunRequest(report.namespace.id, 0, False, side, requests_per_s or 0)
    expected = ask_crawler(asked, lambda crawler: crawler.status())
    known = [one for one in expected.latest if one.namespace == report.namespace.id]
    _show(asked, side, _filled(asked, request, side, known[0].tally.records if known else None))


def _filled_home(report: ModeReport) -> Side:
    """The home that is being brought in; Ended where there is none."""
    namespace = report.namespace
    mode, name = namespace.settings.mode, shlex.quote(namespace.title)
    if mode.filled is not None:
        return mode.filled
    if mode.two:
        raise Ended(
            Ending.NEGATIVE,
            f"{namespace.title} is {mode}: both homes answer, and none is being brought in.\n"
            f"`kvctl drift scan -n {name}` compares and repairs them.",
        )
    raise Ended(
        Ending.NEGATIVE,
        f"{namespace.title} is kept in {mode.home.value} alone.\n"
        f"Bring the other home in with `kvctl namespace mode {name} shadow`, then fill it.",
    )


async def _seen_everywhere(client: Client, report: ModeReport, wait_s: float) -> None:
    """Waits until no write is under way that is sent to one home alone: a crawl that began before
    that would not count."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + wait_s
    namespace = report.namespace
    while True:
        seen = await client.namespaces.mode(namespace.id)
        epoch = seen.namespace.settings.mode_epoch
        late = [one.id for one in seen.workers if one.epoch != epoch or not one.since_us]
        if not late:
            await asyncio.sleep(_until_counted_s(seen))
            return
        if loop.time() >= until_s:
            raise Ended(
                Ending.NEGATIVE,
                f"nothing was copied: not every gateway goes by the mode yet: {', '.join(late)}",
            )
        await asyncio.sleep(_POLL_S)


def _until_counted_s(report: ModeReport) -> float:
    """How long until a crawl that begins counts whatever the clocks of the homes say."""
    since_us = max((view.since_us for view in report.workers), default=0)
    looked_us = max((view.looked_us for view in report.workers), default=0)
    left_us = since_us + 2 * WHOLE_SECOND_CLOCK_SKEW_MAX_US - looked_us
    return max(0, left_us) / 1_000_000


def _filled(asked: Asked, request: RunRequest, side: Side, expected: int | None) -> _Filled:
    """Crawls until nothing that a crawl could find keeps the next step from being taken."""
    copied = Lacks()
    for number in range(1, CRAWLS_MAX + 1):
        run = ended_run(asked, request, f"filling {side.value}", expected)
        check_seen(run, side)
        more, tally = lacks(run.crawls, side), seen(run.crawls)
        copied = Lacks(copied.keys + more.keys, copied.size + more.size)
        expected = tally.records
        report = asked.ask(lambda client: _heard(client, request.namespace, side))
        done = _Filled(copied, expected, tally.unhealed_keys, number, report)
        if not report.objections:
            break
    return done


async def _heard(client: Client, namespace: str, side: Side) -> ModeReport:
    """What keeps the home from answering, once what goes away by itself has had its time."""
    wanted = Mode(Stage.ACTIVE, side.other)
    for _ in range(_LOOKS_MAX):
        report = await client.namespaces.mode(namespace, wanted)
        if not any(one.passes for one in report.objections):
            break
        await asyncio.sleep(_POLL_S)
    return report


def _show(asked: Asked, side: Side, done: _Filled) -> None:
    namespace = done.report.namespace
    objections = [one.text for one in done.report.objections]
    if asked.as_json:
        print_json(
            {
                "id": namespace.id,
                "title": namespace.title,
                "home": side.value,
                "copied": done.copied.keys,
                "copied_bytes": done.copied.size,
                "compared": done.compared,
                "left": done.left,
                "crawls": done.crawls,
                "ready": not objections,
                "objections": objections,
            }
        )
    else:
        print_line(
            f"{namespace.title}: {counted(done.copied.keys, 'record')} ({size(done.copied.size)})"
            f" copied to {side.value}; of {done.compared} {done.left or 'none'} differ now"
        )
    if objections:
        reasons = "\n".join(f"  {text}" for text in objections)
        raise Ended(Ending.NEGATIVE, f"{side.value} must not answer yet:\n{reasons}")
    if not asked.as_json:
        print_line(
            f"{side.value} may answer: `kvctl namespace mode {shlex.quote(namespace.title)} active"
            " --percent 1`"
        )
