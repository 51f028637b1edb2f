"""Which life a cluster of KVSP is in, and whether it is older than what is known of it.

A cluster whose file was lost, or brought back from an old copy, has forgotten floors and
deletions. The other home keeps a *mirror* of each cluster: incarnation, commit number and floors as
they were when something was last collected. A cluster that is behind its mirror must begin a new
life before anything is collected or swept again.

An incarnation is `LIFE-RANDOM`, or `LIFE-BEGUN-RANDOM` for lives after the first. Lives count up,
so an old mirror is told from a new cluster; a gateway that meets a later life sees since when it
may lack records.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Final, TypeAlias

from tandem.core.floors import RangeFloors
from tandem.core.version import NO_VERSION, Version

_FORMAT: Final = 1
_NO_FLOORS: Final = RangeFloors()
ENDED_MAX: Final = 4
"""How many lives that ended a mirror keeps apart; what it knows of older ones is said of the oldest
of these as well."""
Floors: TypeAlias = Mapping[str, RangeFloors]
"""By namespace."""


@dataclass(frozen=True, slots=True)
class ClusterLife:
    """One cluster as it shows itself, or as its mirror has it."""

    name: str
    incarnation: str
    commits: int
    """The number of its last transaction; it never goes back in one life."""
    floors: Floors = field(default_factory=dict)
    failure: str = ""
    """Why it does not serve; empty when it does."""
    opening: str = ""
    """Another one whenever KVSP has started; a mirror has none."""
    ended: Mapping[int, Floors] = field(default_factory=dict)
    """The floors with which earlier lives ended, by their numbers; only a mirror knows them."""

    @property
    def named(self) -> str:
        """What a request must name. A file that was replaced by an old copy of itself keeps its
        incarnation; but that takes a start of KVSP, and each start has an opening of its own."""
        return f"{self.incarnation}/{self.opening}"

    def floors_of(self, namespace: str) -> RangeFloors:
        """The floors of one namespace."""
        return self.floors.get(namespace, _NO_FLOORS)


def life_of(incarnation: str) -> int:
    """Which life it is; the first is 0."""
    number, dash, _ = incarnation.partition("-")
    return int(number) if dash and number.isdecimal() else 0


def next_incarnation(random: str, now_us: int = 0, *before: str) -> str:
    """An incarnation that comes after all of `before` and begins now; the first without any."""
    if not before:
        return f"0-{random}"
    return f"{max(map(life_of, before)) + 1}-{now_us}-{random}"


def shown_lives(lives: Iterable[ClusterLife]) -> str:
    """The incarnations of all clusters as one text, by which gateways notice a change."""
    return ",".join(f"{life.name}={life.incarnation}" for life in lives)


def renewed_us(shown: str) -> int:
    """When the youngest of the clusters that are shown so began its life, in microseconds since the
    epoch; 0 when all are in their first."""
    begun = (one.partition("=")[2].split("-") for one in shown.split(","))
    return max((int(parts[1]) for parts in begun if _is_later(parts)), default=0)


def _is_later(parts: list[str]) -> bool:
    return len(parts) == 3 and parts[0].isdecimal() and parts[1].isdecimal()


def is_behind(cluster: ClusterLife, mirror: ClusterLife | None) -> bool:
    """Whether the cluster has forgotten something that its mirror knows.

    A mirror of an earlier life is merely old: it was not written anew after a renewal yet, or the
    home that it lies in was itself restored. It says nothing of this life.
    """
    if mirror is None:
        return False
    if cluster.incarnation != mirror.incarnation:
        return life_of(cluster.incarnation) <= life_of(mirror.incarnation)
    if cluster.commits < mirror.commits:
        return True
    return not all(
        cluster.floors_of(namespace).reaches(floors) for namespace, floors in mirror.floors.items()
    )


def mirrored(
    cluster: ClusterLife, mirror: ClusterLife | None, namespace: str, start: bytes, end: bytes,
    floor: Version,
) -> ClusterLife:  # fmt: skip
    """What the mirror must say once `floor` is the floor of this range.

    The cluster's other floors are not copied: after the mirror's home was emptied, a floor counts
    only when a crawl has found its range equal again.
    """
    before = ClusterLife(cluster.name, cluster.incarnation, 0) if mirror is None else mirror
    if before.incarnation != cluster.incarnation:
        before = begun(before, cluster.incarnation)
    raised = before.floors_of(namespace).raised(start, end, floor)
    return replace(before, commits=cluster.commits, floors={**before.floors, namespace: raised})


def taken_over(
    cluster: ClusterLife, mirror: ClusterLife | None, namespace: str, start: bytes, end: bytes
) -> ClusterLife | None:
    """What the mirror must say to know every floor that the cluster has in this range, once both
    homes were found equal there; the mirror itself when there is nothing that it lacks."""
    taken = mirror
    for at, until, floor in cluster.floors_of(namespace).within(start, end):
        if floor > NO_VERSION:
            taken = mirrored(cluster, taken, namespace, at, until, floor)
    if taken is None or mirror is None or mirror.incarnation != cluster.incarnation:
        return taken
    known = mirror.floors_of(namespace)
    return mirror if known.reaches(taken.floors_of(namespace)) else taken


def begun(mirror: ClusterLife, incarnation: str) -> ClusterLife:
    """What the mirror says of a life that has just begun: it has no floors yet, but a copy of an
    earlier one may still be brought back, and lacks what was deleted until that one ended."""
    lives = dict(mirror.ended)
    number = life_of(mirror.incarnation)
    if mirror.floors:
        lives[number] = _joined(lives.get(number, {}), mirror.floors)
    while len(lives) > ENDED_MAX:
        oldest, older = sorted(lives)[:2]
        lives[older] = _joined(lives[older], lives.pop(oldest))
    return ClusterLife(mirror.name, incarnation, 0, ended=lives)


def past_of(cluster: ClusterLife, mirror: ClusterLife) -> ClusterLife:
    """The mirror of a cluster that is behind it, with the floors up to which the cluster may have
    forgotten deletions: those of the mirror's life, and of all that ended since the cluster's."""
    floors, since = mirror.floors, life_of(cluster.incarnation)
    for number, ended in mirror.ended.items():
        if number >= since:
            floors = _joined(floors, ended)
    return replace(mirror, floors=floors)


def _joined(one: Floors, other: Floors) -> Floors:
    return {
        namespace: one.get(namespace, _NO_FLOORS).joined(other.get(namespace, _NO_FLOORS))
        for namespace in sorted({*one, *other})
    }


def upheld_floors(floors: Floors, past: ClusterLife) -> Floors:
    """The floors that a cluster takes into its new life: those that its past had no higher."""
    upheld = {
        namespace: ranges.upheld(past.floors_of(namespace)) for namespace, ranges in floors.items()
    }
    return {namespace: ranges for namespace, ranges in upheld.items() if len(ranges)}


def encode_mirror(life: ClusterLife) -> bytes:
    """The value of the mirror's record."""
    content = {
        "format": _FORMAT, "cluster": life.name, "incarnation": life.incarnation,
        "commits": life.commits, "floors": _document(life.floors),
        "ended": {str(number): _document(floors) for number, floors in life.ended.items()},
    }  # fmt: skip
    return json.dumps(content, sort_keys=True).encode()


def _document(floors: Floors) -> dict[str, list[list[str]]]:
    return {
        namespace: [[start.hex(), version.hex()] for start, version in ranges]
        for namespace, ranges in floors.items()
    }


class BadMirror(ValueError):
    """Bytes that are not a mirror of a format that this program knows."""


_NO_MIRROR: Final = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,  # an infinite number of commits
    RecursionError,  # too deep for JSON
)


def decode_mirror(value: bytes) -> ClusterLife:
    """The mirror in the value of its record; BadMirror when it is none."""
    try:
        content = json.loads(value)
        if content["format"] != _FORMAT:
            raise BadMirror(f"format {content['format']} is not known here")
        ended = content.get("ended", {})  # mirrors were written without it before
        return ClusterLife(
            str(content["cluster"]), str(content["incarnation"]), int(content["commits"]),
            _floors_in(content["floors"]),
            ended={int(number): _floors_in(floors) for number, floors in ended.items()},
        )  # fmt: skip
    except _NO_MIRROR as error:
        raise BadMirror(f"not a mirror: {error}") from error


def _floors_in(document: Mapping[str, list[list[str]]]) -> Floors:
    return {
        str(namespace): RangeFloors(
            (bytes.fromhex(start), Version.parse(bytes.fromhex(version)))
            for start, version in ranges
        )
        for namespace, ranges in document.items()
    }


def floors_by_namespace(rows: list[tuple[str, bytes, Version]]) -> dict[str, RangeFloors]:
    """Floors that are given as (namespace, start, floor), in this order."""
    return {
        namespace: RangeFloors((start, floor) for _, start, floor in part)
        for namespace, part in groupby(rows, key=lambda row: row[0])
    }
