"""`kvctl key inspect`, `heal` and `locate`: a key as the homes hold it."""

from collections.abc import Sequence

import click

from kvctl.asking import Asked
from kvctl.endings import negative
from kvctl.keys import in_namespace
from kvctl.options import asks, configured, form
from kvctl.output import columns, print_json, print_line, printable, when
from tandem.client import Client
from tandem.core.key import Key, check_name, encode_name, is_namespace_id, object_name
from tandem.core.operations import Copy, Healed, Inspection
from tandem.errors import InvalidArgument
from tandem.runtime.settings.shared import OBJECT_PREFIX


@click.command("inspect")
@click.argument("name")
@in_namespace
@asks
def inspect(asked: Asked, name: str, namespace: str) -> None:
    """Show what each home holds under NAME, and what a heal would do.

    Exits 1 when the homes differ, when one does not answer, and when neither holds anything.
    """

    async def work(client: Client) -> Inspection:
        return await client.ops.inspect(Key(await client.namespaces.id_of(namespace), name))

    inspection = asked.ask(work)
    if asked.as_json:
        print_json(
            {
                "key": name,
                "object_name": inspection.object_name,
                "equal": inspection.equal,
                "plan": inspection.plan,
                "copies": [_copy_document(copy) for copy in inspection.copies],
            }
        )
    else:
        print_line(f"key     {printable(name)}")
        print_line(f"object  {inspection.object_name}\n")
        print_line(columns(_copy_rows(inspection.copies)))
        print_line(f"\nequal in both homes: {'yes' if inspection.equal else 'no'}")
        print_line(f"a heal would: {inspection.plan}")
    if not (inspection.equal and any(copy.found for copy in inspection.copies)):
        raise negative()


def _copy_document(copy: Copy) -> dict[str, object]:
    return {
        "home": copy.side.value,
        "found": copy.found,
        "kind": _kind(copy) if copy.found else None,
        "version": str(copy.version) if copy.version else None,
        "digest": copy.digest.hex() or None,
        "bytes": copy.value_bytes if copy.found else None,
        "expires_at_s": copy.expires_at_s or None,
        "metadata": copy.metadata.decode(errors="backslashreplace") or None,
        "failure": copy.failure or None,
    }


def _copy_rows(copies: Sequence[Copy]) -> list[list[str]]:
    fields = ("kind", "version", "written", "digest", "bytes", "expires", "metadata")
    shown = [_copy_column(copy) for copy in copies]
    return [
        ["", *(copy.side.value for copy in copies)],
        *([field, *(column.get(field, "-") for column in shown)] for field in fields),
    ]


def _copy_column(copy: Copy) -> dict[str, str]:
    if copy.failure:
        return {"kind": f"no answer: {copy.failure}"}
    if not copy.found:
        return {"kind": "nothing"}
    column = {
        "kind": _kind(copy),
        "digest": copy.digest.hex(),
        "bytes": str(copy.value_bytes),
        "expires": when(copy.expires_at_s),
        "metadata": copy.metadata.decode(errors="backslashreplace") or "-",
    }
    if copy.version:
        column["version"] = str(copy.version)
        column["written"] = when(copy.version.time_us // 1_000_000)
    return column


def _kind(copy: Copy) -> str:
    return "tombstone" if copy.tombstone else "value"


@click.command("heal")
@click.argument("name")
@in_namespace
@asks
def heal(asked: Asked, name: str, namespace: str) -> None:
    """Make both homes hold the newest record of NAME, now. Exits 1 when that fails."""

    async def work(client: Client) -> Healed:
        return await client.ops.heal(Key(await client.namespaces.id_of(namespace), name))

    healed = asked.ask(work)
    copied = [side.value for side in healed.copied]
    if asked.as_json:
        print_json(
            {"key": name, "equal": healed.equal, "copied": copied, "reasons": [*healed.reasons]}
        )
    elif healed.equal:
        done = f"copied to {' and '.join(copied)}" if copied else "both homes were equal already"
        print_line(f"healed {printable(name)}: {done}")
    else:
        print_line(f"not healed {printable(name)}: {'; '.join(healed.reasons)}")
    if not healed.equal:
        raise negative()


@click.command("locate")
@click.argument("name")
@click.option(
    "--namespace", "-n", metavar="TITLE|ID",
    help="Print the whole name, with this namespace; only a title needs a gateway.",
)  # fmt: skip
@click.option(
    "--prefix", type=form(OBJECT_PREFIX),
    help="What all objects begin with. [default: TANDEM_S3_PREFIX, tandem/]",
)  # fmt: skip
@asks
def locate(asked: Asked, name: str, namespace: str | None, prefix: str | None) -> None:
    """Print the name of the object that holds NAME. Asks nobody, unless --namespace is a title.

    Without --namespace it is the part below PREFIX/NAMESPACE-ID/.
    """
    try:
        check_name(name)
    except InvalidArgument as error:
        raise click.UsageError(str(error)) from None
    if namespace is None:
        found = encode_name(name)
    else:
        if not is_namespace_id(namespace):
            namespace = asked.ask(lambda client: client.namespaces.id_of(str(namespace)))
        if prefix is None:
            prefix = configured(asked.surroundings.environment).s3_prefix
        found = object_name(prefix, Key(namespace, name))
    if asked.as_json:
        print_json({"key": name, "object_name": found})
    else:
        print_line(found)
