"""The store id: proof that both homes belong to one store, before anything is written to either.

Production's KVSP with staging's bucket would "repair" one into the other. So each home holds the
store id as a record of its own (never healed), the gateway keeps it on disk, and a home that shows
another id is barred. On the very first start both homes must answer; later one may be down, and is
barred until it has shown the id. An empty home is given the id, and counts as lacking everything.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.trust import Trust
from tandem.backends.port import Backend, Heal
from tandem.backends.store_id import STORE_ID_KEY, shown
from tandem.core.cluster_life import renewed_us
from tandem.core.envelope import seal
from tandem.core.limits import HEAL_AGE_MAX_S
from tandem.core.reply import Failed, Found, Missing, ReadReply, Side
from tandem.core.version import Version
from tandem.errors import ConfigurationError

_OLDEST_US: Final = 1
"""At a first start the id has the oldest version there is: of two ids that gateways write at their
very first start, the nonce decides, and both homes see the same one win. An id that is given again
has the home's time of then: every gateway sees since when the home lacks what was before."""
GIVE_AGE_MAX_US: Final = 1_000_000
"""A home takes an id only so long (and the skew of its clock) after the read that found it empty.
So once as much time has passed since an id was written, no other gateway can still overwrite it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the homes' answers mean for each of them."""

    store_id: str
    """Empty while it cannot be known."""
    barred: Mapping[Side, str]
    """Why a home must not be used; empty text for one that may."""
    empty: tuple[Side, ...] = ()
    """Homes without an id, which may be given it."""


@dataclass(frozen=True, slots=True)
class OwnFile:
    """A file of this gateway in the place of S3: no other gateway reads or writes that home."""

    location: str
    kept: Path
    """Where this gateway keeps the store id."""

    def refusal(self, store_id: str) -> str:
        """Why the file is not made a home of a store that began without it."""
        return (
            f"KVSP belongs to a store already, and {self.location} is new. A file is the home of"
            " one gateway: several on one KVSP need a bucket (s3_bucket). If the store is this"
            f" gateway's own, and its data is lost: write {store_id} into {self.kept}, start, and"
            " have `kvctl backend rebuild s3` fill the file"
        )


def judge(
    kept: str, fresh: str, replies: Mapping[Side, ReadReply], own: OwnFile | None = None
) -> Verdict:
    """Decides from what the homes say.

    Args:
        kept: the id on this gateway's disk; empty at its first start.
        fresh: a new id, in case there is none anywhere.
        own: what stands for S3, if that is a file.

    Raises:
        ConfigurationError: at a first start, when the homes belong to different stores, or when
            the store is older than the gateway's own file.
    """
    texts = {side: shown(reply) for side, reply in replies.items()}
    ids = sorted({text for text in texts.values() if text})
    if not kept:
        if len(ids) > 1:
            raise ConfigurationError([f"the two homes belong to different stores: {_told(texts)}"])
        if any(text is None for text in texts.values()):
            waits = "the first start needs both homes, and one does not answer"
            return Verdict("", dict.fromkeys(replies, waits))
        if own is not None and texts[Side.S3] == "" and ids and ids != [fresh]:
            raise ConfigurationError([own.refusal(ids[0])])
        kept = ids[0] if ids else fresh
    barred = {side: _objection(kept, text, replies[side]) for side, text in texts.items()}
    return Verdict(kept, barred, tuple(side for side, text in texts.items() if text == ""))


def _told(texts: Mapping[Side, str | None]) -> str:
    return ", ".join(f"{side.value} has {text}" for side, text in texts.items())


def _objection(kept: str, text: str | None, reply: ReadReply) -> str:
    if text is None:
        return f"it has not shown its store id yet ({reply})"
    if text == "":
        return "it is empty and has not been given the store id yet"
    return "" if text == kept else f"it belongs to another store: {text} instead of {kept}"


async def incarnation(home: Backend, found: Found, deadline_s: float) -> str | None:
    """Which life of a home this is; None while its parts do not tell.

    Whoever gives an empty home the id gives it another version. Parts of a home have lives of their
    own: a cluster of KVSP that was wiped or restored begins a new one.
    """
    parts = await home.incarnation(deadline_s)
    return None if isinstance(parts, Failed) else f"{found.record.version.hex()} {parts}".rstrip()


async def note_life(
    trust: Trust, home: Backend, shown: Found, time: HomeTime, deadline_s: float
) -> None:
    """Tells `trust` which life the home is in, if all of it is known, and when that is: what the
    home itself says of the time in one reply may be wrong, and of two views the later one counts.
    """
    life = await incarnation(home, shown, deadline_s)
    now_us = time.now_or_none_us()
    if life is not None and now_us is not None:
        _, _, parts = life.partition(" ")
        rebuilt = max(rebuilt_us(shown), renewed_us(parts))
        trust.saw(home.side, life, rebuilt, now_us)


def rebuilt_us(found: Found) -> int:
    """When the home began anew and empty, in its own time; 0 for one that has been there since the
    store was made."""
    time_us = found.record.version.time_us
    return time_us if time_us > _OLDEST_US else 0


async def look(
    homes: Mapping[Side, Backend], deadline_s: float, time: HomeTime
) -> dict[Side, ReadReply]:
    """What each home says its store id is. A home's time counts from the moment of its own answer:
    taken when the slower one has answered too, it would set the machine's clock back by as much."""
    replies = await asyncio.gather(*(_heard(home, deadline_s, time) for home in homes.values()))
    return dict(zip(homes, replies, strict=True))


async def _heard(home: Backend, deadline_s: float, time: HomeTime) -> ReadReply:
    loop = asyncio.get_running_loop()
    asked_s = loop.time()
    reply = await home.get(STORE_ID_KEY, deadline_s)
    if isinstance(reply, Found | Missing):
        took_us = round((loop.time() - asked_s) * 1_000_000)
        time.observe(home.side, reply.home_time_us, took_us)
    return reply


async def give(
    home: Backend,
    reply: ReadReply,
    store_id: str,
    nonce: bytes,
    deadline_s: float,
    *,
    again: bool,
) -> None:
    """Writes the id into an empty home, `again` if the store had one before; the next look tells
    what came of it."""
    if isinstance(reply, Missing):
        time_us = reply.home_time_us if again else _OLDEST_US
        record = seal(Version.at(time_us, nonce), store_id.encode())
        # Backdated: the home refuses it sooner after that read than it would any other heal.
        read_at_us = reply.home_time_us - int(HEAL_AGE_MAX_S * 1e6) + give_age_max_us(home)
        await home.put_if_newer(STORE_ID_KEY, record, deadline_s, Heal(read_at_us))


def give_age_max_us(home: Backend) -> int:
    """How long after it was seen to be empty a home takes an id."""
    return GIVE_AGE_MAX_US + home.clock_skew_max_us
