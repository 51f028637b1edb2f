"""The clusters of KVSP held against their mirrors, and a new life for one that has forgotten."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from tandem.backends.mirror import Mirror, read_mirror, write_mirror
from tandem.backends.port import CollectableObjects, CollectableRows
from tandem.core.cluster_life import (
    ClusterLife,
    begun,
    is_behind,
    mirrored,
    past_of,
    taken_over,
)
from tandem.core.removal import Removal, Renewal, Renewed, Span
from tandem.core.reply import Failed, Reason
from tandem.core.version import Version
from tandem.runtime import logs
from tandem.runtime.randomness import Entropy

_LOG = logs.get("clusters")
_SWAPS_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Clusters:
    """All clusters as they and their mirrors are at one moment, in the same order."""

    lives: Sequence[ClusterLife]
    mirrors: Sequence[Mirror]

    @property
    def incarnations(self) -> Mapping[str, str]:
        """What evidence gathered now is about; see `core.collect.CrawlSeen`."""
        return {life.name: life.named for life in self.lives}

    @property
    def behind(self) -> Sequence[tuple[ClusterLife, Mirror]]:
        """The clusters that have forgotten something: wiped, or restored from an old copy."""
        pairs = zip(self.lives, self.mirrors, strict=True)
        return [(life, mirror) for life, mirror in pairs if is_behind(life, mirror.life)]


async def look_at_clusters(
    rows: CollectableRows, objects: CollectableObjects | None, deadline_s: float
) -> Clusters | Failed:
    """Asks KVSP for its clusters and, unless it is the only home, for their mirrors.

    A cluster that seems to be behind is asked again: while its mirror was read, another collector
    may have raised the floor and mirrored it. What it shows now is no older than the mirror.
    `Failed` also when a single cluster does not serve: nothing can be said of the whole then.
    """
    lives = await _serving(rows, deadline_s)
    if isinstance(lives, Failed):
        return lives
    if objects is None:
        return Clusters(lives, [Mirror(None, None, 0) for _ in lives])
    found = await asyncio.gather(*(read_mirror(objects, life.name, deadline_s) for life in lives))
    mirrors = [mirror for mirror in found if isinstance(mirror, Mirror)]
    for mirror in found:
        if isinstance(mirror, Failed):
            return mirror
    clusters = Clusters(lives, mirrors)
    if not clusters.behind:
        return clusters
    lives = await _serving(rows, deadline_s)
    return lives if isinstance(lives, Failed) else Clusters(lives, mirrors)


async def _serving(rows: CollectableRows, deadline_s: float) -> Sequence[ClusterLife] | Failed:
    """All clusters with their floors; `Failed` unless every one of them serves."""
    lives = await rows.clusters(deadline_s, floors=True)
    if isinstance(lives, Failed):
        return lives
    for life in lives:
        if life.failure:
            return Failed(Reason.ERROR, f"{life.name}: {life.failure}")
    return lives


async def mirror_floor(
    objects: CollectableObjects, life: ClusterLife, span: Span, floor: Version,
    entropy: Entropy, deadline_s: float,
) -> Failed | None:  # fmt: skip
    """Makes the mirror of one cluster say that the range has this floor; None once it does."""

    def updated(mirror: ClusterLife | None) -> ClusterLife:
        wanted = mirrored(life, mirror, span.namespace, span.raw_start, span.raw_end, floor)
        if mirror is None or mirror.incarnation != life.incarnation:
            return wanted
        return mirror if wanted.floors == mirror.floors else wanted

    return await _update(objects, life, updated, entropy, deadline_s)


async def mirror_floors(
    objects: CollectableObjects, clusters: Clusters, namespace: str, start: bytes, end: bytes,
    entropy: Entropy, deadline_s: float,
) -> Failed | None:  # fmt: skip
    """Makes the mirrors take over all floors of a range in which both homes are equal; None once
    they have. There are such as they do not know after a time in KVSP alone."""
    for life, mirror in zip(clusters.lives, clusters.mirrors, strict=True):
        if taken_over(life, mirror.life, namespace, start, end) is mirror.life:
            continue
        updated = partial(taken_over, life, namespace=namespace, start=start, end=end)
        failed = await _update(objects, life, updated, entropy, deadline_s)
        if failed is not None:
            return failed
    return None


async def _update(
    objects: CollectableObjects, life: ClusterLife,
    updated: Callable[[ClusterLife | None], ClusterLife | None], entropy: Entropy,
    deadline_s: float,
) -> Failed | None:  # fmt: skip
    """Replaces a cluster's mirror by what `updated` makes of it, by compare-and-swap; None once the
    mirror says so, or says it already."""
    for _ in range(_SWAPS_MAX):
        found = await read_mirror(objects, life.name, deadline_s)
        if isinstance(found, Failed):
            return found
        if is_behind(life, found.life):
            return Failed(Reason.ERROR, f"{life.name} is behind its mirror")
        wanted = updated(found.life)
        if wanted is None or wanted is found.life:
            return None
        swapped = await write_mirror(objects, found, wanted, entropy, deadline_s)
        match swapped:
            case Removal.DONE:
                return None
            case Failed():
                return swapped
            case _:
                continue
    return Failed(Reason.CONTENDED, f"the mirror of {life.name} changed {_SWAPS_MAX} times")


async def renew_behind(
    rows: CollectableRows, objects: CollectableObjects, clusters: Clusters, entropy: Entropy,
    deadline_s: float,
) -> Mapping[str, Renewed | Removal | Failed]:  # fmt: skip
    """Begins a new life of every cluster that is behind; what became of each, by name.

    Where its mirror knows of higher floors, the cluster loses its own and what lay below those.
    Every gateway sees the new incarnation, and trusts KVSP again only after a crawl; nothing is
    collected before one.
    A mirror that is not written anew after that is merely old.
    """
    outcomes: dict[str, Renewed | Removal | Failed] = {}
    for life, mirror in clusters.behind:
        assert mirror.life is not None
        past = past_of(life, mirror.life)
        outcome = await rows.renew(Renewal(life.name, life.named, past), deadline_s)
        outcomes[life.name] = outcome
        if isinstance(outcome, Renewed):
            _LOG.warning(
                "cluster_renewed", cluster=life.name, was=life.incarnation,
                past=mirror.life.incarnation, now=outcome.incarnation, rows=outcome.rows_removed,
            )  # fmt: skip
            anew = begun(mirror.life, outcome.incarnation)
            await write_mirror(objects, mirror, anew, entropy, deadline_s)
    return outcomes
