"""`kvctl key`: one key at a time, and the names of many."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from kvctl.asking import Asked
from kvctl.endings import Ended, Ending
from kvctl.options import asks, form
from kvctl.output import (
    json_text,
    on_terminal,
    print_bytes,
    print_json,
    print_line,
    printable,
    value_fields,
    when,
)
from tandem.client import Client, JsonText, ListedKey
from tandem.core.counted import counted
from tandem.core.limits import VALUE_BYTES_MAX
from tandem.runtime.settings import DURATION_S

MAY_LACK_KEYS: Final = "kvctl: keys may be missing: a home that could list more does not answer"
_Command = TypeVar("_Command", bound=Callable[..., Any])


def in_namespace(command: _Command) -> _Command:
    """Gives a command the option --namespace."""
    return click.option(
        "--namespace", "-n", required=True, metavar="TITLE|ID", help="The namespace of the key."
    )(command)


def _json(text: str) -> JsonText:
    try:
        json.loads(text)
        return JsonText(text.encode())
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"not JSON: {error}") from None


@click.group("key")
def key_group() -> None:
    """Write, read, delete and list keys."""


@key_group.command("put")
@click.argument("name")
@click.argument("value", required=False)
@in_namespace
@click.option(
    "--file", "file", metavar="FILE|-", help="Take the value from a file, - for standard input."
)
@click.option("--metadata", type=_json, metavar="JSON", help="JSON to store beside the value.")
@click.option("--ttl", "ttl_s", type=form(DURATION_S), help="Expire so long from now.")
@click.option(
    "--expires-at", "expires_at_s", type=int, metavar="S", help="Expire then (Unix time)."
)
@asks
def put(
    asked: Asked,
    name: str,
    value: str | None,
    namespace: str,
    file: str | None,
    metadata: JsonText | None,
    ttl_s: float | None,
    expires_at_s: int | None,
) -> None:
    """Store VALUE, a file's content, or standard input (-) under NAME."""
    if ttl_s is not None and expires_at_s is not None:
        raise click.UsageError("--ttl and --expires-at exclude each other")
    content = _content(value, file)

    async def work(client: Client) -> str:
        version = await client.put(
            name,
            content,
            metadata=metadata,
            ttl=None if ttl_s is None else int(ttl_s),
            expires_at=expires_at_s,
        )
        return str(version)

    version = asked.ask(work, namespace, writes=True)
    if asked.as_json:
        print_json({"key": name, "version": version, "bytes": len(content)})
    else:
        print_line(f"stored {printable(name)}: {counted(len(content), 'byte')}, version {version}")


def _content(value: str | None, file: str | None) -> bytes:
    if (value is None) == (file is None):
        raise click.UsageError(
            "give either VALUE or --file FILE, or - in place of one for standard input"
        )
    if value is not None and value != "-":
        return value.encode(errors="surrogateescape")  # the bytes that the shell handed over
    try:
        if file is None or file == "-":
            content = sys.stdin.buffer.read(VALUE_BYTES_MAX + 1)
        else:
            with Path(file).open("rb") as stream:
                content = stream.read(VALUE_BYTES_MAX + 1)
    except OSError as error:
        source = "standard input" if file in {None, "-"} else file
        raise Ended(Ending.USAGE, f"{source}: {error.strerror}") from None
    if len(content) > VALUE_BYTES_MAX:
        raise Ended(Ending.USAGE, f"the value exceeds the limit of {VALUE_BYTES_MAX} bytes")
    return content


@key_group.command("get")
@click.argument("name")
@in_namespace
@asks
def get(asked: Asked, name: str, namespace: str) -> None:
    """Write the value of NAME to standard output, byte for byte."""
    seen = asked.ask(lambda client: client.look(name), namespace)
    entry = seen.entry
    if entry is None:
        doubt = "; only one home was heard, the other does not answer" if seen.unconfirmed else ""
        raise Ended(Ending.NEGATIVE, f"no such key: {printable(name)}{doubt}")
    if entry.stale:
        print_line("kvctl: this may be an old value: a home does not answer", error=True)
    if asked.as_json:
        print_json(
            {
                "key": name,
                **value_fields(entry.value),
                "metadata": entry.metadata,
                "expires_at_s": entry.expires_at_s,
                "version": str(entry.version),
                "cached": entry.cached,
                "stale": entry.stale,
            }
        )
    else:
        print_bytes(entry.value)


@key_group.command("delete")
@click.argument("name")
@in_namespace
@asks
def delete(asked: Asked, name: str, namespace: str) -> None:
    """Delete NAME, whether it is there or not."""
    version = asked.ask(lambda client: client.delete(name), namespace)
    if asked.as_json:
        print_json({"key": name, "version": str(version)})
    else:
        print_line(f"deleted {printable(name)}: version {version}")


@key_group.command("list")
@in_namespace
@click.option("--prefix", default="", help="Only names that begin so.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many. [default: all]")
@click.option("--long", "long", is_flag=True, help="Expiration, name and metadata, with tabs.")
@asks
def list_keys(asked: Asked, namespace: str, prefix: str, limit: int | None, long: bool) -> None:
    """Print the names of a namespace in byte order, one a line."""
    line = _long_line if long else _short_line
    escaped = on_terminal()

    async def work(client: Client) -> None:
        listing = client.list(prefix, limit=limit)
        async for listed in listing:
            if asked.as_json:
                print_json(
                    {
                        "name": listed.name,
                        "metadata": listed.metadata,
                        "expires_at_s": listed.expires_at_s,
                    }
                )
            else:
                print_line(line(listed, printable(listed.name) if escaped else listed.name))
        if listing.stale:
            print_line(MAY_LACK_KEYS, error=True)

    asked.ask(work, namespace)


def _short_line(_listed: ListedKey, name: str) -> str:
    return name


def _long_line(listed: ListedKey, name: str) -> str:
    metadata = "" if listed.metadata is None else json_text(listed.metadata)
    return f"{when(listed.expires_at_s or 0)}\t{name}\t{metadata}".rstrip("\t")
