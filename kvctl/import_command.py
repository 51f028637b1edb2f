"""`kvctl import`: a directory tree into a namespace, with its progress and its summary."""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from kvctl.asking import Asked
from kvctl.endings import Ended, Ending, negative
from kvctl.export.manifest import Unfit, is_export
from kvctl.export.reading import exported
from kvctl.importing import Import, Tally
from kvctl.options import asks
from kvctl.output import print_json, print_line, printable, size
from kvctl.progress import Display
from kvctl.tree import Refused, TreeFile, walk
from tandem.client import Client
from tandem.core.counted import counted
from tandem.core.key import is_namespace_id
from tandem.errors import NamespaceNotFound


@click.command("import")
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False))
@click.option("--namespace", "-n", required=True, metavar="TITLE|ID", help="Where to store.")
@click.option("--prefix", default="", help="What the name of each key begins with.")
@click.option("--create", is_flag=True, help="Create the namespace when there is none.")
@click.option(
    "--all", "all_files", is_flag=True, help="Store also what seems to be stored already."
)
@click.option("--no-follow", is_flag=True, help="Do not follow symbolic links.")
@asks
def import_command(
    asked: Asked,
    directory: str,
    namespace: str,
    prefix: str,
    create: bool,
    all_files: bool,
    no_follow: bool,
) -> None:
    """Store each file below DIR under its path. Its content type becomes the metadata.

    A directory that `kvctl export` has written brings its names, metadata and expirations back.
    What is stored already is left alone, so the command can be repeated; the gateway may not have
    seen yet what was written through another one a moment ago, for which there is --all. A file
    that cannot be stored is named with the reason, the others go on, and the command exits 1.
    """
    found = _sources(Path(directory), prefix, follow_links=not no_follow)
    if create and not is_namespace_id(namespace):
        asked.ask(lambda client: _create(client, namespace))
    tally = asked.ask(
        lambda client: _import(client, asked, found, prefix, look=not all_files),
        namespace,
        writes=True,
    )
    if tally.gave_up:
        raise Ended(
            Ending.UNAVAILABLE,
            f"the gateway at {asked.gateway} stopped answering, so the rest was not tried\n"
            "Repeat the command when it answers again: what is stored is left alone.",
        )
    if tally.failed:
        raise negative()


def _sources(
    directory: Path, prefix: str, *, follow_links: bool
) -> Callable[[], Iterator[TreeFile | Refused]]:
    """What can be gone through again and again for what there is to import."""
    try:
        if is_export(directory):
            return lambda: exported(directory, prefix)
    except Unfit as error:
        raise Ended(Ending.USAGE, str(error)) from None
    except OSError as error:
        raise Ended(Ending.USAGE, f"{error.filename}: {error.strerror}") from None
    return lambda: walk(str(directory), prefix, follow_links=follow_links)


async def _import(
    client: Client,
    asked: Asked,
    found: Callable[[], Iterator[TreeFile | Refused]],
    prefix: str,
    *,
    look: bool,
) -> Tally:
    began_us = asked.clock.monotonic_us()
    with Display("importing", shown=sys.stderr.isatty() and not asked.as_json) as display:

        def refused(one: Refused) -> None:
            display.say(f"{printable(_shown(one.path))}: {one.reason}")

        def advanced(tally: Tally) -> None:
            display.advance(tally.files, tally.stored_bytes + tally.unchanged_bytes)

        importing = Import(client, look=look, refused=refused, advanced=advanced)
        try:
            if display.shown:
                display.expect(await asyncio.to_thread(lambda: sum(1 for _ in found())))
            await importing.run(found(), prefix)
        finally:
            display.close()
            seconds = (asked.clock.monotonic_us() - began_us) / 1e6
            if asked.as_json:
                print_json(_document(importing.tally, seconds))
            else:
                print_line(_summary(importing.tally, seconds))
    return importing.tally


async def _create(client: Client, title: str) -> None:
    try:
        await client.namespaces.get(title)
    except NamespaceNotFound:
        await client.namespaces.create(title)


def _shown(path: str) -> str:
    """A path with escapes where its bytes are no UTF-8."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _summary(tally: Tally, seconds: float) -> str:
    return (
        f"{'' if tally.complete else 'interrupted after '}{counted(tally.files, 'file')}"
        f" in {seconds:.1f} s: {tally.stored} stored ({size(tally.stored_bytes)}),"
        f" {tally.unchanged} skipped as stored already ({size(tally.unchanged_bytes)}),"
        f"{f' {tally.expired} expired,' if tally.expired else ''} {tally.failed} failed"
    )


def _document(tally: Tally, seconds: float) -> dict[str, object]:
    return {
        "files": tally.files,
        "bytes": tally.stored_bytes + tally.unchanged_bytes,
        "seconds": round(seconds, 3),
        "stored": tally.stored,
        "stored_bytes": tally.stored_bytes,
        "skipped": tally.unchanged,
        "expired": tally.expired,
        "failed": tally.failed,
        "complete": tally.complete,
        "failures": [
            {"path": _shown(refused.path), "reason": refused.reason} for refused in tally.failures
        ],
    }
