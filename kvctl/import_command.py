"""`kvctl import`: a directory tree into a namespace, with its progress and its summary."""

import asyncio
import os
import sys
from collections.abc import Iterator
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from kvctl.asking import Asked, asks
from kvctl.endings import Ended, Ending, negative
from kvctl.importing import Import, Tally
from kvctl.output import counted, print_json, print_line, printable, size
from kvctl.tree import Refused, TreeFile, walk
from tandem.client import Client
from tandem.core.key import is_namespace_id
from tandem.errors import NamespaceNotFound


@click.command("import")
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False))
@click.option("--namespace", "-n", required=True, metavar="TITLE|ID", help="Where to store.")
@click.option("--prefix", default="", help="What the name of each key begins with.")
@click.option("--create", is_flag=True, help="Create the namespace when there is none.")
@click.option("--no-follow", is_flag=True, help="Do not follow symbolic links.")
@asks
def import_command(
    asked: Asked, directory: str, namespace: str, prefix: str, create: bool, no_follow: bool
) -> None:
    """Store each file below DIR under its path, with its content type as metadata.

    What is stored already is left alone, so the command can be repeated. A file that cannot be
    stored is named with the reason, the others go on, and the command exits 1.
    """
    if create and not is_namespace_id(namespace):
        asked.ask(lambda client: _create(client, namespace))
    tally = asked.ask(
        lambda client: _import(client, asked, directory, prefix, follow_links=not no_follow),
        namespace,
    )
    if tally.gave_up:
        raise Ended(
            Ending.UNAVAILABLE,
            f"the gateway at {asked.gateway} stopped answering, so the rest was not tried\n"
            "Repeat the command when it answers again: what is stored is left alone.",
        )
    if tally.failed:
        raise negative()


async def _import(
    client: Client, asked: Asked, directory: str, prefix: str, *, follow_links: bool
) -> Tally:
    def found() -> Iterator[TreeFile | Refused]:
        return walk(directory, prefix, follow_links=follow_links)

    began_us = asked.clock.monotonic_us()
    with _Display(shown=sys.stderr.isatty() and not asked.as_json) as display:
        importing = Import(client, refused=display.refused, advanced=display.advanced)
        try:
            if display.shown:
                display.expect(await asyncio.to_thread(lambda: sum(1 for _ in found())))
            await importing.run(found(), prefix)
        except asyncio.CancelledError:
            importing.tally.interrupted = True
            raise
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


class _Display:
    """Failures on standard error as they come, below them a bar when it is a terminal."""

    def __init__(self, *, shown: bool) -> None:
        self.shown = shown
        self._progress = Progress(
            TextColumn("importing"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[bytes]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=not shown,
        )
        self._task = self._progress.add_task("", total=None, bytes="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leaves the bar as it is, so that other lines can follow."""
        self._progress.stop()

    def expect(self, files: int) -> None:
        """Says how many there will be."""
        self._progress.update(self._task, total=files)

    def refused(self, refused: Refused) -> None:
        """Tells one failure."""
        line = f"{printable(_shown(refused.path))}: {refused.reason}"
        if self.shown:
            self._progress.console.print(Text(line), soft_wrap=True)
        else:
            print_line(line, error=True)

    def advanced(self, tally: Tally) -> None:
        """Moves the bar."""
        if self.shown:
            done = size(tally.stored_bytes + tally.unchanged_bytes)
            self._progress.update(self._task, completed=tally.files, bytes=done)


def _shown(path: str) -> str:
    """A path with escapes where its bytes are no UTF-8."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _summary(tally: Tally, seconds: float) -> str:
    return (
        f"{'interrupted after ' if tally.interrupted else ''}{counted(tally.files, 'file')}"
        f" in {seconds:.1f} s: {tally.stored} stored ({size(tally.stored_bytes)}),"
        f" {tally.unchanged} skipped as stored already ({size(tally.unchanged_bytes)}),"
        f" {tally.failed} failed"
    )


def _document(tally: Tally, seconds: float) -> dict[str, object]:
    return {
        "files": tally.files,
        "bytes": tally.stored_bytes + tally.unchanged_bytes,
        "seconds": round(seconds, 3),
        "stored": tally.stored,
        "stored_bytes": tally.stored_bytes,
        "skipped": tally.unchanged,
        "failed": tally.failed,
        "complete": not (tally.interrupted or tally.gave_up),
        "failures": [
            {"path": _shown(refused.path), "reason": refused.reason} for refused in tally.failures
        ],
    }
