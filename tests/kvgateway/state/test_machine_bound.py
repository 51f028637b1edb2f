"""What a machine's memory gives up when its space is used up, and in which order."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest

from kvgateway.state.ports import Intent, Seen
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.version import Version
from tests.kvgateway.state.machines import NOW, AnyMachine, memory_machine, shared_machine

NAMESPACE = "ab" * 16
BOUND = 1024 * 1024
SECOND = 1_000_000


def _memory() -> AbstractContextManager[AnyMachine]:
    return nullcontext(memory_machine(bytes_max=BOUND))


@contextmanager
def _shared() -> Iterator[AnyMachine]:
    with shared_machine(map_bytes=2 * BOUND) as machine:
        yield machine


@pytest.fixture(params=[_memory, _shared], ids=["memory", "shared"])
def machine(
    request: pytest.FixtureRequest,
) -> Iterator[AnyMachine]:
    make: Callable[[], AbstractContextManager[AnyMachine]] = request.param
    with make() as machine:
        yield machine


def key(number: int) -> Key:
    return Key(NAMESPACE, f"key-{number:06}")


def record(number: int, size: int) -> Record:
    return seal(Version.at(NOW + number), bytes(size))


def kept(machine: AnyMachine, numbers: range) -> list[int]:
    found = machine.lookup([key(n) for n in numbers], NOW)
    return [n for n, k in zip(numbers, found, strict=True) if k is not None]


@pytest.mark.parametrize("size", [10, 900, 5_000, 60_000])
def test_the_oldest_unpinned_entries_leave_first(machine: AnyMachine, size: int) -> None:
    count = 8 * BOUND // (size + 100)
    for n in range(count):
        machine.fill([Seen(key(n), record(n, size), NOW)], NOW)
    left = kept(machine, range(count))
    assert 5 <= len(left) < count // 2
    assert left == list(range(left[0], count))
    assert not machine.spilled()


def test_a_large_memory_forgets_a_few_at_a_time() -> None:
    """Nobody is served meanwhile. Where room was looked for each 256th of the memory, a fill into
    256 MiB forgot 2,000 entries at once, and took up to 12 ms."""
    most, before = 0, 0
    with shared_machine(map_bytes=64 * BOUND) as machine:
        for n in range(25_000):
            machine.fill([Seen(key(n), record(n, 2_000), NOW)], NOW)
            with machine._environment.begin(machine._entries) as txn:
                evicted = n + 1 - txn.stat(machine._entries)["entries"]
            most, before = max(most, evicted - before), evicted
    assert before > 4_000
    assert most < 60


def test_an_entry_seen_again_gets_a_second_chance(machine: AnyMachine) -> None:
    machine.fill([Seen(key(0), record(0, 900), NOW)], NOW)
    for n in range(1, 4000):
        if n % 100 == 0:
            machine.fill([Seen(key(0), record(0, 900), NOW + n)], NOW + n)
        machine.fill([Seen(key(n), record(n, 900), NOW)], NOW)
    left = kept(machine, range(4000))
    assert left[0] == 0
    assert left[1] > 1000


def test_pinned_entries_stay_while_others_can_leave(machine: AnyMachine) -> None:
    for n in range(100):
        machine.install([(key(n), record(n, 900))], NOW)
    for n in range(100, 6000):
        machine.fill([Seen(key(n), record(n, 900), NOW)], NOW)
    assert kept(machine, range(100)) == list(range(100))
    assert not machine.spilled()


def test_pinned_entries_lose_payloads_before_they_are_dropped(machine: AnyMachine) -> None:
    count = 600
    for n in range(count):
        machine.install([(key(n), record(n, 5_000))], NOW)
    found = machine.lookup([key(n) for n in range(count)], NOW)
    assert all(k is not None and k.pinned for k in found)
    with_payload = [n for n, k in enumerate(found) if k is not None and k.record is not None]
    assert 0 < len(with_payload) < count // 2
    for n in range(count):
        machine.unpin([(key(n), Version.at(NOW + n))], NOW + 1)
    for n in range(count, 5 * count):
        machine.fill([Seen(key(n), record(n, 900), NOW + 1)], NOW + 1)
    assert kept(machine, range(count)) == [], "they leave as others do once they are not pinned"
    assert not machine.spilled()


def test_groups_for_which_there_is_no_room_are_pinned_without_payloads(machine: AnyMachine) -> None:
    for start in range(0, 1500, 50):
        machine.install([(key(n), record(n, 5_000)) for n in range(start, start + 50)], NOW)
    assert not machine.spilled(), "else they would take the place of what was pinned before"
    assert kept(machine, range(1500)) == list(range(1500))


@pytest.mark.parametrize("by_intents", [True, False])
def test_dropped_pins_are_said_until_settled(machine: AnyMachine, by_intents: bool) -> None:
    count = 12_000
    for n in range(count):
        if by_intents:
            machine.pin([Intent(key(n), Version.at(NOW + n))])
        else:
            machine.install([(key(n), record(n, 300))], NOW)
    assert machine.spilled()
    left = kept(machine, range(count))
    assert count // 20 < len(left) < count
    assert len(left) + machine.spills() >= count
    assert count - 1 in left
    listed = machine.recent(NAMESPACE, "", "", count, NOW)
    assert [name for name, _ in listed] == [key(n).name for n in left]
    before = machine.spills()
    machine.settle_spills(before - 1)
    assert machine.spilled()
    machine.settle_spills(before)
    assert not machine.spilled()


def test_one_transaction_keeps_payloads_for_an_eighth_of_the_memory() -> None:
    with shared_machine(map_bytes=2 * BOUND) as machine:
        machine.install([(key(n), record(n, 60_000)) for n in range(10)], NOW)
        found = machine.lookup([key(n) for n in range(10)], NOW)
        assert [k is not None and k.record is not None for k in found] == [True] * 4 + [False] * 6
        assert not machine.spilled()


def test_more_at_once_than_the_memory_holds_is_not_remembered_and_said() -> None:
    with shared_machine(map_bytes=BOUND) as machine:
        names = [Key(NAMESPACE, f"{n:06}".ljust(500, "x")) for n in range(3_000)]
        seen = [Seen(name, record(0, 10), NOW) for name in names]
        assert machine.fill(seen, NOW) == [None] * len(seen)
        assert machine.spilled()
        assert machine.fill(seen[:1], NOW) != [None]


def test_a_pin_that_has_ended_leaves_without_a_spill(machine: AnyMachine) -> None:
    count = 6000
    for n in range(count):
        machine.install([(key(n), record(n, 900))], NOW + n)
        machine.unpin([(key(n), Version.at(NOW + n))], NOW + n + 50)
    left = kept(machine, range(count))
    assert len(left) < count // 2
    assert left == list(range(left[0], count))
    assert not machine.spilled()
    assert [n for n, _ in machine.recent(NAMESPACE, "", "", 100, NOW + count)] == [
        key(n).name for n in range(count - 49, count)
    ]


@pytest.mark.parametrize("count", [1, 15, 16, 17, 100])
def test_pins_of_one_moment_leave_the_overlay_when_it_has_come(count: int) -> None:
    names = [Key(NAMESPACE, f"{n}" * (200 if n % 3 else 1)) for n in range(count)]
    with shared_machine() as machine:

        def in_overlay() -> int:
            with machine._environment.begin() as txn:
                return txn.stat(machine._space.pinned)["entries"]

        machine.install([(name, record(n, 10)) for n, name in enumerate(names)], NOW)
        unpinned = [(name, Version.at(NOW + n)) for n, name in enumerate(names)]
        machine.unpin(unpinned[:-1], NOW + SECOND)
        machine.fill([Seen(Key(NAMESPACE, "other"), None, NOW)], NOW + SECOND - 1)
        assert in_overlay() == count
        for _ in range(count // 10 + 1):
            machine.fill([Seen(Key(NAMESPACE, "other"), None, NOW)], NOW + SECOND)
        assert in_overlay() == 1
        machine.unpin(unpinned[-1:], NOW + SECOND)
        machine.fill([Seen(Key(NAMESPACE, "other"), None, NOW)], NOW + SECOND)
        assert in_overlay() == 0
