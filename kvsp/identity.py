"""Which cluster of which ring a file or a database holds, and when it is the wrong one."""

from dataclasses import dataclass

from tandem.core.ring import Ring


@dataclass(frozen=True, slots=True)
class Identity:
    """Which cluster of which ring a file or database holds."""

    cluster: str
    ring: str
    """The ring's fingerprint."""
    clusters: int


@dataclass(frozen=True, slots=True)
class Meta:
    """What a file or database says of itself."""

    identity: Identity
    incarnation: str
    commits: int
    """The number of the last transaction."""
    ring_complete: bool
    """Whether every one of the ring existed once; from then on a missing one is a loss."""


def identities(clusters: int) -> list[Identity]:
    """Every cluster of a ring of this size, in the order of the ring."""
    names = [f"cluster-{number}" for number in range(clusters)]
    ring = Ring(names).fingerprint
    return [Identity(name, ring, clusters) for name in names]


def ring_mistake(name: str, found: Identity, wanted: Identity, place: str) -> str | None:
    """Why what was found in `place` cannot be cluster `name` of the ring of `wanted`."""
    if found.ring != wanted.ring:
        return (
            f"{place} belongs to a ring of {found.clusters} clusters, the settings"
            f" say {wanted.clusters}; it is fixed at first start: let them say {found.clusters}"
        )
    if found.cluster != name:
        return f"{place} holds {found.cluster}: two were exchanged"
    return None
