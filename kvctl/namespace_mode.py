"""`kvctl namespace mode`: brings a home in or takes one out, step by step, under load."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import click

from kvctl.asking import Asked
from kvctl.confirming import YES, check_may_ask, confirm
from kvctl.endings import Ended, Ending
from kvctl.options import asks, form, one_of
from kvctl.output import columns, print_json, print_line, when
from tandem.client import Client
from tandem.core.counted import counted
from tandem.core.mode import WHOLE_SHARE, Mode, Stage
from tandem.core.mode_step import ModeReport, Objection, WorkerView
from tandem.core.reply import Side
from tandem.runtime.settings import DURATION_S

WAIT_S = 60.0
_POLL_S = 0.5


@click.command("mode")
@click.argument("namespace", metavar="TITLE|ID")
@click.argument("stage", **one_of(Stage), required=False)
@click.option("--home", **one_of(Side), help="The home that acknowledges and answers alone.")
@click.option("--to", "to", **one_of(Side), help="The home that is brought in: the other one.")
@click.option(
    "--percent",
    type=click.IntRange(1, WHOLE_SHARE),
    help="With active: of so many of 100 keys either home acknowledges and answers. [default: all]",
)
@click.option(
    "--wait",
    "wait_s",
    type=form(DURATION_S),
    default=f"{WAIT_S:g}s",
    show_default=True,
    help="How long to wait for gateways that have not seen the mode before.",
)
@YES
@click.option("--force", is_flag=True, help="Neither wait nor heed objections: writes may be lost.")
@asks
def mode_command(
    asked: Asked, namespace: str, stage: Stage | None, home: Side | None, to: Side | None,
    percent: int | None, wait_s: float, yes: bool, force: bool,
) -> None:  # fmt: skip
    """Show which homes keep a namespace, or step to another mode.

    \b
    single - shadow - active with a percentage - active - shadow - single

    A step shows what it changes, and asks. It is taken when every gateway has seen the mode before,
    and can be undone by the step back.
    """
    if stage is None:
        if home or to or force or yes or percent is not None:
            raise click.UsageError("which mode? give single, shadow or active")
        show(asked, asked.ask(lambda client: client.namespaces.mode(namespace)))
        return
    if home and to:
        raise click.UsageError("--home and --to say the same of two homes: give one of them")
    check_may_ask(yes)
    given = to.other if to else home
    report = asked.ask(lambda client: client.namespaces.mode(namespace))
    now = report.namespace.settings.mode
    wanted = wanted_mode(now, stage, given, percent)
    if wanted == now or (wanted.whole and now.whole):
        show(asked, report)
        return
    report = asked.ask(lambda client: _ready(client, report, wanted, 0.0 if force else wait_s))
    _check(report, wanted, force=force)
    _tell(report, wanted)
    confirm("Take this step?", yes)
    show(asked, asked.ask(lambda client: _stepped(client, report, wanted, force, wait_s)))


def wanted_mode(now: Mode, stage: Stage, home: Side | None, percent: int | None) -> Mode:
    """The mode that is meant; the present one's home where none is given and one answers alone."""
    if percent is not None and stage is not Stage.ACTIVE:
        raise click.UsageError(f"--percent is a share of keys in active, not in {stage.value}")
    mode = Mode(stage, home or now.home, percent or WHOLE_SHARE)
    if home is None and now.whole and not mode.whole:
        raise click.UsageError("both homes answer now: which is to answer alone? give --home")
    return mode


async def _ready(client: Client, report: ModeReport, wanted: Mode, wait_s: float) -> ModeReport:
    """The report once nothing objects that goes away by itself; the last one after `wait_s`."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + wait_s
    while True:
        found = await client.namespaces.mode(report.namespace.id, wanted)
        waits = bool(found.objections) and all(one.passes for one in found.objections)
        if not waits or loop.time() >= until_s:
            return found
        await asyncio.sleep(_POLL_S)


async def _stepped(
    client: Client, report: ModeReport, wanted: Mode, force: bool, wait_s: float
) -> ModeReport:
    """Takes the step, and waits until every gateway goes by the new mode."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + wait_s
    settings, namespace = report.namespace.settings, report.namespace.id
    while True:
        done = await client.namespaces.step(
            namespace, wanted, mode_epoch=settings.mode_epoch, force=force
        )
        if done.stepped:
            break
        if loop.time() >= until_s or not all(one.passes for one in done.objections):
            raise _refused(wanted, done.objections)
        await asyncio.sleep(_POLL_S)
    seen = done
    while not everywhere(seen) and loop.time() < until_s:
        await asyncio.sleep(_POLL_S)
        seen = await client.namespaces.mode(namespace)
    return replace(seen, stepped=True, objections=done.objections)


def everywhere(report: ModeReport) -> bool:
    """Whether every gateway goes by the mode that is in force."""
    epoch = report.namespace.settings.mode_epoch
    return all(view.epoch == epoch for view in report.workers)


def _check(report: ModeReport, wanted: Mode, *, force: bool) -> None:
    kept = [one for one in report.objections if one.lasting or not force]
    if kept:
        raise _refused(wanted, kept)


def _refused(wanted: Mode, objections: Sequence[Objection]) -> Ended:
    reasons = "\n".join(f"  {one.text}" for one in objections)
    return Ended(Ending.NEGATIVE, f"no step to {wanted} now; nothing was changed:\n{reasons}")


def _tell(report: ModeReport, wanted: Mode) -> None:
    """Shows what a step changes, on standard error: the answer is what came of it."""
    namespace = report.namespace
    print_line(f"{namespace.title}: {namespace.settings.mode} -> {wanted}", error=True)
    for effect in report.effects:
        print_line(f"  {effect}", error=True)
    for objection in report.objections:
        print_line(f"  FORCED: {objection.text}", error=True)


def show(asked: Asked, report: ModeReport) -> None:
    """Prints a report."""
    if asked.as_json:
        print_json(document(report))
        return
    namespace, settings = report.namespace, report.namespace.settings
    compared = sum(view.compared for view in report.workers)
    different = sum(view.different for view in report.workers)
    rows = [
        ("id", namespace.id),
        ("title", namespace.title),
        ("mode", str(settings.mode)),
        ("epoch", str(settings.mode_epoch)),
        ("crawled", when(report.crawled_us // 1_000_000)),
        ("compared", f"{counted(compared, 'read')}, {different} different"),
        ("next", ", ".join(str(mode) for mode in report.next)),
    ]
    print_line(columns(rows))
    header = ("GATEWAY", "EPOCH", "STATE")
    print_line(
        "\n" + columns([header, *(_row(view, settings.mode_epoch) for view in report.workers)])
    )


def _row(view: WorkerView, epoch: int) -> tuple[str, ...]:
    words = []
    if view.epoch != epoch:
        words.append("has not seen the mode")
    elif not view.since_us:
        words.append("ends writes of the mode before")
    words += [f"{side.value} is behind" for side in view.behind]
    words += [f"repairs wait for {side.value}" for side in view.waiting]
    return view.id, str(view.epoch), "; ".join(words) or "ready"


def mode_fields(mode: Mode) -> dict[str, object]:
    """A mode in JSON."""
    return {"stage": mode.stage.value, "home": mode.home.value, "percent": mode.percent}


def document(report: ModeReport) -> dict[str, object]:
    """A report in JSON."""
    settings = report.namespace.settings
    return {
        "id": report.namespace.id,
        "title": report.namespace.title,
        "mode": mode_fields(settings.mode),
        "mode_epoch": settings.mode_epoch,
        "everywhere": everywhere(report),
        "crawled_at_us": report.crawled_us,
        "compared": sum(view.compared for view in report.workers),
        "different": sum(view.different for view in report.workers),
        "next": [mode_fields(mode) for mode in report.next],
        "gateways": [_view(view) for view in report.workers],
        "objections": [one.text for one in report.objections],
        "stepped": report.stepped,
    }


def _view(view: WorkerView) -> dict[str, object]:
    return {
        "id": view.id,
        "mode_epoch": view.epoch,
        "looked_at_us": view.looked_us,
        "since_us": view.since_us or None,
        "behind": [side.value for side in view.behind],
        "waiting": [side.value for side in view.waiting],
        "compared": view.compared,
        "different": view.different,
    }
