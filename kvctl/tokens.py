"""`kvctl token`: create, list and revoke tokens."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

import click

from kvctl.asking import Asked
from kvctl.options import asks, form
from kvctl.output import columns, print_json, print_line, when
from kvctl.quotas import QUOTA_OPTIONS, shown_quota
from kvctl.titles import shown_name, titles
from tandem.client import Client
from tandem.core.access import Permission
from tandem.core.quota import Quota
from tandem.core.token import CreatedToken, Token
from tandem.runtime.settings import DURATION_S

_ALL_HELP = "Of all accounts, instead of one."
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _quota(command: _Command) -> _Command:
    """Gives a command an option for each limit of a quota."""
    for option in reversed(QUOTA_OPTIONS):
        command = option(command)
    return command


@click.group("token")
def token_group() -> None:
    """Create, list and revoke the tokens that let others in."""


@token_group.command("create")
@click.option("--name", required=True, help="What people call it.")
@click.option(
    "--namespace", "-n", "namespaces", multiple=True, metavar="TITLE|ID",
    help="Reach this namespace alone; may be given again. [default: all of the account]",
)  # fmt: skip
@click.option(
    "--permission", type=click.Choice([p.name.lower() for p in Permission]), default="write",
    show_default=True, help="What may be done; each includes those before it.",
)  # fmt: skip
@click.option(
    "--expires",
    "ttl_s",
    type=form(DURATION_S),
    help="How long it lasts, such as 30d. [default: for ever]",
)
@click.option("--all-accounts", is_flag=True, help=_ALL_HELP)
@_quota
@asks
def create(
    asked: Asked,
    /,
    name: str,
    namespaces: tuple[str, ...],
    permission: str,
    ttl_s: float | None,
    all_accounts: bool,
    **limits: int | None,
) -> None:
    """Create a token and print it, once: nobody can show it again."""
    _check_one_of(asked.account, all_accounts)

    async def work(client: Client) -> CreatedToken:
        return await client.tokens.create(
            name,
            Permission[permission.upper()],
            namespaces=[await client.namespaces.id_of(namespace) for namespace in namespaces],
            all_accounts=all_accounts,
            ttl=None if ttl_s is None else int(ttl_s),
            quota=Quota(**{name: limit or 0 for name, limit in limits.items()}),
        )

    created = asked.ask(work)
    if asked.as_json:
        print_json({**_document(created.token), "token": created.text})
    else:
        print_line(created.text)
        print_line(
            f"This is token {created.token.id}; keep it well, it is not shown again. To use it:\n"
            f"  export TANDEM_TOKEN={created.text}\n"
            f"To end it: kvctl token revoke {created.token.id}",
            error=True,
        )


@token_group.command("list")
@click.option("--all-accounts", is_flag=True, help=_ALL_HELP)
@asks
def list_tokens(asked: Asked, all_accounts: bool) -> None:
    """Print the tokens of the account, without their secrets."""
    _check_one_of(asked.account, all_accounts)
    found = asked.ask(lambda client: client.tokens.list(all_accounts=all_accounts))
    if asked.as_json:
        for token in found:
            print_json(_document(token))
    elif found:
        now_us = asked.clock.now_us()
        limited = any(token.quota for token in found)
        names = titles(asked) if any(token.namespaces for token in found) else {}
        header = (*_HEADER, *(("QUOTA",) if limited else ()))
        print_line(columns([header, *(_row(one, now_us, limited, names) for one in found)]))
    else:
        where = "" if all_accounts else " in this account"
        print_line(f"no tokens{where}; create one: kvctl token create --name NAME", error=True)


@token_group.command("revoke")
@click.argument("token_id", metavar="ID")
@asks
def revoke(asked: Asked, token_id: str) -> None:
    """End a token, everywhere within seconds."""

    async def work(client: Client) -> None:
        await client.tokens.revoke(token_id)

    asked.ask(work)
    if asked.as_json:
        print_json({"id": token_id, "revoked": True})
    else:
        print_line(f"revoked {token_id}")


def _check_one_of(account: str, all_accounts: bool) -> None:
    if all_accounts and account:
        raise click.UsageError("--account and --all-accounts exclude each other")


_HEADER = ("ID", "NAME", "PERMISSION", "ACCOUNT", "NAMESPACES", "CREATED", "EXPIRES")


def _row(token: Token, now_us: int, limited: bool, names: dict[str, str]) -> tuple[str, ...]:
    reached = sorted(shown_name(namespace, names) for namespace in token.namespaces or ())
    over = " (expired)" if token.expired(now_us) else ""
    return (
        token.id,
        token.name,
        token.permission.name.lower(),
        token.account or "all",
        "all" if token.namespaces is None else ", ".join(reached),
        when(token.created_at_s),
        when(token.expires_at_s) + over,
        *((_quota_of(token) or "none",) if limited else ()),
    )


def _quota_of(token: Token) -> str:
    return ", ".join(f"{name} {limit}" for name, limit in shown_quota(token.quota))


def _document(token: Token) -> dict[str, object]:
    return {
        "id": token.id,
        "name": token.name,
        "permission": token.permission.name.lower(),
        "account": token.account,
        "namespaces": sorted(token.namespaces) if token.namespaces else None,
        "created_at_s": token.created_at_s,
        "expires_at_s": token.expires_at_s or None,
        **asdict(token.quota),
    }
