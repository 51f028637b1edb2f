"""The one way to repair a key: read both homes, decide (`core.repair`), copy conditionally."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tandem.backends.port import Backend, Heal
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.repair import Blocked, Copy, InSync, Zombie, repair_plan
from tandem.core.reply import (
    Failed,
    Found,
    Glimpsed,
    Missing,
    ReadReply,
    Reason,
    Refused,
    Side,
    Stored,
    Superseded,
    WriteReply,
)
from tandem.core.version import Version

_LASTING: Final = frozenset({Reason.CORRUPT, Reason.FOREIGN})


@dataclass(frozen=True, slots=True)
class Healed:
    """Both homes hold the same now; `copied` names those that were written."""

    copied: tuple[Side, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftToSweep:
    """S3 holds a value that was deleted for good: it is copied nowhere, and the crawler's sweep
    takes it. No reader sees it while KVSP answers."""

    version: Version


@dataclass(frozen=True, slots=True)
class NotHealed:
    """The homes may still differ; `reasons` says why."""

    reasons: tuple[str, ...]
    needs_person: bool = False
    """A retry will not help: corruption without a source and an object of somebody else are an
    operator's."""


HealOutcome = Healed | LeftToSweep | NotHealed


async def heal(
    homes: Mapping[Side, Backend], key: Key, deadline_s: float, recent: Record | None = None
) -> HealOutcome:
    """Makes both homes hold the newest record of `key`. Safe to repeat, to race and to abandon.

    Args:
        recent: what this machine wrote last under the key, if it still has it.
        deadline_s: for the reads, and again for the writes.
    """
    reads = await _both(homes, key, deadline_s)
    plan = repair_plan(reads[Side.KVSP], reads[Side.S3], recent)
    match plan:
        case InSync():
            return Healed()
        case Copy(record, to):
            return await _copy(homes, key, record, to, reads, deadline_s)
        case Zombie(record):
            return LeftToSweep(record.version)
        case Blocked(reasons):
            return NotHealed(reasons, needs_person=_no_retry_helps(reads))


async def _both(
    homes: Mapping[Side, Backend], key: Key, deadline_s: float
) -> dict[Side, ReadReply]:
    kvsp, s3 = await asyncio.gather(
        homes[Side.KVSP].get(key, deadline_s), homes[Side.S3].get(key, deadline_s)
    )
    return {Side.KVSP: kvsp, Side.S3: s3}


async def _copy(
    homes: Mapping[Side, Backend],
    key: Key,
    record: Record,
    to: tuple[Side, ...],
    reads: Mapping[Side, ReadReply],
    deadline_s: float,
) -> HealOutcome:
    bases = [_basis(reads[side]) for side in to]
    replies = await asyncio.gather(
        *(
            homes[side].put_if_newer(key, record, deadline_s, basis)
            for side, basis in zip(to, bases, strict=True)
        )
    )
    refused = tuple(
        f"{side.value}: {_words(reply)}"
        for side, basis, reply in zip(to, bases, replies, strict=True)
        if not _copied(basis, reply)
    )
    return NotHealed(refused) if refused else Healed(to)


def _copied(basis: Heal, reply: WriteReply) -> bool:
    """A newer record in the place of a corrupt one may be that corrupt one: look again later."""
    return isinstance(reply, Stored) or (isinstance(reply, Superseded) and not basis.over_corrupt)


def _words(reply: WriteReply) -> str:
    """Why a copy was not made, for a person."""
    match reply:
        case Superseded(newest):
            return f"its damaged copy has a newer version, {newest}"
        case Refused(refusal):
            return refusal.value
        case _:
            return str(reply)


def _basis(reply: ReadReply) -> Heal:
    match reply:
        case Found(_, home_time_us) | Missing(home_time_us):
            return Heal(home_time_us)
        case Glimpsed() | Failed():
            return Heal(reply.home_time_us, over_corrupt=True)


def _no_retry_helps(reads: Mapping[Side, ReadReply]) -> bool:
    """Of reads that decide nothing, since one of them failed at least."""
    return all(reply.reason in _LASTING for reply in reads.values() if isinstance(reply, Failed))
