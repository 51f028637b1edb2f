"""Which cluster is behind its mirror, and what a mirror remembers."""

import itertools
import json

import pytest

from tandem.core.cluster_life import (
    ENDED_MAX,
    BadMirror,
    ClusterLife,
    begun,
    decode_mirror,
    encode_mirror,
    floors_by_namespace,
    is_behind,
    life_of,
    mirrored,
    next_incarnation,
    past_of,
    renewed_us,
    shown_lives,
    taken_over,
    upheld_floors,
)
from tandem.core.floors import RangeFloors
from tandem.core.version import NO_VERSION, Version

N, OTHER = "ab" * 16, "cd" * 16
LOW, HIGH = Version.at(1), Version.at(2)


def life(
    incarnation: str = "3-a", commits: int = 10, floor: Version = NO_VERSION, namespace: str = N
) -> ClusterLife:
    floors = {namespace: RangeFloors([(b"", floor)])} if floor > NO_VERSION else {}
    return ClusterLife("cluster-0", incarnation, commits, floors)


@pytest.mark.parametrize(
    ("incarnation", "number"), [("0-ab", 0), ("7-ab", 7), ("ab12", 0), ("", 0), ("x-1", 0)]
)
def test_lives_are_numbered(incarnation: str, number: int) -> None:
    assert life_of(incarnation) == number


def test_a_new_life_comes_after_all_that_is_known() -> None:
    assert life_of(next_incarnation("r")) == 0
    for before in itertools.product(["0-a", "ab", "5-b"], repeat=2):
        after = next_incarnation("r", 7, *before)
        assert renewed_us(shown_lives([life(), life(after)])) == 7
        assert all(life_of(after) > life_of(one) for one in before)
        assert after.endswith("-r")


@pytest.mark.parametrize(
    ("cluster", "mirror", "behind"),
    [
        (life(), None, False),
        (life(), life(), False),
        (life(commits=11), life(), False),
        (life(commits=9), life(), True),
        (life(floor=HIGH), life(floor=LOW), False),
        (life(floor=LOW), life(floor=HIGH), True),
        (life(), life(floor=LOW), True),
        (life(floor=HIGH, namespace=OTHER), life(floor=LOW), True),
        (life("4-b", 0), life(floor=HIGH), False),
        (life("3-b", 99, HIGH), life(floor=LOW), True),
        (life("2-b", 99, HIGH), life(floor=LOW), True),
        (life("0-new", 0), life("0-old"), True),
        (life("0-new", 0), life("old, unnumbered"), True),
    ],
)
def test_a_cluster_is_behind_what_its_mirror_knows(
    cluster: ClusterLife, mirror: ClusterLife | None, behind: bool
) -> None:
    assert is_behind(cluster, mirror) == behind


def test_after_a_renewal_no_cluster_is_behind() -> None:
    for cluster, mirror in itertools.product([life("0-x"), life("3-b"), life("9-c")], repeat=2):
        anew = life(next_incarnation("r", 7, cluster.incarnation, mirror.incarnation), 0)
        assert not is_behind(anew, mirror)


def test_a_mirror_takes_a_floor_and_keeps_the_others() -> None:
    first = mirrored(life(), None, N, b"b", b"d", LOW)
    second = mirrored(life(commits=20), first, OTHER, b"", b"", HIGH)
    third = mirrored(life(commits=30), second, N, b"c", b"", HIGH)
    assert third.commits == 30
    assert [third.floors_of(N).of(n) for n in (b"a", b"b", b"c", b"d", b"z")] == [
        NO_VERSION, LOW, HIGH, HIGH, HIGH,
    ]  # fmt: skip
    assert third.floors_of(OTHER).of(b"x") == HIGH
    assert mirrored(life(commits=30), third, N, b"", b"", LOW).floors_of(N).of(b"c") == HIGH


def test_a_mirror_of_another_life_lends_no_floors_and_remembers_them() -> None:
    old = mirrored(life(), None, N, b"", b"", HIGH)
    anew = mirrored(life("4-b", 1), old, OTHER, b"", b"", LOW)
    assert (anew.incarnation, anew.commits) == ("4-b", 1)
    assert not len(anew.floors_of(N))
    assert anew.ended == {3: old.floors}
    assert mirrored(life("4-b", 2), anew, N, b"", b"", LOW).ended == anew.ended


@pytest.mark.parametrize(
    ("copy", "forgotten"),
    [("0-wiped", HIGH), ("2-a", HIGH), ("3-a", HIGH), ("4-b", LOW), ("5-c", NO_VERSION)],
)
def test_a_copy_may_have_forgotten_what_every_life_since_its_own_has_deleted(
    copy: str, forgotten: Version
) -> None:
    first = begun(life("3-a", floor=HIGH), "4-b")
    second = begun(mirrored(life("4-b"), first, N, b"", b"", LOW), "5-c")
    assert not second.floors
    past = past_of(life(copy), second)
    assert past.floors_of(N).of(b"x") == forgotten
    assert past.incarnation == "5-c"


def test_the_floors_of_the_life_itself_count_for_every_copy() -> None:
    mirror = mirrored(life("4-b"), begun(life("3-a", floor=LOW), "4-b"), N, b"b", b"d", HIGH)
    for copy, low in (("3-a", LOW), ("4-b", NO_VERSION)):
        past = past_of(life(copy), mirror).floors_of(N)
        assert [past.of(n) for n in (b"a", b"b", b"d")] == [low, HIGH, low]


def test_a_life_that_deleted_nothing_leaves_nothing_behind() -> None:
    assert begun(life("0-a"), "1-b").ended == {}


def test_of_the_oldest_lives_the_mirror_knows_more_than_need_be() -> None:
    """Never less: what was deleted in them is dropped from copies of later ones too."""
    mirror = life("0-a")
    for number in range(ENDED_MAX + 2):
        at = Version.at(100 - number)
        mirror = mirrored(life(f"{number}-a"), mirror, N, b"", b"", at)
    mirror = begun(mirror, "9-z")
    assert sorted(mirror.ended) == [2, 3, 4, 5]
    for copy, forgotten in ((0, 100), (1, 100), (2, 100), (3, 97), (5, 95)):
        past = past_of(life(f"{copy}-a"), mirror)
        assert past.floors_of(N).of(b"x") == Version.at(forgotten), copy


def test_a_mirror_says_only_what_was_said_to_it() -> None:
    cluster = life(floor=HIGH)
    assert not len(mirrored(cluster, None, OTHER, b"", b"", LOW).floors_of(N))


def test_a_mirror_survives_its_bytes() -> None:
    start = "é\0".encode()
    floors = {N: RangeFloors([(b"", LOW), (start, HIGH)]), OTHER: RangeFloors([(b"q", LOW)])}
    ended = {0: {N: RangeFloors([(b"", LOW)])}, 1: floors}
    whole = ClusterLife("cluster-7", "2-ab", 123_456_789_012, floors, ended=ended)
    assert decode_mirror(encode_mirror(whole)) == whole


def test_a_mirror_from_before_it_knew_of_ended_lives_is_one() -> None:
    assert decode_mirror(json.dumps(WHOLE).encode()).ended == {}


WHOLE = {"format": 1, "cluster": "c", "incarnation": "i", "commits": 1, "floors": {}}


@pytest.mark.parametrize(
    "content",
    [
        [], {}, None, {"format": 2},
        {**WHOLE, "commits": "many"},
        {**WHOLE, "floors": []},
        {**WHOLE, "floors": {"n": [["00"]]}},
        {**WHOLE, "floors": {"n": [["00", "ab"]]}},
        {**WHOLE, "floors": {"n": [["x", LOW.hex()]]}},
        {**WHOLE, "ended": []},
        {**WHOLE, "ended": {"first": {}}},
        {**WHOLE, "ended": {"0": {"n": [["00"]]}}},
    ],
)  # fmt: skip
def test_a_content_that_is_no_mirror_is_refused(content: object) -> None:
    assert decode_mirror(json.dumps(WHOLE).encode()).name == "c"
    with pytest.raises(BadMirror):
        decode_mirror(json.dumps(content).encode())


@pytest.mark.parametrize("value", [b"", b"\xff", b"{"])
def test_bytes_that_are_no_mirror_are_refused(value: bytes) -> None:
    with pytest.raises(BadMirror):
        decode_mirror(value)


def test_floors_are_gathered_by_namespace() -> None:
    rows = [(N, b"", LOW), (N, b"m", HIGH), (OTHER, b"", HIGH)]
    assert floors_by_namespace(rows) == {
        N: RangeFloors([(b"", LOW), (b"m", HIGH)]),
        OTHER: RangeFloors([(b"", HIGH)]),
    }


def test_a_request_names_the_opening_too() -> None:
    one, other = (ClusterLife("c", "0-a", 1, opening=opening) for opening in ("x", "y"))
    assert one.named != other.named
    assert one.named.startswith("0-a")


@pytest.mark.parametrize(
    ("shown", "since_us"),
    [
        ("", 0),
        ("memory=0-first", 0),
        ("a=0-x,b=2-55-y,c=1-77-z", 77),
        ("a=unnumbered,b=x-5-y,c=1-x-y", 0),
    ],
)
def test_the_youngest_later_life_counts(shown: str, since_us: int) -> None:
    assert renewed_us(shown) == since_us


def test_a_new_life_upholds_the_floors_that_its_past_had_no_higher() -> None:
    cluster = life(floor=HIGH)
    assert upheld_floors(cluster.floors, life(floor=LOW)) == cluster.floors
    assert upheld_floors(cluster.floors, cluster) == cluster.floors
    assert upheld_floors(cluster.floors, life(floor=HIGH, namespace=OTHER)) == cluster.floors
    assert upheld_floors(life(floor=LOW).floors, cluster) == {}
    assert upheld_floors({}, cluster) == {}


def test_a_mirror_takes_over_the_floors_of_a_range_and_of_no_other() -> None:
    ranges = RangeFloors([(b"a", LOW), (b"f", HIGH), (b"m", NO_VERSION), (b"x", LOW)])
    cluster = ClusterLife("cluster-0", "3-a", 12, {N: ranges, OTHER: ranges})
    taken = taken_over(cluster, life(), N, b"c", b"y")
    assert taken is not None
    assert (taken.incarnation, taken.commits, set(taken.floors)) == ("3-a", 12, {N})
    held = taken.floors_of(N)
    expected = {b"a": NO_VERSION, b"c": LOW, b"g": HIGH, b"m": NO_VERSION, b"x": LOW}
    assert {name: held.of(name) for name in expected} == expected
    assert held.of(b"y") == NO_VERSION
    assert taken_over(cluster, taken, N, b"c", b"y") is taken
    whole = taken_over(cluster, taken, N, b"", b"")
    assert whole is not None
    assert whole.floors_of(N).reaches(ranges)


def test_a_mirror_that_lacks_nothing_or_of_another_life_says_what_it_should() -> None:
    cluster = life("4-b", floor=HIGH)
    for mirror in (None, life("4-b"), life("3-a", floor=HIGH), life("4-b", floor=LOW)):
        taken = taken_over(cluster, mirror, N, b"", b"")
        assert taken is not None
        assert (taken.incarnation, taken.floors_of(N).of(b"x")) == ("4-b", HIGH)
    higher = life("4-b", floor=Version.at(3))
    assert taken_over(cluster, higher, N, b"", b"") is higher
    for mirror in (None, life("3-a")):
        assert taken_over(cluster, mirror, OTHER, b"", b"") is mirror
