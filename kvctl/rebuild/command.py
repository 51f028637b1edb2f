"""`kvctl backend rebuild`: guides through the refilling of a home that has lost its records."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import click

from kvctl.asking import Asked
from kvctl.confirming import YES, check_may_ask, confirm
from kvctl.crawl_runs import ended_run
from kvctl.crawler_asking import asks_crawler_and_each
from kvctl.endings import Ended, Ending
from kvctl.options import one_of
from kvctl.output import columns, print_json, print_line, size
from kvctl.rebuild.evidence import (
    Lacks,
    check_homes,
    check_seen,
    check_which,
    drifted,
    is_behind,
    is_marked,
    lacks,
    lost_for_good,
    seen,
)
from kvctl.titles import shown_name
from tandem.core.counted import counted
from tandem.core.crawl_status import Crawled, RunRequest
from tandem.core.namespace import Namespace
from tandem.core.operations import Status
from tandem.core.reply import Side

CRAWLS_MAX: Final = 5
"""So many crawls fill the home at most: writes that fail meanwhile need one more."""
TRUSTED_S: Final = 10.0
"""How long gateways have to hear of a crawl."""
_LOOK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came of it."""

    copied: Lacks
    verified: int
    crawls: int
    left: int = 0
    trusted: bool = True


@click.command("rebuild")
@click.argument("home", **one_of(Side))
@YES
@click.option("--force", is_flag=True, help="Even when the other home may lack writes itself.")
@asks_crawler_and_each
def rebuild_command(asked: Sequence[Asked], home: Side, yes: bool, force: bool) -> None:
    """Fill HOME, emptied or restored from a copy, from the other one.

    Compares both homes first, says what HOME lacks, and asks. Reads and writes go on meanwhile.
    Interrupted, the same command goes on. Name every gateway with --gateway.

    Exits 1 when HOME is not the one to fill, 3 when something does not answer, 4 when the homes
    still differ in the end, 5 when a breaker is open.
    """
    check_may_ask(yes)
    statuses = _statuses(asked)
    for one, status in zip(asked, statuses, strict=True):
        check_homes(status, home, str(one.gateway), force=force)
    look = ended_run(asked[0], RunRequest(dry_run=True), "comparing")
    check_seen(look, home)
    check_which(look.crawls, home)
    lost, total = lacks(look.crawls, home), seen(look.crawls).records
    if not lost.keys and not is_behind(statuses, home):
        _show(asked[0], home, lost, Rebuilt(Lacks(), total, 0, drifted(look.crawls)))
        return
    if not asked[0].as_json:
        print_line(_plan(home, look.crawls, _namespaces(asked[0])))
    confirm(f"Fill {home.value} from {home.other.value}?", yes)
    for one, status in zip(asked, statuses, strict=True):
        if not is_marked(status, home):
            one.ask(lambda client: client.ops.mark_behind(home))
    _show(asked[0], home, lost, _filled(asked, home, total))


def _namespaces(asked: Asked) -> Sequence[Namespace]:
    """Those that the caller may see, of every account; none where the gateway does not tell."""
    try:
        return asked.ask(lambda client: client.namespaces.list(all_accounts=True))
    except Ended:
        return ()


def _statuses(asked: Sequence[Asked]) -> list[Status]:
    return [one.ask(lambda client: client.ops.status()) for one in asked]


def _filled(asked: Sequence[Asked], side: Side, total: int) -> Rebuilt:
    """Crawls until a look without repair finds both homes equal and every gateway trusts them."""
    copied = Lacks()
    for number in range(1, CRAWLS_MAX + 1):
        run = ended_run(asked[0], RunRequest(rebuild=side), f"filling {side.value}", total)
        more = lacks(run.crawls, side)
        copied = Lacks(copied.keys + more.keys, copied.size + more.size)
        check_seen(run, side)
        look = ended_run(asked[0], RunRequest(dry_run=True), "verifying", total)
        check_seen(look, side)
        trusted = asked[0].complete(lambda: _trusted(asked, side))
        found = Rebuilt(copied, seen(look.crawls).records, number, drifted(look.crawls), trusted)
        if trusted and not found.left:
            break
    return found


async def _trusted(asked: Sequence[Asked], side: Side) -> bool:
    """Whether every gateway trusts the home, now or soon."""
    for _ in range(int(TRUSTED_S / _LOOK_S)):
        statuses = [await one.answer(lambda client: client.ops.status()) for one in asked]
        if not is_behind(statuses, side):
            return True
        await asyncio.sleep(_LOOK_S)
    return False


def _plan(side: Side, crawls: Sequence[Crawled], namespaces: Sequence[Namespace]) -> str:
    """What was found, and what will happen."""
    home, other = side.value, side.other.value
    names = {one.id: one.title for one in namespaces}
    rows = [("NAMESPACE", "RECORDS", f"{home.upper()} LACKS", "BYTES", f"{other.upper()} LACKS")]
    rows += [
        (
            shown_name(one.namespace, names), str(one.tally.records),
            str(lacks([one], side).keys), size(lacks([one], side).size),
            str(lacks([one], side.other).keys),
        )
        for one in crawls
    ]  # fmt: skip
    lost = lacks(crawls, side)
    return (
        f"{columns(rows)}\n\n"
        f"{counted(lost.keys, 'record')} ({size(lost.size)}) will be copied from {other} to {home};"
        " deletions too, so nothing deleted returns.\n"
        f"Reads and writes go on. Until it is done, {home} answers only what {other} cannot.\n"
        f"The breaker of mass repair lets copies to {home} pass, in these crawls only."
        + "".join(f"\n{text}" for text in lost_for_good(namespaces, side))
    )


def _show(asked: Asked, side: Side, lost: Lacks, done: Rebuilt) -> None:
    if asked.as_json:
        print_json(
            {
                "home": side.value,
                "lacked": lost.keys,
                "copied": done.copied.keys,
                "copied_bytes": done.copied.size,
                "crawls": done.crawls,
                "verified": done.verified,
                "left": done.left,
                "trusted": done.trusted,
            }
        )
    else:
        print_line(_told(side, done))
    if done.left:
        raise click.exceptions.Exit(int(Ending.DRIFT))
    if not done.trusted:
        raise Ended(
            Ending.NEGATIVE,
            f"some gateway holds {side.value} to be behind still: `kvctl status` says what waits",
        )


def _told(side: Side, done: Rebuilt) -> str:
    home, checked = side.value, counted(done.verified, "record")
    if done.left:
        return (
            f"{home} is not equal yet: {done.left} of {checked} differ; `kvctl drift report` names"
            " some"
        )
    if not done.crawls:
        return f"{home} lacks nothing: {checked} compared"
    copied = f"{counted(done.copied.keys, 'record')} ({size(done.copied.size)})"
    if not done.trusted:
        return (
            f"{home} holds everything: {copied} copied; a second look at {checked} found it equal"
        )
    return f"{home} is rebuilt: {copied} copied; a second look at {checked} found no difference"
