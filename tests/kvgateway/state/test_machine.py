"""What any memory of a machine must do: run against shared memory and against the simulator's."""

from collections.abc import Iterator

import pytest

from kvgateway.state.minting import OBSERVED_AHEAD_MAX_US
from kvgateway.state.ports import Intent, Known, Seen
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.version import NO_VERSION, Version
from tandem.errors import Overloaded
from tests.kvgateway.state.machines import (
    GATEWAY,
    NOW,
    AnyMachine,
    memory_machine,
    shared_machine,
)

NAMESPACE = "ab" * 16
KEY = Key(NAMESPACE, "colour")
SECOND = 1_000_000


@pytest.fixture(params=["shared", "memory"])
def machine(request: pytest.FixtureRequest) -> Iterator[AnyMachine]:
    if request.param == "memory":
        yield memory_machine()
    else:
        with shared_machine() as machine:
            yield machine


def at(time_us: int, value: bytes = b"red") -> Record:
    return seal(Version.at(time_us), value)


def known(machine: AnyMachine, key: Key = KEY, now_us: int = NOW) -> Known:
    (found,) = machine.lookup([key], now_us)
    assert machine.recall(key, now_us) == found
    assert found is not None
    return found


def test_nothing_is_known_at_first(machine: AnyMachine) -> None:
    assert machine.lookup([KEY, Key(NAMESPACE, "x")], NOW) == [None, None]
    assert not machine.spilled()
    assert machine.last_minted_us() == 0


def test_versions_follow_the_homes_time_and_each_other(machine: AnyMachine) -> None:
    first, second = machine.mint([(KEY, NO_VERSION), (KEY, NO_VERSION)], NOW)
    assert first.time_us == NOW
    assert second > first
    (third,) = machine.mint([(KEY, NO_VERSION)], NOW - SECOND)
    assert third > second
    (fourth,) = machine.mint([(KEY, NO_VERSION)], NOW + SECOND)
    assert fourth.time_us == NOW + SECOND == machine.last_minted_us()
    assert all(v[8:12] == GATEWAY for v in (first, second, third, fourth))
    assert len({v[12:] for v in (first, second, third, fourth)}) == 4


def test_a_version_is_above_what_is_known_and_what_is_given(machine: AnyMachine) -> None:
    ahead = Version.at(NOW + OBSERVED_AHEAD_MAX_US, b"\xff" * 8)
    machine.fill([Seen(KEY, seal(ahead, b""), NOW)], NOW)
    (version,) = machine.mint([(KEY, NO_VERSION)], NOW)
    assert version > ahead
    given = Version.at(NOW + OBSERVED_AHEAD_MAX_US - 1, b"\xff" * 8)
    (version,) = machine.mint([(Key(NAMESPACE, "other"), given)], NOW)
    assert version > given


def test_a_version_too_far_ahead_is_served_but_never_observed(machine: AnyMachine) -> None:
    far = Version.at(NOW + OBSERVED_AHEAD_MAX_US + 1)
    near = Version.at(NOW + 5)
    machine.fill([Seen(KEY, seal(far, b"far"), NOW)], NOW)
    assert known(machine).version == far
    (version,) = machine.mint([(KEY, near)], NOW)
    assert near < version < far
    (version,) = machine.mint([(Key(NAMESPACE, "other"), far)], NOW)
    assert version.time_us == near.time_us


@pytest.mark.parametrize("ahead_us", [-1, 0])
def test_no_version_reaches_the_bound_of_the_clock(machine: AnyMachine, ahead_us: int) -> None:
    bound_us = NOW * 2
    wanted = [(Key(NAMESPACE, str(n)), NO_VERSION) for n in range(3)]
    if ahead_us < 0:
        assert len(machine.mint(wanted, bound_us + ahead_us)) == 3
    else:
        with pytest.raises(Overloaded, match="clock bound"):
            machine.mint(wanted, bound_us)
        assert machine.last_minted_us() == 0
        machine.extend_clock(bound_us + 1)
        assert len(machine.mint(wanted, bound_us)) == 3


def test_the_bound_of_the_clock_only_rises(machine: AnyMachine) -> None:
    machine.extend_clock(1)
    assert machine.mint([(KEY, NO_VERSION)], NOW)


def test_a_write_is_pinned_until_both_homes_have_confirmed_it(machine: AnyMachine) -> None:
    record = at(NOW)
    machine.install([(KEY, record)], NOW)
    assert known(machine, now_us=NOW * 2) == Known(record.version, True, record, NOW)
    machine.unpin([(KEY, record.version)], NOW + SECOND)
    assert known(machine, now_us=NOW + SECOND - 1).pinned
    assert known(machine, now_us=NOW + SECOND) == Known(record.version, False, record, NOW)


def test_an_older_confirmation_does_not_end_a_newer_pin(machine: AnyMachine) -> None:
    old, new = at(NOW), at(NOW + 1)
    machine.install([(KEY, old)], NOW)
    machine.install([(KEY, new)], NOW)
    machine.unpin([(KEY, old.version)], NOW)
    assert known(machine, now_us=NOW * 2).pinned
    machine.unpin([(KEY, new.version)], NOW)
    assert not known(machine).pinned


def test_a_write_below_another_gateways_version_pins_until_its_own_confirmation(
    machine: AnyMachine,
) -> None:
    mine, theirs = at(NOW), at(NOW + 1, b"theirs")
    machine.fill([Seen(KEY, theirs, NOW)], NOW)
    machine.install([(KEY, mine)], NOW)
    assert known(machine) == Known(theirs.version, True, theirs, NOW)
    machine.unpin([(KEY, mine.version)], NOW)
    assert not known(machine).pinned


def test_the_newest_write_below_another_gateways_version_is_the_one_that_is_waited_for(
    machine: AnyMachine,
) -> None:
    older, newer, theirs = at(NOW), at(NOW + 1), at(NOW + 2)
    machine.fill([Seen(KEY, theirs, NOW)], NOW)
    machine.install([(KEY, newer)], NOW)
    machine.install([(KEY, older)], NOW)
    machine.unpin([(KEY, older.version)], NOW)
    assert known(machine).pinned
    machine.unpin([(KEY, newer.version)], NOW)
    assert not known(machine).pinned


def test_only_a_write_of_the_version_that_is_known_makes_it_seen_anew(machine: AnyMachine) -> None:
    """What a cache may serve must not get younger by a write that lost."""
    mine, theirs = at(NOW), at(NOW + 1, b"theirs")
    machine.fill([Seen(KEY, theirs, NOW)], NOW)
    machine.install([(KEY, mine)], NOW + SECOND)
    assert known(machine).seen_at_us == NOW
    machine.install([(KEY, theirs)], NOW + SECOND)
    assert known(machine).seen_at_us == NOW + SECOND


def test_an_older_write_that_waits_outlives_a_newer_pin_that_ends(machine: AnyMachine) -> None:
    new, old = at(NOW + 1), at(NOW)
    machine.install([(KEY, new)], NOW)
    machine.unpin([(KEY, new.version)], NOW + 1)
    machine.install([(KEY, old)], NOW)
    assert known(machine, now_us=NOW * 2) == Known(new.version, True, new, NOW)
    machine.unpin([(KEY, old.version)], NOW + 2)
    assert not known(machine, now_us=NOW + 2).pinned


@pytest.mark.parametrize("again_us", [5, 20])
def test_unpinning_again_changes_nothing(machine: AnyMachine, again_us: int) -> None:
    """Who reads what is in no home has it repaired, which unpins it, again and again."""
    record = at(NOW)
    machine.install([(KEY, record)], NOW)
    machine.unpin([(KEY, record.version)], NOW + 10)
    machine.unpin([(KEY, record.version)], NOW + again_us)
    assert known(machine, now_us=NOW + 9).pinned
    assert not known(machine, now_us=NOW + 10).pinned
    machine.unpin([(Key(NAMESPACE, "nobody"), record.version)], NOW)
    assert machine.lookup([Key(NAMESPACE, "nobody")], NOW) == [None]


def test_an_unpinned_key_is_not_pinned_by_a_late_confirmation(machine: AnyMachine) -> None:
    record = at(NOW)
    machine.fill([Seen(KEY, record, NOW)], NOW)
    machine.unpin([(KEY, record.version)], NOW + SECOND)
    assert not known(machine).pinned


def fill(machine: AnyMachine, seen: Seen, now_us: int) -> Known | None:
    (known,) = machine.fill([seen], now_us)
    return known


def test_an_entry_never_goes_back(machine: AnyMachine) -> None:
    new, old = at(NOW + 5, b"new"), at(NOW, b"old")
    machine.install([(KEY, new)], NOW)
    machine.install([(KEY, old)], NOW)
    assert known(machine).record == new
    assert fill(machine, Seen(KEY, old, NOW), NOW) == known(machine)
    assert fill(machine, Seen(KEY, None, NOW), NOW) == known(machine)
    machine.pin([Intent(KEY, old.version)])
    assert known(machine).record == new


def test_intents_are_wanted_versions_without_a_payload(machine: AnyMachine) -> None:
    record = at(NOW)
    machine.pin([Intent(KEY, record.version)])
    assert known(machine) == Known(record.version, True, None, NOW)
    assert fill(machine, Seen(KEY, record, NOW + 1), NOW + 1) == Known(
        record.version, True, record, NOW + 1
    )


def test_an_equal_version_may_gain_a_payload_and_never_loses_it(machine: AnyMachine) -> None:
    record = at(NOW)
    machine.pin([Intent(KEY, record.version)])
    machine.install([(KEY, record)], NOW)
    machine.pin([Intent(KEY, record.version)])
    assert known(machine).record == record


def test_a_newer_read_takes_the_place_and_keeps_the_pin(machine: AnyMachine) -> None:
    mine, theirs = at(NOW), at(NOW + 1, b"theirs")
    machine.install([(KEY, mine)], NOW)
    assert fill(machine, Seen(KEY, theirs, NOW + 2), NOW + 3) == Known(
        theirs.version, True, theirs, NOW + 2
    )


def test_bodies_that_share_a_version_get_one_winner(machine: AnyMachine) -> None:
    a, b = at(NOW, b"a"), at(NOW, b"b")
    winner = max(a, b, key=lambda record: record.digest)
    for first, second in ((a, b), (b, a)):
        key = Key(NAMESPACE, first.digest.hex())
        machine.fill([Seen(key, first, NOW)], NOW)
        machine.fill([Seen(key, second, NOW)], NOW)
        assert known(machine, key).record == winner


def test_a_confirmed_miss_is_remembered(machine: AnyMachine) -> None:
    miss = Known(NO_VERSION, False, None, NOW)
    assert fill(machine, Seen(KEY, None, NOW), NOW + 7) == miss == known(machine)
    assert fill(machine, Seen(KEY, None, NOW + 5), NOW + 7) == Known(
        NO_VERSION, False, None, NOW + 5
    )
    assert fill(machine, Seen(KEY, None, NOW), NOW + 7) == Known(NO_VERSION, False, None, NOW + 5)
    record = at(NOW)
    machine.install([(KEY, record)], NOW)
    assert known(machine).record == record


def test_a_miss_is_void_once_a_version_is_known(machine: AnyMachine) -> None:
    record = at(NOW)
    machine.install([(KEY, record)], NOW)
    machine.unpin([(KEY, record.version)], NOW)
    assert fill(machine, Seen(KEY, None, NOW - 1), NOW + 1) == Known(
        record.version, False, record, NOW
    )


def test_a_large_record_is_remembered_by_version_only(machine: AnyMachine) -> None:
    large = at(NOW, bytes(70_000))
    machine.install([(KEY, large)], NOW)
    assert known(machine) == Known(large.version, True, None, NOW)
    larger = at(NOW + 1, bytes(70_000))
    assert fill(machine, Seen(KEY, larger, NOW), NOW) == Known(larger.version, True, None, NOW)


def test_records_come_back_whole(machine: AnyMachine) -> None:
    record = seal(Version.at(NOW), b"red", metadata=b'{"a":1}', expires_at_s=7)
    machine.fill([Seen(KEY, record, NOW)], NOW)
    for _ in range(2):  # what was decoded is kept, and must be the same
        assert known(machine).record == record


LONG = "n" * 480


@pytest.mark.parametrize(
    "name", ["a", "ü" * 256, "n" * 494, "n" * 495, "n" * 511 + "a", "n" * 511 + "b"]
)
def test_names_of_every_length_are_kept_apart(machine: AnyMachine, name: str) -> None:
    names = [name, "n" * 510, "n" * 512, "n" * 493]
    for order, each in enumerate(names):
        machine.install([(Key(NAMESPACE, each), at(NOW + order))], NOW)
    for order, each in enumerate(names):
        assert known(machine, Key(NAMESPACE, each)).version == Version.at(NOW + order)
    found = machine.recent(NAMESPACE, "", "", 10, NOW)
    assert [listed for listed, _ in found] == sorted(names)


def test_recent_lists_pinned_names_of_a_namespace_in_order(machine: AnyMachine) -> None:
    long_names = [LONG + tail * 30 for tail in "cabd"]
    names = ["b", "a", "ab", "ü", "abc", *long_names]
    for name in names:
        machine.install([(Key(NAMESPACE, name), at(NOW))], NOW)
    machine.install([(Key("cd" * 16, "elsewhere"), at(NOW))], NOW)
    machine.install([(Key("aa" * 16, "before"), at(NOW))], NOW)
    machine.fill([Seen(Key(NAMESPACE, "cached"), at(NOW), NOW)], NOW)

    def listed(after: str = "", prefix: str = "", limit: int = 100) -> list[str]:
        return [n for n, _ in machine.recent(NAMESPACE, after, prefix, limit, NOW)]

    assert listed() == sorted(names)
    for limit in range(1, len(names)):
        assert listed(limit=limit) == sorted(names)[:limit]
    for after in names:
        assert listed(after=after) == sorted(n for n in names if n > after)
    assert listed(prefix="ab") == ["ab", "abc"]
    assert listed(prefix="ab", after="ab") == ["abc"]
    assert listed(prefix="b", after="a") == ["b"]
    assert listed(prefix="a", after="b") == []
    assert listed(prefix=LONG + "b") == [LONG + "b" * 30]
    assert listed(prefix=LONG, after=LONG + "b" * 30, limit=1) == [LONG + "c" * 30]


def test_recent_forgets_pins_that_have_ended(machine: AnyMachine) -> None:
    records = {f"k{n}": at(NOW + n) for n in range(20)}
    machine.install([(Key(NAMESPACE, n), r) for n, r in records.items()], NOW)
    for name in ("k3", "k5", "k7"):
        machine.unpin([(Key(NAMESPACE, name), records[name].version)], NOW + SECOND)
    machine.install([(Key(NAMESPACE, "k7"), at(NOW + 98))], NOW)
    assert len(machine.recent(NAMESPACE, "", "", 100, NOW)) == 20
    left = machine.recent(NAMESPACE, "", "", 100, NOW + SECOND)
    assert [name for name, _ in left] == sorted(records.keys() - {"k3", "k5"})
    machine.install([(Key(NAMESPACE, "k3"), at(NOW + 99))], NOW + 2 * SECOND)
    again = dict(machine.recent(NAMESPACE, "", "", 100, NOW + 2 * SECOND))
    assert again["k3"].version == Version.at(NOW + 99)
    assert again["k7"].version == Version.at(NOW + 98), "pinned anew before its pin had ended"
    assert "k5" not in again
