"""What may be collected and swept: every condition alone and with every other."""

import itertools
from dataclasses import replace

import pytest

from tandem.core.collect import (
    Collection,
    CollectRule,
    CrawlSeen,
    DeadRecord,
    Homes,
    Remains,
    Withheld,
    collection,
    gravestone,
    may_sweep,
    namespace_may_go,
    remains,
)
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import IDENTITY_NAMESPACE, SYSTEM_NAMESPACE
from tandem.core.read_race import in_sync
from tandem.core.record import Kind, Stamp
from tandem.core.removal import Span
from tandem.core.repair import Zombie, repair_plan
from tandem.core.reply import Failed, Found, Glimpsed, Missing, Reason, stamp_of
from tandem.core.version import NO_VERSION, Version
from tests.core.examples import Said, Saying, sayings

RULE = CollectRule()
GRACE_US = 24 * 3600 * 1_000_000
UNSETTLED_US = 10_000_000 + 2 * 1_500_000 + 2_000_000
"""The window of acknowledgements, the skew of `Date` at both ends, and the time to settle."""
MINTED_US = 1_800_000_000_000_000
BEGAN_US = MINTED_US + UNSETTLED_US + 1
ENDED_US = MINTED_US + GRACE_US + 1
ABOVE_ALL = Version(b"\xff" * 16)
NAMED = {"cluster-0": "0-a/1", "cluster-1": "0-b/1"}
SEEN = CrawlSeen(
    Span("ab" * 16), BEGAN_US, ENDED_US, True, ABOVE_ALL, False, True, NAMED, dict(NAMED)
)  # fmt: skip


def tombstone(name: str = "key", at_us: int = MINTED_US) -> DeadRecord:
    record = seal_tombstone(Version.at(at_us))
    return DeadRecord(name, record.version, record.digest)


def expired(at_us: int, expires_at_s: int, name: str = "key") -> DeadRecord:
    record = seal(Version.at(at_us), b"v", expires_at_s=expires_at_s)
    return DeadRecord(name, record.version, record.digest, expires_at_s)


def collected(seen: CrawlSeen, *dead: DeadRecord, homes: Homes = Homes.BOTH) -> Collection:
    plan = collection(seen, dead, RULE, homes)
    assert isinstance(plan, Collection), plan
    return plan


def test_a_tombstone_goes_when_everything_holds() -> None:
    plan = collected(SEEN, tombstone())
    assert plan == Collection(SEEN.span, (tombstone(),), NAMED)
    assert plan.floor == tombstone().version


ATTRIBUTES = {
    "whole": (False, Withheld.NOT_WHOLE),
    "healthy": (False, Withheld.UNHEALTHY),
    "incarnations_ended": ({"cluster-0": "0-a/1"}, Withheld.OTHER_INCARNATION),
    "stepped": (True, Withheld.STEPPED),
    "dirty": (True, Withheld.DIRTY),
}


@pytest.mark.parametrize(
    "broken",
    [some for n in range(1, 6) for some in itertools.combinations(ATTRIBUTES, n)],
    ids=" and ".join,
)
def test_whatever_is_wrong_with_a_crawl_withholds_everything(broken: tuple[str, ...]) -> None:
    seen = replace(SEEN, **{name: ATTRIBUTES[name][0] for name in broken})  # type: ignore[arg-type]
    reasons = [ATTRIBUTES[name][1] for name in broken]
    assert collection(seen, [tombstone()], RULE) in reasons
    swept_by = [reason for reason in reasons if reason is not Withheld.DIRTY]
    sweeping = may_sweep(seen)
    assert sweeping in swept_by if swept_by else sweeping is None


@pytest.mark.parametrize(
    "ended",
    [{}, {"cluster-0": "0-a/1"}, {**NAMED, "cluster-1": "0-b/2"}, {**NAMED, "cluster-1": "1-b/1"}],
)
def test_any_change_of_a_cluster_voids_the_crawl(ended: dict[str, str]) -> None:
    seen = replace(SEEN, incarnations_ended=ended)
    assert collection(seen, [tombstone()], RULE) is Withheld.OTHER_INCARNATION
    assert may_sweep(seen) is Withheld.OTHER_INCARNATION


def test_a_crawl_without_clusters_proves_nothing() -> None:
    seen = replace(SEEN, incarnations_begun={}, incarnations_ended={})
    assert collection(seen, [tombstone()], RULE) is Withheld.OTHER_INCARNATION


@pytest.mark.parametrize("namespace", [SYSTEM_NAMESPACE, IDENTITY_NAMESPACE])
def test_a_reserved_namespace_keeps_its_tombstones(namespace: str) -> None:
    seen = replace(SEEN, span=Span(namespace))
    assert collection(seen, [tombstone()], RULE) is Withheld.RESERVED
    assert may_sweep(seen) is Withheld.RESERVED


@pytest.mark.parametrize(
    ("began_us", "ended_us", "through", "goes"),
    [
        (began, ended, through, began > BEGAN_US - 1 and ended > ENDED_US - 1 and through >= 0)
        for began in (MINTED_US, BEGAN_US - 1, BEGAN_US, ENDED_US)
        for ended in (ENDED_US - 1, ENDED_US, 2 * ENDED_US)
        for through in (-1, 0, 1)
    ],
)
def test_each_bound_holds_to_the_microsecond(
    began_us: int, ended_us: int, through: int, goes: bool
) -> None:
    number = int.from_bytes(tombstone().version, "big") + through
    equal_through = Version(number.to_bytes(16, "big"))
    seen = replace(SEEN, began_us=began_us, ended_us=ended_us, equal_through=equal_through)
    assert collected(seen, tombstone()).dead == ((tombstone(),) if goes else ())


def test_a_tombstone_written_during_a_long_crawl_stays() -> None:
    seen = replace(SEEN, began_us=MINTED_US, ended_us=MINTED_US + 10 * GRACE_US)
    assert collected(seen, tombstone()).dead == ()


def test_nothing_that_may_go_raises_no_floor() -> None:
    plan = collected(SEEN, tombstone(at_us=ENDED_US))
    assert (plan.dead, plan.floor) == ((), NO_VERSION)


def test_the_floor_rises_to_the_newest_that_goes_and_not_beyond() -> None:
    early, late, young = (tombstone(n, MINTED_US + d) for n, d in (("a", -5), ("b", 0), ("c", 1)))
    plan = collected(SEEN, early, young, late)
    assert plan.dead == (early, late)
    assert plan.floor == late.version


def test_what_is_unequal_keeps_only_what_is_newer() -> None:
    early, late = tombstone("a", MINTED_US - 5), tombstone("b", MINTED_US)
    seen = replace(SEEN, equal_through=early.version)
    assert collected(seen, early, late).dead == (early,)


@pytest.mark.parametrize(
    ("at_us", "expires_at_us", "goes"),
    [
        (MINTED_US - 10**9, MINTED_US, True),
        (MINTED_US - 10**9, MINTED_US + 1_000_000, False),
        (MINTED_US, MINTED_US - 10**12, True),
        (MINTED_US + 1, MINTED_US - 10**12, False),
    ],
)
def test_an_expired_record_is_as_old_as_its_expiry_or_its_version(
    at_us: int, expires_at_us: int, goes: bool
) -> None:
    one = expired(at_us, expires_at_us // 1_000_000)
    assert collected(SEEN, one).dead == ((one,) if goes else ())


def test_no_value_has_the_version_of_the_floor() -> None:
    one = expired(MINTED_US - 10**9, MINTED_US // 10**6 - 1)
    plan = collected(SEEN, one)
    assert plan.dead == (one,)
    assert one.version < plan.floor
    assert plan.floor.time_us == one.version.time_us


def test_only_names_of_the_range_go() -> None:
    seen = replace(SEEN, span=Span("ab" * 16, "b", "d"))
    plan = collected(seen, *(tombstone(name) for name in ("a", "az", "b", "c", "cz", "d", "e")))
    assert [one.name for one in plan.dead] == ["b", "c", "cz"]


@pytest.mark.parametrize(
    ("span", "inside"),
    [
        (Span("n"), ["a", "z", "\U0010ffff"]),
        (Span("n", "m"), ["z", "\U0010ffff"]),
        (Span("n", "", "m"), ["a"]),
        (Span("n", "z", "zz"), ["z"]),
    ],
)
def test_a_span_holds_its_start_and_not_its_end(span: Span, inside: list[str]) -> None:
    assert [name for name in ("a", "z", "\U0010ffff") if span.holds(name)] == inside
    assert not span.end or not span.holds(span.end)
    assert (span.raw_start, span.raw_end) == (span.start.encode(), span.end.encode())


def test_in_kvsp_alone_equality_is_not_asked_for() -> None:
    seen = replace(SEEN, equal_through=NO_VERSION)
    assert collected(seen, tombstone()).dead == ()
    assert collected(seen, tombstone(), homes=Homes.KVSP).dead == (tombstone(),)
    early = replace(seen, began_us=MINTED_US)
    assert collected(early, tombstone(), homes=Homes.KVSP).dead == ()
    stepped = replace(seen, stepped=True)
    assert collection(stepped, [tombstone()], RULE, Homes.KVSP) is Withheld.STEPPED


def test_in_s3_alone_nothing_is_collected() -> None:
    assert collection(SEEN, [tombstone()], RULE, Homes.S3) is Withheld.S3_ALONE


@pytest.mark.parametrize("grace_s", [0, 3600, 7200])
def test_a_grace_that_a_request_could_outlive_is_a_mistake(grace_s: int) -> None:
    with pytest.raises(AssertionError, match="outlive"):
        CollectRule(tombstone_grace_s=grace_s)


PAIRS = [(kvsp, s3) for kvsp in sayings(floors=True) for s3 in sayings(floors=False)]


@pytest.mark.parametrize(("kvsp", "s3"), PAIRS, ids=lambda saying: str(saying))
def test_only_a_miss_with_a_floor_in_sql_condemns_an_object(kvsp: Saying, s3: Saying) -> None:
    one, other = kvsp.reply(), s3.reply()
    found = remains(one, other)
    shown = s3.said not in {Said.MISSING, Said.FAILED, Said.CORRUPT}
    below = s3.number <= kvsp.number
    grave = s3.said in {Said.TOMBSTONE, Said.GLIMPSED_TOMBSTONE}
    if kvsp.said is Said.MISSING and shown and below:
        assert found is (Remains.RETIRED if grave else Remains.ZOMBIE)
    else:
        assert found is None
    if not isinstance(other, Glimpsed | Failed) and not isinstance(one, Failed | Glimpsed):
        zombie = isinstance(repair_plan(one, other), Zombie)
        assert zombie == (found is Remains.ZOMBIE), "heal must leave to the sweep what it takes"
        if found is Remains.RETIRED:
            assert in_sync(one, other)


def test_a_gravestone_is_retired_at_once_and_shares_no_version() -> None:
    floor = Version.at(5)
    for at in (1, 4, 5):
        zombie = seal(Version.at(at), b"v")
        grave = gravestone(Stamp(zombie.version, zombie.digest), floor)
        assert grave.kind is Kind.TOMBSTONE
        assert grave.version > zombie.version
        assert (grave.version == floor) == (at < 5)


def test_a_stamp_is_what_a_reply_has_shown() -> None:
    record = seal(Version.at(5), b"v")
    stamp = Stamp(record.version, record.digest)
    assert stamp_of(Found(record, 1)) == stamp
    assert stamp_of(Glimpsed(record.version, record.digest, 1)) == stamp
    assert stamp_of(Missing(1, Version.at(9))) is None
    assert stamp_of(Failed(Reason.CORRUPT)) is None


GRAVE = Found(seal_tombstone(Version.at(MINTED_US)), 1)


@pytest.mark.parametrize(
    ("kvsp", "s3", "now_us", "goes"),
    [
        (GRAVE, GRAVE, ENDED_US, True),
        (GRAVE, GRAVE, ENDED_US - 1, False),
        (GRAVE, Missing(1), ENDED_US, False),
        (Missing(1), GRAVE, ENDED_US, False),
        (Failed(Reason.TIMEOUT), GRAVE, ENDED_US, False),
        (GRAVE, Found(seal(Version.at(1), b"v"), 1), ENDED_US, False),
        (*[Found(seal(Version.at(1), b"v"), 1)] * 2, ENDED_US, False),
        (GRAVE, Found(seal_tombstone(Version.at(1)), 1), ENDED_US, False),
    ],
)
def test_a_namespace_ends_when_both_homes_have_long_known_it_deleted(
    kvsp: Found | Missing | Failed, s3: Found | Missing | Failed, now_us: int, goes: bool
) -> None:
    assert namespace_may_go(kvsp, s3, now_us, RULE) == goes
