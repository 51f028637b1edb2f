"""Classes of drift: every pair of replies, and how tallies add up."""

from dataclasses import replace
from itertools import product

import pytest

from tandem.core.drift import HEALABLE, REAL, Drift, Sighting, sighting
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.reply import Failed, Found, Glimpsed, Missing, ReadReply, Reason, Side
from tandem.core.tally import UNHEALED_MAX, Tally
from tandem.core.version import Version

NOW_US = 2_000_000_000_000
SETTLE_US = 2_000_000
OLD, NEW, GONE = Version.at(1_000), Version.at(2_000), Version.at(3_000)
RECORDS = {
    "old": seal(OLD, b"old"), "new": seal(NEW, b"new"), "other": seal(NEW, b"other"),
    "gone": seal_tombstone(GONE),
}  # fmt: skip
REPLIES: dict[str, ReadReply] = {
    **{name: Found(record, NOW_US) for name, record in RECORDS.items()},
    "nothing": Missing(NOW_US),
    "floor": Missing(NOW_US, GONE),
    "corrupt": Failed(Reason.CORRUPT, home_time_us=NOW_US),
    "foreign": Failed(Reason.FOREIGN, home_time_us=NOW_US),
    "down": Failed(Reason.TIMEOUT),
    "glimpsed": Glimpsed(NEW, b"digest", NOW_US),
}


def seen(kvsp: str, s3: str, began_us: int = NOW_US) -> Drift | None:
    found = sighting(REPLIES[kvsp], REPLIES[s3], settle_us=SETTLE_US, began_us=began_us)
    return None if found is None else found.drift


def expected(kvsp: str, s3: str) -> Drift | None:
    """The table of the module, written once more in other words."""
    pair = {kvsp, s3}
    if "foreign" in pair:
        return Drift.FOREIGN
    if pair & {"down", "glimpsed"}:
        return Drift.UNKNOWN
    if "corrupt" in pair:
        return Drift.OTHER_BYTES
    order = {"nothing": 0, "floor": 0, "old": 1, "new": 2, "other": 2, "gone": 3}
    if kvsp == s3 or not order[kvsp] + order[s3]:
        return None
    if pair == {"new", "other"}:
        return Drift.OTHER_BYTES
    if kvsp == "floor":
        return Drift.RETIRED if s3 == "gone" else Drift.ZOMBIE
    if order[kvsp] > order[s3]:
        return Drift.OLDER_IN_S3 if order[s3] else Drift.MISSING_IN_S3
    return Drift.OLDER_IN_KVSP if order[kvsp] else Drift.MISSING_IN_KVSP


@pytest.mark.parametrize(("kvsp", "s3"), [*product(REPLIES, REPLIES)])
def test_every_pair_of_replies_has_its_class(kvsp: str, s3: str) -> None:
    assert seen(kvsp, s3) is expected(kvsp, s3)


@pytest.mark.parametrize(
    ("age_us", "began_us", "drift"),
    [
        (SETTLE_US - 1, 0, Drift.IN_FLIGHT),
        (SETTLE_US, 0, Drift.MISSING_IN_S3),
        (SETTLE_US - 1, NOW_US, Drift.MISSING_IN_S3),
    ],
)
def test_a_write_is_in_flight_while_it_is_young_and_younger_than_the_crawl(
    age_us: int, began_us: int, drift: Drift
) -> None:
    record = seal(Version.at(NOW_US - age_us), b"value")
    replies = Found(record, NOW_US), Missing(NOW_US + 5)
    found = sighting(*replies, settle_us=SETTLE_US, began_us=began_us)
    size = len(record.envelope)
    assert found == Sighting(drift, size, NOW_US - age_us, NOW_US)


def test_other_bytes_and_zombies_are_never_in_flight() -> None:
    version = Version.at(NOW_US)
    one, other = (Found(seal(version, value), NOW_US) for value in (b"1", b"2"))
    for kvsp, s3, drift in (
        (one, other, Drift.OTHER_BYTES),
        (Missing(NOW_US, version), one, Drift.ZOMBIE),
    ):
        found = sighting(kvsp, s3, settle_us=SETTLE_US, began_us=0)
        assert found is not None
        assert found.drift is drift


@pytest.mark.parametrize(
    ("kvsp", "s3", "why"),
    [
        ("down", "new", "kvsp: timeout"),
        ("new", "down", "s3: timeout"),
        ("down", "foreign", "kvsp: timeout; s3: foreign"),
        ("new", "glimpsed", "not read to its end"),
        ("new", "nothing", ""),
        ("new", "corrupt", ""),
    ],
)
def test_what_proves_nothing_says_why(kvsp: str, s3: str, why: str) -> None:
    found = sighting(REPLIES[kvsp], REPLIES[s3], settle_us=SETTLE_US, began_us=NOW_US)
    assert found is not None
    assert found.why == why


def test_what_a_heal_mends_is_drift_and_what_proves_nothing_is_none() -> None:
    assert HEALABLE < REAL
    assert not REAL & {Drift.IN_FLIGHT, Drift.RETIRED, Drift.EXPIRED, Drift.FOREIGN, Drift.UNKNOWN}


def tally(seed: int) -> Tally:
    made = Tally(equal=seed, tombstones=seed + 1, oldest_tombstone_us=seed % 3, deep=seed)
    for number, drift in enumerate(Drift):
        if (number + seed) % 2:
            made.saw(Sighting(drift, number, 100 * seed + number))
    made.healed((Side.S3,), 50 - seed)
    made.not_healed(f"key {seed}")
    made.s3_requests, made.kvsp_requests, made.bytes_read = 1, 2, 3
    return made


def test_tallies_add_up_in_any_order_and_survive_as_documents() -> None:
    one, other = Tally(), Tally()
    for seed in (4, 7, 9):
        one.add(tally(seed))
    for seed in (9, 4, 7):
        other.add(Tally.of(tally(seed).document()))
    one.unhealed.sort()
    other.unhealed.sort()
    assert one == other
    assert Tally.of(one.document()) == one
    assert (one.equal, one.repaired, one.repair_max_us) == (20, 3, 46)
    assert one.oldest_tombstone_us == 1


def test_what_was_repaired_is_counted_by_home_and_by_how_long_it_lasted() -> None:
    made = Tally()
    made.healed((Side.S3,), 30)
    made.healed((Side.KVSP, Side.S3), 12)
    made.healed((), -5)  # as a clock that is behind shows it
    assert (made.repaired, made.repair_sum_us, made.repair_max_us) == (3, 42, 30)
    assert made.copied == {Side.KVSP: 1, Side.S3: 2}


def test_a_tally_keeps_a_bounded_number_of_names() -> None:
    made = Tally()
    for number in range(UNHEALED_MAX + 5):
        made.not_healed(str(number))
    assert len(made.unhealed) == UNHEALED_MAX
    made.add(made)
    assert made.unhealed_keys == 2 * (UNHEALED_MAX + 5)
    assert len(made.unhealed) == UNHEALED_MAX


def test_parts_per_million_leave_out_what_is_no_drift() -> None:
    made = Tally(equal=999_997)
    for drift in (Drift.MISSING_IN_S3, Drift.IN_FLIGHT, Drift.RETIRED, Drift.EXPIRED):
        made.saw(Sighting(drift))
    assert (made.records, made.drifted, made.drift_ppm) == (1_000_000, 1, 1.0)
    assert Tally().drift_ppm == 0.0


@pytest.mark.parametrize(
    "wrong",
    [[], "tally", None, {}, *({**Tally().document(), name: wrong} for name, wrong in (
        ("equal", "many"), ("unhealed", "none"), ("unhealed", None), ("copied", []),
        ("copied", {"tape": 1}), ("copied", {"s3": "1"}), ("drift", [1]), ("drift", {"zombie": 1}),
        ("drift", {"zombie": [1, 2]}), ("drift", {"rust": [1, 2, 3]}),
    ))],
)  # fmt: skip
def test_what_is_no_tally_is_refused(wrong: object) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Tally.of(wrong)


def test_a_count_that_an_earlier_release_did_not_have_is_none() -> None:
    document = tally(3).document()
    del document["deep"], document["repair_max_us"]
    assert Tally.of(document) == replace(tally(3), deep=0, repair_max_us=0)
