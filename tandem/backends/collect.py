"""Deleting for good, carried out: the plans of `tandem.core.collect` against both homes.

Always in this order, and each step only where the one before has been confirmed:

    1. no cluster is another one than the evidence is about, or behind its mirror
    2. the floor rises in every cluster            (SQL refuses late inserts from here on)
    3. the mirror of every cluster says so         (a restored cluster is found out from here on)
    4. dead rows leave SQL                         compare-and-delete, naming the incarnation
    5. their objects leave S3                      compare-and-delete, or a tombstone stays
    6. what else S3 holds below the floors goes    the sweep: SQL has dropped it, never the reverse

All of it is safe to repeat, to race with another collector, with writes and with heals, and to
abandon at any await. What is left over is found by the next crawl.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from tandem.backends.clusters import look_at_clusters, mirror_floor
from tandem.backends.port import CollectableObjects, CollectableRows
from tandem.core.collect import Collection, DeadRecord, Remains, gravestone, remains
from tandem.core.key import Key
from tandem.core.mass_change import MASS_LIMIT, MassLimit, MassWork, NeedsPerson, mass_change
from tandem.core.record import Stamp
from tandem.core.removal import FloorRaise, FloorReply, PurgeRow, Removal, RowPurge
from tandem.core.reply import Failed, Missing, stamp_of
from tandem.core.version import Version
from tandem.runtime.randomness import Entropy

_ROWS_AT_ONCE: Final = 1_000
_OBJECTS_AT_ONCE: Final = 16
_GONE: Final = frozenset({Removal.DONE, Removal.ABSENT})
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CollectedHomes:
    """The homes that something is to leave, and how they are asked."""

    rows: CollectableRows
    objects: CollectableObjects | None
    """None where the namespace is kept in KVSP alone."""
    entropy: Entropy
    deadline_s: float = 10.0
    """For each call."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much may go without a person."""

    records: int
    """How many records the crawl saw in the range."""
    limit: MassLimit = MASS_LIMIT
    accepted: int = 0
    """How many a person has allowed; see `core.mass_change`."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What went. A record that was not removed stays for the next crawl."""

    rows: int = 0
    objects: int = 0
    replaced: int = 0
    """Objects that a tombstone has taken the place of."""
    left: int = 0
    """Records that stay for now: something newer came, or a home did not answer."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nothing was removed."""

    why: str


async def collect(
    homes: CollectedHomes, plan: Collection, allowance: Allowance
) -> Collected | Stopped | NeedsPerson:
    """Removes the dead records of one range from both homes: steps 1 to 5."""
    if not plan.dead:
        return Collected()
    changes = len(plan.dead)
    stop = mass_change(
        MassWork.COLLECT, changes, allowance.records, allowance.limit, allowance.accepted
    )
    if stop is not None:
        return stop
    objection = (
        await _objection(homes, plan.incarnations)
        or await _raise(homes, plan)
        or await _mirror(homes, plan)
    )
    if objection:
        return Stopped(objection)
    gone = await _purge(homes, plan)
    left = len(plan.dead) - len(gone)
    if homes.objects is None:
        return Collected(rows=len(gone), left=left)
    return await _collect_objects(homes, homes.objects, plan, gone, left)


async def sweep(
    homes: CollectedHomes,
    namespace: str,
    names: Sequence[str],
    incarnations: Mapping[str, str],
    allowance: Allowance,
) -> Collected | Stopped | NeedsPerson:
    """Takes from S3 what KVSP has dropped below its floors: step 6.

    Args:
        names: those that a crawl has seen on S3 alone; each is looked at again in both homes.
        incarnations: of all clusters, as they were throughout that crawl.
    """
    stop = mass_change(
        MassWork.SWEEP, len(names), allowance.records, allowance.limit, allowance.accepted
    )
    if stop is not None:
        return stop
    assert homes.objects is not None, "there is nothing to sweep"
    done = Collected()
    for some in _batches(names, _ROWS_AT_ONCE):
        swept = await _sweep(homes, homes.objects, namespace, some, incarnations)
        if isinstance(swept, Stopped):
            return swept if done == Collected() else done
        done = _sum(done, swept)
    return done


async def _objection(homes: CollectedHomes, incarnations: Mapping[str, str]) -> str:
    """Why the evidence is not about the clusters that there are now; empty when it is."""
    clusters = await look_at_clusters(homes.rows, homes.objects, homes.deadline_s)
    if isinstance(clusters, Failed):
        return str(clusters)
    if clusters.behind:
        names = ", ".join(life.name for life, _ in clusters.behind)
        return f"behind its mirror, and so wiped or restored: {names}"
    if clusters.incarnations != incarnations:
        return "the clusters are not those that the crawl saw"
    return ""


async def _raise(homes: CollectedHomes, plan: Collection) -> str:
    raising = FloorRaise(plan.span, plan.floor, plan.incarnations)
    replies = await homes.rows.raise_floor(raising, homes.deadline_s)
    if isinstance(replies, Failed):
        return str(replies)
    for cluster in plan.incarnations:
        reply = replies.get(cluster)
        if reply is not FloorReply.RAISED:
            return f"{cluster}: {_told(reply)}"
    return ""


def _told(reply: FloorReply | Failed | None) -> str:
    match reply:
        case None:
            return "there is no such cluster"
        case Failed():
            return str(reply)
        case FloorReply():
            return reply.value


async def _mirror(homes: CollectedHomes, plan: Collection) -> str:
    """Mirrors what the clusters show now, after the floor has risen: their commit numbers too."""
    if homes.objects is None:
        return ""
    lives = await homes.rows.clusters(homes.deadline_s, floors=True)
    if isinstance(lives, Failed):
        return str(lives)
    for life in lives:
        if plan.incarnations.get(life.name) != life.named:
            return f"{life.name} is another one now"
        failed = await mirror_floor(
            homes.objects, life, plan.span, plan.floor, homes.entropy, homes.deadline_s
        )
        if failed is not None:
            return str(failed)
    return ""


async def _purge(homes: CollectedHomes, plan: Collection) -> list[DeadRecord]:
    """The records that are no longer in SQL."""
    gone: list[DeadRecord] = []
    namespace = plan.span.namespace
    for some in _batches(plan.dead, _ROWS_AT_ONCE):
        rows = [PurgeRow(one.name.encode(), one.version, one.digest) for one in some]
        purge = RowPurge(namespace, rows, plan.incarnations)
        outcomes = await homes.rows.purge(purge, homes.deadline_s)
        gone += [one for one, out in zip(some, outcomes, strict=True) if out in _GONE]
    return gone


async def _collect_objects(
    homes: CollectedHomes, objects: CollectableObjects, plan: Collection,
    gone: Sequence[DeadRecord], left: int,
) -> Collected:  # fmt: skip
    namespace = plan.span.namespace
    if not objects.removes:
        # A tombstone has its place for ever; of what expired, only the value must go.
        done = Collected(rows=len(gone), left=left)
        expired = [one.name for one in gone if one.expires_at_s]
        for names in _batches(expired, _ROWS_AT_ONCE):
            swept = await _sweep(homes, objects, namespace, names, plan.incarnations)
            done = _sum(done, Collected(left=len(names)) if isinstance(swept, Stopped) else swept)
        return done
    removed = 0
    for some in _batches(gone, _OBJECTS_AT_ONCE):
        outcomes = await asyncio.gather(
            *(
                objects.remove(
                    Key(namespace, one.name), Stamp(one.version, one.digest), homes.deadline_s
                )
                for one in some
            )
        )
        removed += sum(outcome in _GONE for outcome in outcomes)
    return Collected(len(gone), removed, 0, left + len(gone) - removed)


@dataclass(frozen=True, slots=True)
class _Found:
    """An object that is to be swept, and the evidence."""

    key: Key
    stamp: Stamp
    what: Remains
    floor: Version
    read_at_us: int


async def _sweep(
    homes: CollectedHomes, objects: CollectableObjects, namespace: str, names: Sequence[str],
    incarnations: Mapping[str, str],
) -> Collected | Stopped:  # fmt: skip
    """The clusters are looked at after the reads: then those came from the incarnations named, of
    which a miss with a floor stays true for ever, whatever happens to the cluster later."""
    found: list[_Found | None] = []
    for some in _batches(names, _OBJECTS_AT_ONCE):
        found += await asyncio.gather(
            *(_look(homes, objects, Key(namespace, name)) for name in some)
        )
    objection = await _objection(homes, incarnations)
    if objection:
        return Stopped(objection)
    outcomes: list[Removal | Failed | None] = []
    remaining = [one for one in found if one is not None]
    for part in _batches(remaining, _OBJECTS_AT_ONCE):
        outcomes += await asyncio.gather(*(_take(homes, objects, one) for one in part))
    done = sum(outcome in _GONE for outcome in outcomes)
    skipped = sum(outcome is None for outcome in outcomes)
    left = len(outcomes) - done - skipped
    removed, replaced = (done, 0) if objects.removes else (0, done)
    return Collected(0, removed, replaced, left)


async def _look(homes: CollectedHomes, objects: CollectableObjects, key: Key) -> _Found | None:
    kvsp = await homes.rows.get(key, homes.deadline_s)
    if not isinstance(kvsp, Missing):
        return None
    s3 = await objects.get(key, homes.deadline_s, lambda: False)
    what, stamp = remains(kvsp, s3), stamp_of(s3)
    if what is None or stamp is None:
        return None
    return _Found(key, stamp, what, kvsp.floor, s3.home_time_us)


async def _take(
    homes: CollectedHomes, objects: CollectableObjects, found: _Found
) -> Removal | Failed | None:
    """What became of the object; None for a tombstone that has to stay."""
    if objects.removes:
        return await objects.remove(found.key, found.stamp, homes.deadline_s)
    if found.what is Remains.RETIRED:
        return None
    record = gravestone(found.stamp, found.floor)
    return await objects.replace(found.key, found.stamp, record, found.read_at_us, homes.deadline_s)


def _sum(one: Collected, other: Collected) -> Collected:
    return Collected(
        one.rows + other.rows,
        one.objects + other.objects,
        one.replaced + other.replaced,
        one.left + other.left,
    )


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
