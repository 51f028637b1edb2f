"""The ring: even, stable when it grows, and the same on every machine for ever."""

import hashlib
from collections import Counter

import pytest

from tandem.core.key import Key
from tandem.core.ring import Ring

KEYS = [Key(f"{n % 7:032x}", f"key/{n}") for n in range(20_000)]
CLUSTERS = ["a", "b", "c", "d"]


def _owners(clusters: list[str]) -> list[str]:
    ring = Ring(clusters)
    return [clusters[ring.owner(key)] for key in KEYS]


def test_the_ring_never_changes() -> None:
    ring = Ring(CLUSTERS)
    owners = "".join(CLUSTERS[ring.owner(key)] for key in KEYS[:32])
    assert owners == "dbdcbddccaddacdaadaacacdaacadbda"
    assert ring.fingerprint == "6770815f1135dfa6b75f97880a1411cc"


def test_a_key_belongs_to_the_next_point_clockwise() -> None:
    clusters = ["e", "f", "g"]
    points = sorted((_point(f"{name}#{n}"), name) for name in clusters for n in range(128))
    ring = Ring(clusters)
    ats = {key: _point(f"{key.namespace}/{key.name}") for key in KEYS}
    beyond_the_last = [key for key in KEYS if ats[key] > points[-1][0]]
    assert beyond_the_last
    assert points[0][1] != points[-1][1], "or coming round would not show"
    for key in (*KEYS[:1_000], *beyond_the_last):
        _, owner = min((point for point in points if point[0] > ats[key]), default=points[0])
        assert clusters[ring.owner(key)] == owner, key


def _point(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def test_the_ring_does_not_depend_on_the_order_of_clusters() -> None:
    assert _owners(CLUSTERS) == _owners(CLUSTERS[::-1])
    assert Ring(CLUSTERS).fingerprint == Ring(CLUSTERS[::-1]).fingerprint


@pytest.mark.parametrize(
    "other", [["a", "b", "c"], ["a", "b", "c", "e"], ["a", "b", "c", "d", "e"], ["a", "b", "cd"]]
)
def test_another_ring_has_another_fingerprint(other: list[str]) -> None:
    assert Ring(other).fingerprint != Ring(CLUSTERS).fingerprint


def test_another_number_of_virtual_nodes_has_another_fingerprint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = Ring(CLUSTERS).fingerprint
    monkeypatch.setattr("tandem.core.ring.VIRTUAL_NODES", 129)
    assert Ring(CLUSTERS).fingerprint != before


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
def test_every_cluster_owns_about_its_share(count: int) -> None:
    owned = Counter(_owners([f"cluster-{n}" for n in range(count)]))
    share = len(KEYS) / count
    assert len(owned) == count
    assert all(0.7 * share < keys < 1.4 * share for keys in owned.values()), owned


def test_one_namespace_is_spread_over_all_clusters() -> None:
    ring = Ring(CLUSTERS)
    owned = Counter(ring.owner(Key("0" * 32, f"key/{n}")) for n in range(4_000))
    assert all(600 < keys < 1_400 for keys in owned.values()), owned


def test_the_same_name_in_other_namespaces_may_live_elsewhere() -> None:
    ring = Ring(CLUSTERS)
    assert len({ring.owner(Key(f"{n:032x}", "name")) for n in range(100)}) == len(CLUSTERS)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_a_new_cluster_takes_its_share_and_nothing_else_moves(count: int) -> None:
    clusters = [f"cluster-{n}" for n in range(count + 1)]
    moved = [
        new
        for old, new in zip(_owners(clusters[:-1]), _owners(clusters), strict=True)
        if old != new
    ]
    assert set(moved) == {clusters[-1]}
    assert 0.7 < len(moved) * (count + 1) / len(KEYS) < 1.4


@pytest.mark.parametrize("clusters", [[], ["a", "a"]], ids=["none", "one twice"])
def test_a_ring_needs_clusters_with_names_of_their_own(clusters: list[str]) -> None:
    with pytest.raises(AssertionError):
        Ring(clusters)
