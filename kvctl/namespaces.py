"""`kvctl namespace`: create, find, change and delete namespaces."""

import enum
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, TypeVar, Unpack

import click

from kvctl.asking import Asked, asks, form
from kvctl.output import columns, print_json, print_line, when
from tandem.client import Client
from tandem.client.namespaces import Changes
from tandem.core.namespace import Namespace, ReadMode, Settings
from tandem.core.race import AckPolicy
from tandem.runtime.settings import SIZE, WHOLE

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Chosen = TypeVar("_Chosen", bound=enum.Enum)


def _one_of(kind: type[_Chosen]) -> Mapping[str, Any]:
    """What makes an option take the value of a member, and hand the member on."""
    return {
        "type": click.Choice([member.value for member in kind]),
        "callback": lambda _context, _option, value: None if value is None else kind(value),
    }


_SETTINGS: Final = (
    click.option(
        "--ack", "ack_policy", **_one_of(AckPolicy),
        help="What a write waits for before it is acknowledged.",
    ),
    click.option("--read-mode", **_one_of(ReadMode), help="Which homes a read asks."),
    click.option(
        "--operations-per-s", type=form(WHOLE),
        help="Operations a second on each gateway machine; more are refused. 0: no limit.",
    ),
    click.option(
        "--bytes-per-s", type=form(SIZE),
        help="Bytes of values a second, written and read, such as 10MiB. 0: no limit.",
    ),
    click.option(
        "--large-bodies-max", type=form(WHOLE),
        help="Values above 1 MiB that may be on their way in at the same time. 0: no limit.",
    ),
    click.option(
        "--key-write-interval/--no-key-write-interval", default=None,
        help="One write a second for each key, as Workers KV has it; more are refused.",
    ),
)  # fmt: skip


def _settings(command: _Command) -> _Command:
    """Gives a command an option for each setting of a namespace."""
    for option in reversed(_SETTINGS):
        command = option(command)
    return command


@click.group("namespace")
def namespace_group() -> None:
    """Create, find, change and delete namespaces."""


@namespace_group.command("create")
@click.argument("title")
@_settings
@asks
def create(asked: Asked, title: str, **settings: Unpack[Changes]) -> None:
    """Create a namespace called TITLE."""
    _show(asked, asked.ask(lambda client: client.namespaces.create(title, **settings)))


@namespace_group.command("list")
@asks
def list_namespaces(asked: Asked) -> None:
    """Print all namespaces."""

    found = asked.ask(lambda client: client.namespaces.list())
    if asked.as_json:
        for namespace in found:
            print_json(_document(namespace))
    elif found:
        print_line(columns([_HEADER, *(_row(namespace) for namespace in found)]))
    else:
        print_line("no namespaces yet; create one with: kvctl namespace create TITLE", error=True)


@namespace_group.command("get")
@click.argument("namespace", metavar="TITLE|ID")
@asks
def get(asked: Asked, namespace: str) -> None:
    """Show one namespace."""
    _show(asked, asked.ask(lambda client: client.namespaces.get(namespace), namespace=None))


@namespace_group.command("rename")
@click.argument("namespace", metavar="TITLE|ID")
@click.argument("title", metavar="NEW-TITLE")
@asks
def rename(asked: Asked, namespace: str, title: str) -> None:
    """Give a namespace another title; its id and keys stay."""
    _show(asked, asked.ask(lambda client: client.namespaces.rename(namespace, title)))


@namespace_group.command("configure")
@click.argument("namespace", metavar="TITLE|ID")
@_settings
@asks
def configure(asked: Asked, namespace: str, **settings: Unpack[Changes]) -> None:
    """Change how a namespace is written and read, and how much it may use."""
    if all(value is None for value in settings.values()):
        raise click.UsageError("nothing to change: give --ack, --read-mode or a limit")
    _show(asked, asked.ask(lambda client: client.namespaces.configure(namespace, **settings)))


@namespace_group.command("delete")
@click.argument("namespace", metavar="TITLE|ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@asks
def delete(asked: Asked, namespace: str, yes: bool) -> None:
    """Delete a namespace with all its keys, for good."""
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("not asking without a terminal; confirm with --yes")
    found = asked.ask(lambda client: client.namespaces.get(namespace))
    if not yes:
        question = f'Delete the namespace "{found.title}" ({found.id}) with all its keys, for good?'
        click.confirm(question, abort=True, err=True)

    async def work(client: Client) -> None:
        await client.namespaces.delete(found.id)

    asked.ask(work)
    if asked.as_json:
        print_json({"id": found.id, "title": found.title, "deleted": True})
    else:
        print_line(f"deleted {found.title} ({found.id})")


_HEADER = ("ID", "TITLE", "ACK", "READS", "CREATED")


def _row(namespace: Namespace) -> tuple[str, ...]:
    settings = namespace.settings
    conflict = " (an older namespace has this title)" if namespace.title_conflict else ""
    return (
        namespace.id,
        namespace.title + conflict,
        settings.ack_policy.value,
        settings.read_mode.value,
        when(namespace.created_at_s),
    )


def _limits(settings: Settings) -> Sequence[tuple[str, str]]:
    """The limits that there are, by what they limit."""
    quota = settings.quota
    shown = (
        ("operations", f"{quota.operations_per_s} a second" if quota.operations_per_s else ""),
        ("bytes", f"{SIZE.show(quota.bytes_per_s)} a second" if quota.bytes_per_s else ""),
        ("large bodies", f"{quota.large_bodies_max} at once" if quota.large_bodies_max else ""),
        ("key writes", "1 a second for each key" if settings.key_write_interval else ""),
    )
    return [(name, limit) for name, limit in shown if limit]


def _show(asked: Asked, namespace: Namespace) -> None:
    if asked.as_json:
        print_json(_document(namespace))
        return
    about = zip(("id", "title", "ack", "reads", "created"), _row(namespace), strict=True)
    print_line(columns([*about, *_limits(namespace.settings)]))


def _document(namespace: Namespace) -> dict[str, object]:
    settings = namespace.settings
    return {
        "id": namespace.id,
        "title": namespace.title,
        "ack": settings.ack_policy.value,
        "read_mode": settings.read_mode.value,
        "epoch": settings.epoch,
        "created_at_s": namespace.created_at_s,
        "title_conflict": namespace.title_conflict,
        **asdict(settings.quota),
        "key_write_interval": settings.key_write_interval,
    }
