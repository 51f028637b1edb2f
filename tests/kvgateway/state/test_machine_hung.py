"""A worker that dies or hangs while it reads shared memory, whose pages it keeps meanwhile."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kvgateway.state.ports import Intent, Seen
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.limits import LEG_DEADLINE_S
from tandem.core.version import NO_VERSION
from tests.kvgateway.state.machines import NOW
from tests.kvgateway.state.memory_processes import (
    KEYS,
    NAMESPACE,
    READER,
    memory_directory,
    opened,
    process,
)
from tests.runtime.clocks import StillClock


@pytest.fixture
def directory() -> Iterator[Path]:
    with memory_directory() as directory:
        yield directory


def test_what_a_dead_reader_held_is_freed(directory: Path) -> None:
    machine = opened(directory)
    with process(READER, directory) as reader:
        reader.kill()
        reader.wait()
    assert machine.forget_dead_readers() == 1
    machine.close()


def test_a_reader_that_hangs_never_makes_a_write_fail(directory: Path) -> None:
    machine = opened(directory)
    with process(READER, directory):
        for n in range(2000):
            (version,) = machine.mint([(Key(NAMESPACE, f"n{n}"), NO_VERSION)], NOW)
            machine.install([(Key(NAMESPACE, f"n{n}"), seal(version, bytes(30_000)))], NOW)
        assert machine.spilled()
    (version,) = machine.mint([(KEYS[0], NO_VERSION)], NOW)
    machine.forget_dead_readers()
    machine.install([(KEYS[0], seal(version, b"again"))], NOW)
    (known,) = machine.lookup([KEYS[0]], NOW)
    assert known is not None
    assert known.version == version
    machine.close()


def test_what_there_was_no_room_for_is_never_answered_with_what_was_there_before(
    directory: Path,
) -> None:
    """A reader that hangs keeps all pages, so that not even old entries can be forgotten."""
    machine = opened(directory)
    old, new = (machine.mint([(KEYS[0], NO_VERSION)], NOW)[0] for _ in range(2))
    machine.install([(KEYS[0], seal(old, b"old"))], NOW)
    with process(READER, directory):
        for n in range(2000):
            (version,) = machine.mint([(Key(NAMESPACE, f"n{n}"), NO_VERSION)], NOW)
            machine.install([(Key(NAMESPACE, f"n{n}"), seal(version, bytes(30_000)))], NOW)
        machine.install([(KEYS[0], seal(new, b"new"))], NOW)
        assert machine.spilled()
        assert machine.recall(KEYS[0], NOW) is None
        assert machine.lookup(KEYS[:1], NOW) == [None]
        assert machine.recent(NAMESPACE, "", "", 100, NOW) == []
    machine.forget_dead_readers()
    machine.install([(KEYS[1], seal(new, b"again"))], NOW)
    known = machine.recall(KEYS[1], NOW)
    assert known is not None
    assert known.version == new
    assert machine.recall(KEYS[0], NOW) is None
    machine.close()


def test_emptied_memory_says_so_and_takes_nothing_older_for_news(directory: Path) -> None:
    clock = StillClock()
    machine = opened(directory, clock)
    assert not machine.misses_news()
    (ahead,) = machine.mint([(KEYS[0], NO_VERSION)], NOW + 20_000_000)
    with process(READER, directory):
        for n in range(2000):
            (version,) = machine.mint([(Key(NAMESPACE, f"n{n}"), NO_VERSION)], NOW)
            machine.install([(Key(NAMESPACE, f"n{n}"), seal(version, bytes(30_000)))], NOW)
        clock.advance(LEG_DEADLINE_S)
        assert machine.misses_news(), "as long as there is no room"
    machine.forget_dead_readers()
    machine.install([(KEYS[0], seal(ahead, b"of before"))], NOW)
    machine.pin([Intent(KEYS[1], ahead)])
    machine.fill([Seen(KEYS[2], seal(ahead, b"of before"), NOW - 1_000_000)], NOW)
    later = NOW + 40_000_000
    machine.fill([Seen(KEYS[3], seal(ahead, b"of after"), later)], later)
    seen = [known and known.seen_at_us for known in machine.lookup(KEYS[:4], later)]
    assert seen == [0, 0, 0, later]
    assert machine.misses_news()
    clock.advance(LEG_DEADLINE_S)
    assert not machine.misses_news()
    machine.close()
