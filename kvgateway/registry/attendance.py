"""Who is registered: every process that may still serve, as both homes show it.

What a process left that was gone a day ago is buried, so that nobody reads it again; its tombstone
stays, some bytes in either home.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kvgateway.homes.guard import GuardedHome
from kvgateway.registry.presence import PREFIX
from tandem.backends.port import Heal
from tandem.backends.whole_listing import list_all
from tandem.core.envelope import seal_tombstone
from tandem.core.key import IDENTITY_NAMESPACE, Key
from tandem.core.mode_step import Objection
from tandem.core.record import Kind, Record
from tandem.core.registration import BadRegistration, Registration, decode_registration
from tandem.core.reply import Found, Missing, ReadReply, Side
from tandem.core.version import NO_VERSION, Version

DEADLINE_S = 3.0
READS_MAX = 64
BURIED_MAX = 32
"""So many are buried at once; the others when somebody looks again."""


@dataclass(frozen=True, slots=True)
class Attendance:
    """The registrations, and what keeps them from being all."""

    registrations: tuple[Registration, ...] = ()
    newest: Version = NO_VERSION
    """The highest version of them: what was written before it came is below."""
    objections: tuple[Objection, ...] = ()
    forgotten: tuple[str, ...] = ()
    """The names of registrations that may go."""


class HomeNotRead(Exception):
    """Not all registrations in a home can be read; the text says why."""


async def look(homes: Mapping[Side, GuardedHome], now_us: int) -> Attendance:
    """Reads every registration in both homes, the newer of two; those that are gone are left out.

    A home that an operator has switched off is not asked: nobody uses it. One that does not answer
    is an objection, since who reaches only that one is registered only there.
    """
    found: dict[str, Record] = {}
    objections: list[Objection] = []
    for side, home in homes.items():
        if not home.switch.reads:
            continue
        try:
            records = await _all(home)
        except HomeNotRead as error:
            text = f"{side.value} does not show which gateways there are: {error}"
            objections.append(Objection(text, passes=True))
            continue
        for name, record in records.items():
            if name not in found or record.version > found[name].version:
                found[name] = record
    registrations, bad = _opened(found)
    present = tuple(one for one in registrations if not one.gone(now_us))
    newest = max((record.version for record in found.values()), default=NO_VERSION)
    forgotten = tuple(PREFIX + one.id for one in registrations if one.forgotten(now_us))
    return Attendance(present, newest, (*objections, *bad), forgotten)


async def bury(homes: Mapping[Side, GuardedHome], names: Sequence[str], now_us: int) -> None:
    """Ends registrations that may go, as far as both homes show them and take it."""
    keys = [Key(IDENTITY_NAMESPACE, name) for name in names[:BURIED_MAX]]
    await asyncio.gather(*(_bury(homes, key, now_us) for key in keys))


async def _bury(homes: Mapping[Side, GuardedHome], key: Key, now_us: int) -> None:
    replies = await asyncio.gather(*(home.get(key, DEADLINE_S) for home in homes.values()))
    tombstone = _tombstone_over(replies, now_us)
    if tombstone is None:
        return
    basis = {s: reply.home_time_us for s, reply in zip(homes, replies, strict=True)}
    await asyncio.gather(
        *(
            home.put_if_newer(key, tombstone, DEADLINE_S, Heal(basis[side]))
            for side, home in homes.items()
        )
    )


def _tombstone_over(replies: Sequence[ReadReply], now_us: int) -> Record | None:
    """What ends a registration, and is older than whatever its process may still write: it says no
    more than what was read. None while it must stay, or cannot be seen."""
    if not all(isinstance(reply, Found | Missing) for reply in replies):
        return None
    records = [reply.record for reply in replies if isinstance(reply, Found)]
    newest = max(records, key=lambda record: record.version, default=None)
    if newest is None or newest.kind is Kind.TOMBSTONE:
        return newest
    try:
        forgotten = decode_registration(newest.value).forgotten(now_us)
    except BadRegistration:
        return None
    return seal_tombstone(newest.version.successor()) if forgotten else None


async def _all(home: GuardedHome) -> Mapping[str, Record]:
    listing = await list_all(home, IDENTITY_NAMESPACE, PREFIX, DEADLINE_S)
    if listing.lacking:
        raise HomeNotRead(listing.lacking)
    names = [entry.name for entry in listing.entries if entry.kind is not Kind.TOMBSTONE]
    return await _read(home, names)


async def _read(home: GuardedHome, names: Sequence[str]) -> Mapping[str, Record]:
    records: dict[str, Record] = {}
    for start in range(0, len(names), READS_MAX):
        group = names[start : start + READS_MAX]
        replies = await asyncio.gather(
            *(home.get(Key(IDENTITY_NAMESPACE, name), DEADLINE_S) for name in group)
        )
        for name, reply in zip(group, replies, strict=True):
            if not isinstance(reply, Found):
                raise HomeNotRead(f"{name}: {reply}")
            records[name] = reply.record
    return records


def _opened(found: Mapping[str, Record]) -> tuple[Sequence[Registration], Sequence[Objection]]:
    registrations, bad = [], []
    for name, record in sorted(found.items()):
        if record.kind is Kind.TOMBSTONE:
            continue
        try:
            registrations.append(decode_registration(record.value))
        except BadRegistration as error:
            text = f"{name.removeprefix(PREFIX)} is registered in a form unknown here: {error}"
            bad.append(Objection(text, passes=False))
    return registrations, bad
