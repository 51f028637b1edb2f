"""`kvctl crawl` and `kvctl tombstones`: the crawler itself."""

import click

from kvctl.asking import Asked
from kvctl.crawler_asking import ask_crawler, asks_crawler
from kvctl.endings import Ended, Ending
from kvctl.output import columns, duration, print_json, print_line, printable, when
from kvctl.titles import ONE_OR_ALL, namespace_id, shown_name, titles, with_titles
from tandem.core.counted import counted
from tandem.core.crawl_status import Crawled, CrawlerStatus, RunRequest
from tandem.core.drift import Drift

_MICRO = 1_000_000


@click.group("crawl")
def crawl_group() -> None:
    """The crawler: what it does, pause it, resume it, have it crawl."""


@crawl_group.command("status")
@asks_crawler
def status_command(asked: Asked) -> None:
    """Show what the crawler does, and what waits for a person.

    Exits 5 while a breaker is open.
    """
    _show(asked, ask_crawler(asked, lambda crawler: crawler.status()))


@crawl_group.command("pause")
@asks_crawler
def pause_command(asked: Asked) -> None:
    """Stop the crawler once what is under way has ended. Kept over restarts."""
    _show(asked, ask_crawler(asked, lambda crawler: crawler.pause()))


@crawl_group.command("resume")
@click.option(
    "--accept", is_flag=True,
    help="Close the breakers that are open: the next crawl may repair as much as they named.",
)  # fmt: skip
@asks_crawler
def resume_command(asked: Asked, accept: bool) -> None:
    """Let the crawler go on."""
    _show(asked, ask_crawler(asked, lambda crawler: crawler.resume(accept=accept)))


@crawl_group.command("run")
@ONE_OR_ALL
@click.option("--deep", is_flag=True, help="Read and check the bytes of every key too.")
@click.option("--dry-run", is_flag=True, help="Count, and repair nothing.")
@asks_crawler
def run_command(asked: Asked, namespace: str | None, deep: bool, dry_run: bool) -> None:
    """Have it crawl when its round has ended. `kvctl drift scan` waits for the outcome."""
    request = RunRequest(namespace_id(asked, namespace), int(deep), dry_run)
    run_id = ask_crawler(asked, lambda crawler: crawler.run(request))
    if asked.as_json:
        print_json({"run": run_id})
    else:
        print_line(f"run {run_id} is asked for; `kvctl crawl status` shows it")


def _show(asked: Asked, status: CrawlerStatus) -> None:
    if asked.as_json:
        print_json(status_document(status))
    else:
        print_line(status_text(status, titles(asked)))
    if any(not stop.accepted for stop in status.stops):
        raise click.exceptions.Exit(int(Ending.BREAKER))


def status_text(status: CrawlerStatus, names: dict[str, str]) -> str:
    """A status for people."""
    so_far = (
        f"{counted(status.rounds, 'round')}, {counted(status.crawls, 'crawl')} of a namespace,"
        f" {counted(status.errors, 'fault')}; waited {duration(int(status.waited_s * 1e6))}"
    )
    doing = with_titles(status.doing, names)
    rows = [("crawler", status.crawler_id), ("doing", doing), ("so far", so_far)]
    for stop in status.stops:
        open_ = "OPEN: kvctl crawl resume --accept (a home that was emptied: kvctl backend rebuild)"
        state = "accepted for the next crawl" if stop.accepted else open_
        rows.append(("breaker", f"{shown_name(stop.namespace, names)}: {stop.why}; {state}"))
    for one in status.ranges:
        at = f", at {printable(one.position)}" if one.position else ""
        where = f"{shown_name(one.namespace, names)} {one.number + 1}/{one.ranges}"
        compared = f"{counted(one.compared, 'key')} compared, {one.drifted} drifted"
        rows.append(("range", f"{where}: {compared}{at}"))
    for run in status.runs:
        state = run.failure or "done" if run.ended else "waiting or under way"
        rows.append(("run", f"{run.id}: {state}"))
    return columns(rows)


def status_document(status: CrawlerStatus) -> dict[str, object]:
    """A status for programs."""
    return {
        "crawler_id": status.crawler_id,
        "paused": status.paused,
        "doing": status.doing,
        "rounds": status.rounds,
        "crawls": status.crawls,
        "errors": status.errors,
        "waited_s": status.waited_s,
        "breakers": [
            {
                "namespace": stop.namespace,
                "why": stop.why,
                "changes": stop.changes,
                "at_us": stop.at_us,
                "open": not stop.accepted,
            }
            for stop in status.stops
        ],
        "ranges": [
            {
                "namespace": one.namespace,
                "number": one.number,
                "ranges": one.ranges,
                "position": one.position,
                "compared": one.compared,
                "drifted": one.drifted,
            }
            for one in status.ranges
        ],
        "runs": [
            {"id": run.id, "ended": run.ended, "failure": run.failure or None}
            for run in status.runs
        ],
    }


@click.command("tombstones")
@ONE_OR_ALL
@asks_crawler
def tombstones_command(asked: Asked, namespace: str | None) -> None:
    """Show how many records are dead, and why they are still there."""
    wanted = namespace_id(asked, namespace)
    status = ask_crawler(asked, lambda crawler: crawler.status())
    crawls = [one for one in status.latest if wanted in {"", one.namespace}]
    if not crawls:
        raise Ended(Ending.NEGATIVE, "no crawl has ended yet: nothing is known of tombstones")
    names = titles(asked)
    if asked.as_json:
        for crawled in crawls:
            print_json(_tombstones_document(crawled, names))
        return
    header = (
        "NAMESPACE",
        "TOMBSTONES",
        "OLDEST",
        "EXPIRED",
        "RETIRED",
        "ZOMBIES",
        "WHY STILL THERE",
    )
    print_line(columns([header, *(_tombstones_row(one, names) for one in crawls)]))


def _tombstones_row(crawled: Crawled, names: dict[str, str]) -> tuple[str, ...]:
    tally = crawled.tally
    return (
        shown_name(crawled.namespace, names),
        str(tally.tombstones),
        when(tally.oldest_tombstone_us // _MICRO) if tally.tombstones else "-",
        str(tally.keys[Drift.EXPIRED]),
        str(tally.keys[Drift.RETIRED]),
        str(tally.keys[Drift.ZOMBIE]),
        why_not_yet(crawled),
    )


def why_not_yet(crawled: Crawled) -> str:
    """What keeps the dead records of a namespace."""
    if not crawled.tally.dead:
        return "there are none"
    if crawled.dry_run:
        return "the last crawl was a dry run, which removes nothing"
    if crawled.failure:
        return f"the last crawl did not see everything: {crawled.failure}"
    if crawled.stopped:
        return crawled.stopped
    if not crawled.equal:
        return "the last crawl did not find both homes equal"
    if crawled.withheld:
        return crawled.withheld
    return "dead for less than tombstone_grace when the last crawl began"


def _tombstones_document(crawled: Crawled, names: dict[str, str]) -> dict[str, object]:
    tally = crawled.tally
    return {
        "namespace": crawled.namespace,
        "title": names.get(crawled.namespace),
        "tombstones": tally.tombstones,
        "oldest_us": tally.oldest_tombstone_us or None,
        "expired": tally.keys[Drift.EXPIRED],
        "retired": tally.keys[Drift.RETIRED],
        "zombies": tally.keys[Drift.ZOMBIE],
        "why_not_yet": why_not_yet(crawled),
    }
