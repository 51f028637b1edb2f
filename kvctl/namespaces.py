"""`kvctl namespace`: create, find, change and delete namespaces."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from kvctl.asking import Asked, asks
from kvctl.output import columns, print_json, print_line, when
from tandem.client import Client
from tandem.core.access import DEFAULT_ACCOUNT
from tandem.core.namespace import Namespace, ReadMode
from tandem.core.race import AckPolicy

_Command = TypeVar("_Command", bound=Callable[..., Any])
_ACK_HELP = "What a write waits for before it is acknowledged."
_READ_HELP = "Which homes a read asks."


def _settings(command: _Command) -> _Command:
    """Gives a command the options --ack and --read-mode."""
    ack = click.Choice([policy.value for policy in AckPolicy])
    mode = click.Choice([mode.value for mode in ReadMode])
    return click.option("--ack", type=ack, help=_ACK_HELP)(
        click.option("--read-mode", type=mode, help=_READ_HELP)(command)
    )


@click.group("namespace")
def namespace_group() -> None:
    """Create, find, change and delete namespaces."""


@namespace_group.command("create")
@click.argument("title")
@_settings
@asks
def create(asked: Asked, title: str, ack: str | None, read_mode: str | None) -> None:
    """Create a namespace called TITLE."""
    policy, mode = _chosen(ack, read_mode)
    _show(
        asked,
        asked.ask(
            lambda client: client.namespaces.create(title, ack_policy=policy, read_mode=mode)
        ),
    )


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
def configure(asked: Asked, namespace: str, ack: str | None, read_mode: str | None) -> None:
    """Change how a namespace is written and read."""
    policy, mode = _chosen(ack, read_mode)
    if policy is None and mode is None:
        raise click.UsageError("nothing to change: give --ack, --read-mode or both")
    _show(
        asked,
        asked.ask(
            lambda client: client.namespaces.configure(namespace, ack_policy=policy, read_mode=mode)
        ),
    )


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


def _chosen(ack: str | None, read_mode: str | None) -> tuple[AckPolicy | None, ReadMode | None]:
    return AckPolicy(ack) if ack else None, ReadMode(read_mode) if read_mode else None


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


def _show(asked: Asked, namespace: Namespace) -> None:
    if asked.as_json:
        print_json(_document(namespace))
    else:
        foreign = namespace.account != DEFAULT_ACCOUNT
        names = ("id", "title", "ack", "reads", "created", *(("account",) if foreign else ()))
        print_line(columns(zip(names, _row(namespace, foreign), strict=True)))


def _document(namespace: Namespace) -> dict[str, object]:
    return {
        "id": namespace.id,
        "title": namespace.title,
        "account": namespace.account,
        "ack": namespace.settings.ack_policy.value,
        "read_mode": namespace.settings.read_mode.value,
        "epoch": namespace.settings.epoch,
        "created_at_s": namespace.created_at_s,
        "title_conflict": namespace.title_conflict,
    }
