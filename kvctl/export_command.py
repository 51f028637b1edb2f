"""`kvctl export`: a namespace into a directory that `kvctl import` reads again."""

import sys
from pathlib import Path

import click

from kvctl.asking import Asked
from kvctl.endings import Ended, Ending
from kvctl.export.exporting import Export, Exported
from kvctl.export.manifest import Manifest, Scope, Unfit
from kvctl.keys import MAY_LACK_KEYS
from kvctl.options import asks
from kvctl.output import print_json, print_line, size
from kvctl.progress import Display
from tandem.client import Client
from tandem.core.counted import counted
from tandem.core.key import check_name_length


@click.command("export")
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False))
@click.option("--namespace", "-n", required=True, metavar="TITLE|ID", help="What to export.")
@click.option("--prefix", default="", help="Only names that begin so.")
@asks
def export_command(asked: Asked, directory: str, namespace: str, prefix: str) -> None:
    """Write the values of a namespace to files below DIR. All else goes to a manifest beside them.

    The same command goes on where an earlier one was interrupted. `kvctl import DIR` brings the
    keys back, with metadata and expirations.
    """
    if not directory:  # as of a variable that is not set: to a Path, that is the current one
        raise click.UsageError("an empty DIR is no directory")
    place = Path(directory)
    asked.ask(lambda client: _export(client, asked, place, namespace, prefix), namespace)


async def _export(
    client: Client, asked: Asked, directory: Path, namespace: str, prefix: str
) -> None:
    check_name_length(prefix, "prefix")  # before there is a manifest that says so
    found = await client.namespaces.get(namespace)
    manifest = _opened(directory, Scope(found.id, found.title, prefix))
    began_us = asked.clock.monotonic_us()
    resumed = bool(manifest.after)
    shown = sys.stderr.isatty() and not asked.as_json
    with Display("exporting", shown=shown) as display:

        def advanced(done: Exported) -> None:
            display.advance(done.keys, done.bytes)

        export = Export(client, directory, manifest, advanced)
        try:
            await export.run(prefix)
        except OSError as error:
            raise Ended(
                Ending.NEGATIVE,
                f"{error.filename2 or error.filename or directory}: {error.strerror}\n"
                "Repeat the command when that is mended: it goes on from there.",
            ) from None
        finally:
            manifest.close()
            display.close()
            seconds = (asked.clock.monotonic_us() - began_us) / 1e6
            _summary(asked, export.exported, seconds, resumed=resumed)
            _warn(export.exported)


def _opened(directory: Path, scope: Scope) -> Manifest:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return Manifest(directory, scope)
    except Unfit as error:
        raise Ended(Ending.USAGE, str(error)) from None
    except OSError as error:
        raise Ended(Ending.USAGE, f"{error.filename or directory}: {error.strerror}") from None


def _summary(asked: Asked, exported: Exported, seconds: float, *, resumed: bool) -> None:
    if asked.as_json:
        print_json(
            {
                "keys": exported.keys,
                "bytes": exported.bytes,
                "seconds": round(seconds, 3),
                "stale": exported.stale,
                "may_lack_keys": exported.may_lack_keys,
                "resumed": resumed,
                "complete": exported.complete,
            }
        )
        return
    print_line(
        f"{'' if exported.complete else 'interrupted after '}{counted(exported.keys, 'key')}"
        f"{' more' if resumed else ''} in {seconds:.1f} s ({size(exported.bytes)})"
    )


def _warn(exported: Exported) -> None:
    """An interrupted export too: who goes on with it later hears nothing of this any more."""
    if exported.stale:
        print_line(
            f"kvctl: {counted(exported.stale, 'value')} may be old: a home does not answer",
            error=True,
        )
    if exported.may_lack_keys:
        print_line(MAY_LACK_KEYS, error=True)
