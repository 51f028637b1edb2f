"""`kvctl backend` and `kvctl queue`: the kill switches, and what waits for repair."""

from dataclasses import replace

import click

from kvctl.asking import Asked, asks
from kvctl.endings import Ended, Ending
from kvctl.output import columns, duration, print_json, print_line
from kvctl.status import home_rows, status_document
from tandem.client import Client
from tandem.core.operations import HomeStatus, QueuedRepair, Status
from tandem.core.reply import Side

_HOMES = click.Choice([side.value for side in Side])
QUEUE_SHOWN = 100
QUEUE_PAGE_MAX = 1000


@click.group("backend")
def backend_group() -> None:
    """Take a home out of service, or bring it back, in seconds."""


@backend_group.command("disable")
@click.argument("home", type=_HOMES)
@click.option("--reads", is_flag=True, help="Only reads.")
@click.option("--writes", is_flag=True, help="Only writes.")
@click.option("--force", is_flag=True, help="Even when no home is left for that use.")
@asks
def disable(asked: Asked, home: str, reads: bool, writes: bool, force: bool) -> None:
    """Take HOME out of reads and writes (or one of them); repair and crawl stop for it too."""
    _switch(asked, Side(home), _uses(reads, writes), enabled=False, force=force)


@backend_group.command("enable")
@click.argument("home", type=_HOMES)
@click.option("--reads", is_flag=True, help="Only reads.")
@click.option("--writes", is_flag=True, help="Only writes.")
@asks
def enable(asked: Asked, home: str, reads: bool, writes: bool) -> None:
    """Bring HOME back for reads and writes (or one of them)."""
    _switch(asked, Side(home), _uses(reads, writes), enabled=True, force=True)


def _uses(reads: bool, writes: bool) -> tuple[bool, bool]:
    return (reads, writes) if reads or writes else (True, True)


def _switch(
    asked: Asked, side: Side, uses: tuple[bool, bool], *, enabled: bool, force: bool
) -> None:
    async def work(client: Client) -> Status:
        homes = {home.side: home for home in (await client.ops.status()).homes}
        wanted = _changed(homes[side], uses, enabled)
        if not force:
            _check_one_is_left(homes[side], wanted, homes[side.other])
        return await client.ops.switch(
            side, reads_enabled=wanted.reads_enabled, writes_enabled=wanted.writes_enabled
        )

    status = asked.ask(work)
    if asked.as_json:
        print_json(status_document(status))
    else:
        print_line(columns(home_rows(status)))
        print_line("\n" + "\n".join(_effects(status)))


def _changed(home: HomeStatus, uses: tuple[bool, bool], enabled: bool) -> HomeStatus:
    reads, writes = uses
    return replace(
        home,
        reads_enabled=enabled if reads else home.reads_enabled,
        writes_enabled=enabled if writes else home.writes_enabled,
    )


def _check_one_is_left(home: HomeStatus, wanted: HomeStatus, other: HomeStatus) -> None:
    """Refuses to take the last home out of a use."""
    for use, was_on, stays_on, other_on in (
        ("reads", home.reads_enabled, wanted.reads_enabled, other.reads_enabled),
        ("writes", home.writes_enabled, wanted.writes_enabled, other.writes_enabled),
    ):
        if was_on and not stays_on and not other_on:
            raise Ended(
                Ending.USAGE,
                f"{other.side.value} is out of {use} already: without {home.side.value} all {use}"
                f" would fail. Nothing was changed.\n"
                f"Bring the other one back with `kvctl backend enable {other.side.value}`,"
                " or insist with --force.",
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
        header = ("NAMESPACE", "KEY", "TRIES", "WAITS FOR", "DUE IN", "LAST FAILURE")
        print_line(columns([header, *(_row(repair) for repair in repairs)]))
        if len(repairs) == limit:
            print_line(f"only the next {limit} are shown; see more with --limit", error=True)
    else:
        print_line("the queue is empty")


def _row(repair: QueuedRepair) -> tuple[str, ...]:
    return (
        repair.key.namespace,
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
