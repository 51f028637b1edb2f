"""`kvctl repair`: make both homes equal for one key, or for all keys with a prefix, now."""

import asyncio
from dataclasses import dataclass, field

import click

from kvctl.asking import Asked
from kvctl.endings import negative
from kvctl.keys import in_namespace
from kvctl.options import asks
from kvctl.output import on_terminal, print_json, print_line, printable
from kvctl.progress import Display
from tandem.client import Client
from tandem.core.counted import counted
from tandem.core.key import Key
from tandem.core.operations import Healed

_AT_ONCE = 16
_SHOWN_MAX = 20
_REASONS_MAX = 1_000


@click.command("repair")
@click.argument("name", required=False)
@click.option("--prefix", help="All keys that begin with this.")
@click.option("--all", "everything", is_flag=True, help="All keys; what --prefix '' does not mean.")
@in_namespace
@asks
def repair_command(
    asked: Asked, name: str | None, prefix: str | None, everything: bool, namespace: str
) -> None:
    """Make both homes equal for one key, or for many. NAME, --prefix or --all says which.

    The gateway compares what both homes list, deleted keys too, and only what differs is read. A
    record whose bytes have rotted is listed alike: name it, or have the crawler read them all
    (`kvctl drift scan --deep`). Exits 1 when a key stays unequal.
    """
    given = [name is not None, prefix is not None, everything]
    if sum(given) != 1:
        raise click.UsageError("give NAME, --prefix PREFIX, or --all")
    if prefix == "":
        raise click.UsageError("an empty --prefix never stands for all keys; spell out --all")
    shown = on_terminal() and not asked.as_json
    repairs = asked.ask(
        lambda client: _repaired(client, namespace, name, prefix or "", shown), namespace
    )
    if asked.as_json:
        print_json({
            "equal": repairs.equal, "copied": repairs.copied, "unequal": repairs.unequal,
            "failed": repairs.reasons,
        })  # fmt: skip
    else:
        print_line(f"{counted(repairs.equal, 'key')} equal now, {repairs.copied} of them repaired")
        for line in repairs.reasons[:_SHOWN_MAX]:
            print_line(f"not repaired {printable(line)}")
        if repairs.unequal > _SHOWN_MAX:
            print_line(f"and {repairs.unequal - _SHOWN_MAX} more")
    if repairs.unequal:
        raise negative()


@dataclass(slots=True)
class _Repairs:
    """What became of the keys so far."""

    equal: int = 0
    copied: int = 0
    unequal: int = 0
    reasons: list[str] = field(default_factory=list)
    """Of those that stay unequal, `_REASONS_MAX` at most."""

    def add(self, name: str, healed: Healed) -> None:
        self.equal += healed.equal
        self.copied += healed.equal and bool(healed.copied)
        self.unequal += not healed.equal
        if not healed.equal and len(self.reasons) < _REASONS_MAX:
            self.reasons.append(f"{name}: {'; '.join(healed.reasons)}")


async def _repaired(
    client: Client, namespace: str, name: str | None, prefix: str, shown: bool
) -> _Repairs:
    namespace_id = (await client.namespaces.get(namespace)).id  # `id_of` takes any id for one
    gate, repairs = asyncio.Semaphore(_AT_ONCE), _Repairs()

    async def heal(one: str) -> None:
        async with gate:
            repairs.add(one, await client.ops.heal(Key(namespace_id, one)))

    if name is not None:
        await heal(name)
        return repairs
    after: str | None = ""
    with Display("repairing", shown=shown) as display:
        while after is not None:
            page = await client.ops.compare(namespace_id, prefix, after)
            repairs.equal += page.equal
            await asyncio.gather(*(heal(one) for one in page.differing))
            display.advance(repairs.equal, 0)
            after = page.next_after
    return repairs
