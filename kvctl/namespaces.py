"""`kvctl namespace`: create, find, change and delete namespaces."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final, TypeVar, Unpack

import click

from kvctl.asking import Asked
from kvctl.confirming import YES, check_may_ask, confirm
from kvctl.namespace_mode import mode_command, mode_fields
from kvctl.options import asks, one_of
from kvctl.output import columns, print_json, print_line, when
from kvctl.quotas import QUOTA_OPTIONS, shown_quota
from tandem.client import Client
from tandem.client.namespaces import Changes
from tandem.core.access import DEFAULT_ACCOUNT
from tandem.core.mode import Mode, Stage
from tandem.core.namespace import Namespace, Settings
from tandem.core.reading import ReadMode
from tandem.core.reply import Side
from tandem.core.write_race import AckPolicy

_Command = TypeVar("_Command", bound=Callable[..., Any])


_SETTINGS: Final = (
    click.option(
        "--ack", "ack_policy", **one_of(AckPolicy),
        help="What a write waits for: one home, one and a durable note for the other (a new"
        " namespace's way), or both.",
    ),
    click.option(
        "--read-mode", **one_of(ReadMode),
        help="Whom a read asks: both homes (a new namespace's way), the quicker one, or this one.",
    ),
    *QUOTA_OPTIONS,
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


namespace_group.add_command(mode_command)


@namespace_group.command("create")
@click.argument("title")
@click.option("--alone", **one_of(Side), help="Keep it in this home alone, at first.")
@_settings
@asks
def create(asked: Asked, title: str, alone: Side | None, **settings: Unpack[Changes]) -> None:
    """Create a namespace called TITLE."""
    mode = None if alone is None else Mode(Stage.SINGLE, alone)
    _show(asked, asked.ask(lambda client: client.namespaces.create(title, mode=mode, **settings)))


@namespace_group.command("list")
@click.option("--all-accounts", is_flag=True, help="Of all accounts, instead of one.")
@asks
def list_namespaces(asked: Asked, all_accounts: bool) -> None:
    """Print all namespaces of the account."""

    found = asked.ask(lambda client: client.namespaces.list(all_accounts=all_accounts))
    if asked.as_json:
        for namespace in found:
            print_json(_document(namespace))
    elif found:
        foreign = any(namespace.account != DEFAULT_ACCOUNT for namespace in found)
        header = (*_HEADER, *(("ACCOUNT",) if foreign else ()))
        print_line(columns([header, *(_row(namespace, foreign) for namespace in found)]))
    else:
        where = "" if all_accounts else " in this account"
        print_line(f"no namespaces{where}; create one: kvctl namespace create TITLE", error=True)


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
    """Change how a namespace is written, read and limited."""
    if all(value is None for value in settings.values()):
        raise click.UsageError("nothing to change: give --ack, --read-mode or a limit")
    _show(asked, asked.ask(lambda client: client.namespaces.configure(namespace, **settings)))


@namespace_group.command("delete")
@click.argument("namespace", metavar="TITLE|ID")
@YES
@asks
def delete(asked: Asked, namespace: str, yes: bool) -> None:
    """Delete a namespace with all its keys, for good."""
    check_may_ask(yes)
    found = asked.ask(lambda client: client.namespaces.get(namespace))
    question = f'Delete the namespace "{found.title}" ({found.id}) with all its keys, for good?'
    confirm(question, yes)

    async def work(client: Client) -> None:
        await client.namespaces.delete(found.id)

    asked.ask(work)
    if asked.as_json:
        print_json({"id": found.id, "title": found.title, "deleted": True})
    else:
        print_line(f"deleted {found.title} ({found.id})")


_HEADER = ("ID", "TITLE", "ACK", "READS", "CREATED")


def _row(namespace: Namespace, with_account: bool) -> tuple[str, ...]:
    settings = namespace.settings
    conflict = " (an older namespace has this title)" if namespace.title_conflict else ""
    return (
        namespace.id,
        namespace.title + conflict,
        settings.ack_policy.value,
        settings.read_mode.value,
        when(namespace.created_at_s),
        *((namespace.account,) if with_account else ()),
    )


def _limits(settings: Settings) -> Sequence[tuple[str, str]]:
    interval = [("key writes", "1 a second for each key")] if settings.key_write_interval else []
    mode = [] if settings.mode.whole else [("mode", str(settings.mode))]
    return [*mode, *shown_quota(settings.quota), *interval]


def _show(asked: Asked, namespace: Namespace) -> None:
    if asked.as_json:
        print_json(_document(namespace))
        return
    foreign = namespace.account != DEFAULT_ACCOUNT
    names = ("id", "title", "ack", "reads", "created", *(("account",) if foreign else ()))
    about = zip(names, _row(namespace, foreign), strict=True)
    print_line(columns([*about, *_limits(namespace.settings)]))


def _document(namespace: Namespace) -> dict[str, object]:
    settings = namespace.settings
    return {
        "id": namespace.id,
        "title": namespace.title,
        "account": namespace.account,
        "ack": settings.ack_policy.value,
        "read_mode": settings.read_mode.value,
        "epoch": settings.epoch,
        "created_at_s": namespace.created_at_s,
        "title_conflict": namespace.title_conflict,
        **asdict(settings.quota),
        "key_write_interval": settings.key_write_interval,
        "mode": mode_fields(settings.mode),
        "mode_epoch": settings.mode_epoch,
    }
