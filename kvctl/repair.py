"""`kvctl repair`: make both homes equal for one key, or for all keys with a prefix, now."""

import asyncio

import click

from kvctl.asking import Asked, asks
from kvctl.endings import negative
from kvctl.keys import in_namespace
from kvctl.output import counted, on_terminal, print_json, print_line, printable
from kvctl.progress import Display
from tandem.client import Client
from tandem.core.key import Key

_AT_ONCE = 16
_SHOWN_MAX = 20


@click.command("repair")
@click.argument("name", required=False)
@click.option("--prefix", help="All keys that begin with this.")
@click.option("--all", "everything", is_flag=True, help="All keys; what --prefix '' does not mean.")
@in_namespace
@asks
def repair_command(
    asked: Asked, name: str | None, prefix: str | None, everything: bool, namespace: str
) -> None:
    """Make both homes hold the newest record of NAME, or of every key that --prefix or --all names.

    It finds keys through the gateway's listing, which shows live keys; deleted ones are the
    crawler's (`kvctl drift scan`). Exits 1 when a key stays unequal.
    """
    given = [name is not None, prefix is not None, everything]
    if sum(given) != 1:
        raise click.UsageError("give NAME, --prefix PREFIX, or --all")
    if prefix == "":
        raise click.UsageError("an empty --prefix never stands for all keys; spell out --all")
    shown = on_terminal() and not asked.as_json
    equal, copied, failed = asked.ask(
        lambda client: _repair(client, namespace, name, prefix or "", shown), namespace
    )
    if asked.as_json:
        print_json({"equal": equal, "copied": copied, "failed": failed})
    else:
        print_line(f"{counted(equal, 'key')} equal now, {copied} of them repaired")
        for line in failed[:_SHOWN_MAX]:
            print_line(f"not repaired {printable(line)}")
        if len(failed) > _SHOWN_MAX:
            print_line(f"and {len(failed) - _SHOWN_MAX} more")
    if failed:
        raise negative()


async def _repair(
    client: Client, namespace: str, name: str | None, prefix: str, shown: bool
) -> tuple[int, int, list[str]]:
    namespace_id = await client.namespaces.id_of(namespace)
    gate, failed, done = asyncio.Semaphore(_AT_ONCE), list[str](), [0, 0]

    async def heal(one: str) -> None:
        async with gate:
            healed = await client.ops.heal(Key(namespace_id, one))
        if healed.equal:
            done[0] += 1
            done[1] += bool(healed.copied)
        else:
            failed.append(f"{one}: {'; '.join(healed.reasons)}")

    if name is not None:
        await heal(name)
        return done[0], done[1], failed
    with Display("repairing", shown=shown) as display:
        names: list[str] = []
        async for entry in client.list(prefix):
            names.append(entry.name)
            if len(names) >= _AT_ONCE * 8:
                await asyncio.gather(*(heal(one) for one in names))
                names = []
                display.advance(done[0], 0)
        await asyncio.gather(*(heal(one) for one in names))
    return done[0], done[1], failed
