"""`kvctl backend` and `kvctl queue`: the kill switches, and what waits for repair."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import click

from kvctl import needing
from kvctl.asking import Asked
from kvctl.endings import Ended, Ending
from kvctl.options import asks, asks_each, one_of
from kvctl.output import columns, duration, print_json, print_line
from kvctl.status import home_rows
from kvctl.titles import shown_name, titles
from tandem.core.operations import HomeStatus, QueuedRepair, Status
from tandem.core.reply import Side
from tandem.core.status_document import status_document
from tandem.runtime.settings import Address

_T = TypeVar("_T")
QUEUE_SHOWN = 100
QUEUE_PAGE_MAX = 1000


@click.group("backend")
def backend_group() -> None:
    """Take a home out of service, or bring it back, in seconds."""


@backend_group.command("disable")
@click.argument("home", **one_of(Side))
@click.option("--reads", is_flag=True, help="Only reads.")
@click.option("--writes", is_flag=True, help="Only writes.")
@click.option("--force", is_flag=True, help="Even when no home is left that serves so.")
@asks_each
def disable(asked: Sequence[Asked], home: Side, reads: bool, writes: bool, force: bool) -> None:
    """Take HOME out of reads and writes, or one of them. Repair and crawl stop for it too.

    Other gateways follow within seconds; name them with --gateway to set all at once.
    """
    _switch(asked, home, _uses(reads, writes), enabled=False, force=force)


@backend_group.command("enable")
@click.argument("home", **one_of(Side))
@click.option("--reads", is_flag=True, help="Only reads.")
@click.option("--writes", is_flag=True, help="Only writes.")
@asks_each
def enable(asked: Sequence[Asked], home: Side, reads: bool, writes: bool) -> None:
    """Bring HOME back for reads and writes, or one of them. It counts on each gateway named."""
    _switch(asked, home, _uses(reads, writes), enabled=True, force=True)


def _uses(reads: bool, writes: bool) -> tuple[bool, bool]:
    return (reads, writes) if reads or writes else (True, True)


def _switch(
    asked: Sequence[Asked], side: Side, uses: tuple[bool, bool], *, enabled: bool, force: bool
) -> None:
    """Sets the switch on every gateway that answers. One that would lose its last home for a use
    keeps all of them from being changed; one that is silent keeps none."""
    silent: dict[Address, Ended] = {}
    by_gateway = {one.gateway: one for one in asked}

    async def look(gateway: Address) -> HomeStatus:
        status = await by_gateway[gateway].answer(lambda client: client.ops.status())
        homes = {home.side: home for home in status.homes}
        wanted = _changed(homes[side], uses, enabled)
        if not force:
            _check_one_is_left(
                homes[side], wanted, homes[side.other], gateway if asked[1:] else None
            )
        return wanted

    async def work() -> Mapping[Address, Status]:
        wanted = await _each(by_gateway, look, silent)
        return await _each(wanted, lambda one: _set(by_gateway[one], wanted[one]), silent)

    statuses = asked[0].complete(work)
    for gateway, status in statuses.items():
        _show(by_gateway[gateway], status, several=len(asked) > 1)
    if statuses:
        gateway, status = next(iter(statuses.items()))
        _warn(by_gateway[gateway], next(home for home in status.homes if home.side is side))
    if silent:
        raise _not_everywhere(silent, len(asked))


async def _set(asked: Asked, wanted: HomeStatus) -> Status:
    return await asked.answer(
        lambda client: client.ops.switch(
            wanted.side, reads_enabled=wanted.reads_enabled, writes_enabled=wanted.writes_enabled
        )
    )


async def _each(
    gateways: Iterable[Address],
    work: Callable[[Address], Coroutine[Any, Any, _T]],
    silent: dict[Address, Ended],
) -> Mapping[Address, _T]:
    """What comes of the work with each gateway, all at once; those that cannot be worked with go
    into `silent`. Raises Ended for what was asked wrongly."""
    every = list(gateways)
    outcomes = await asyncio.gather(*(work(one) for one in every), return_exceptions=True)
    done: dict[Address, _T] = {}
    for one, outcome in zip(every, outcomes, strict=True):
        match outcome:
            case Ended(ending=Ending.USAGE):
                raise outcome
            case Ended():
                silent[one] = outcome
            case BaseException():
                raise outcome
            case _:
                done[one] = outcome
    return done


def _not_everywhere(silent: Mapping[Address, Ended], count: int) -> Ended:
    """What is told of gateways that could not be set; of the only one, why."""
    failures = list(silent.values())
    if count == 1:
        return failures[0]
    told = [_told(one, failed) for one, failed in silent.items()]
    reasons = "\n".join(
        [why for why, _ in told] + [*dict.fromkeys(hint for _, hint in told if hint)]
    )
    return Ended(
        failures[0].ending,
        f"{len(silent)} of {count} gateways were not set, and go on as they were:\n{reasons}",
    )


def _told(gateway: Address, failed: Ended) -> tuple[str, str]:
    """Why this gateway was not set, with its address once, and what to do about it."""
    why, _, hint = failed.message.partition("\n")
    return (why if str(gateway) in why else f"{gateway}: {why}"), hint


def _show(asked: Asked, status: Status, *, several: bool) -> None:
    if asked.as_json:
        print_json({"gateway": str(asked.gateway), **status_document(status)})
        return
    if several:
        print_line(f"{asked.gateway}\n")
    print_line(columns(home_rows(status)))
    print_line("\n" + "\n".join(_effects(status)) + ("\n" if several else ""))


def _warn(asked: Asked, home: HomeStatus) -> None:
    """Tells which namespaces the other home cannot serve alone. The switch is set already, so it is
    no failure when they cannot be listed."""
    if home.reads_enabled and home.writes_enabled:
        return
    with suppress(Ended):
        found = asked.ask(lambda client: client.namespaces.list(all_accounts=True))
        if warning := needing.told(found, home):
            print_line(f"\n{warning}", error=True)


def _changed(home: HomeStatus, uses: tuple[bool, bool], enabled: bool) -> HomeStatus:
    reads, writes = uses
    return replace(
        home,
        reads_enabled=enabled if reads else home.reads_enabled,
        writes_enabled=enabled if writes else home.writes_enabled,
    )


def _check_one_is_left(
    home: HomeStatus, wanted: HomeStatus, other: HomeStatus, named: Address | None
) -> None:
    """Refuses to take the last home out of a use, or leave the use to one that does not answer;
    names the gateway where it is one of several."""
    name = other.side.value
    where = "" if named is None else f"{named}: "
    for use, was_on, stays_on, other_on in (
        ("reads", home.reads_enabled, wanted.reads_enabled, other.reads_enabled),
        ("writes", home.writes_enabled, wanted.writes_enabled, other.writes_enabled),
    ):
        if not was_on or stays_on or (other_on and other.breaker == "closed"):
            continue
        if other_on:
            why = f"{name} does not answer (breaker {other.breaker})"
            way = "Wait until `kvctl status` shows its breaker closed"
        else:
            why = f"{name} is out of {use} already"
            way = f"Bring the other one back with `kvctl backend enable {name}`"
        raise Ended(
            Ending.USAGE,
            f"{where}{why}: without {home.side.value} all {use} would fail. Nothing was changed.\n"
            f"{way}, or insist with --force.",
        )


def _effects(status: Status) -> list[str]:
    effects = []
    for home in status.homes:
        name = home.side.value
        match home.reads_enabled, home.writes_enabled:
            case True, True:
                effects.append(f"{name} serves reads and writes.")
            case True, False:
                effects.append(f"{name} serves reads only; what it misses is queued for repair.")
            case False, True:
                effects.append(f"{name} takes writes only; it answers no reads.")
            case _:
                effects.append(f"{name} is not used; what it misses is queued for repair.")
        if home.writes_enabled and home.behind:
            effects.append(
                f"{name} lacks writes until the queue is empty and a crawl has passed;"
                " until then it answers only when the other home cannot."
            )
    return effects


@click.command("queue")
@click.option(
    "--limit", type=click.IntRange(1, QUEUE_PAGE_MAX), default=QUEUE_SHOWN, show_default=True,
    help="At most so many.",
)  # fmt: skip
@asks
def queue_command(asked: Asked, limit: int) -> None:
    """Show the next repairs."""
    repairs = asked.ask(lambda client: client.ops.queue(limit))
    if asked.as_json:
        for repair in repairs:
            print_json(_document(repair))
    elif repairs:
        names = titles(asked)
        header = ("NAMESPACE", "KEY", "TRIES", "WAITS FOR", "DUE IN", "LAST FAILURE")
        print_line(columns([header, *(_row(repair, names) for repair in repairs)]))
        if len(repairs) == limit:
            print_line(f"only the next {limit} are shown; see more with --limit", error=True)
    else:
        print_line("the queue is empty")


def _row(repair: QueuedRepair, names: dict[str, str]) -> tuple[str, ...]:
    return (
        shown_name(repair.key.namespace, names),
        repair.key.name,
        str(repair.attempts),
        duration(repair.age_us),
        duration(repair.due_in_us) if repair.due_in_us > 0 else "now",
        repair.last_failure or "-",
    )


def _document(repair: QueuedRepair) -> dict[str, object]:
    return {
        "namespace": repair.key.namespace,
        "key": repair.key.name,
        "version": str(repair.version) if repair.version else None,
        "attempts": repair.attempts,
        "age_us": repair.age_us,
        "due_in_us": repair.due_in_us,
        "last_failure": repair.last_failure or None,
    }
