"""What a journal on disk must survive: torn tails, full disks, killed writers, its own size."""

import asyncio
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from kvgateway.state.journal import DiskJournal, JournalBounds
from kvgateway.state.journal_frames import SYNCED, Mark, frame, frames, is_damaged, left_over
from kvgateway.state.journal_slots import SEGMENT_SUFFIX, claim, recover, segments
from kvgateway.state.ports import Intent
from tandem.core.key import Key
from tandem.core.version import Version
from tandem.errors import ConfigurationError
from tests.kvgateway.state.failing_disk import CALL_S, Fault, failing
from tests.kvgateway.timed import in_virtual_time
from tests.servers.damage import flip_byte
from tests.servers.small_disk import fill

NAMESPACE = "cd" * 16
SMALL = JournalBounds(segment_bytes_max=2000, carried_above_bytes=6000, bytes_max=40_000)


def intent(number: int) -> Intent:
    return Intent(Key(NAMESPACE, f"name-{number}-ü"), Version.at(number + 1))


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[DiskJournal]:
    journal = DiskJournal(partial(claim, tmp_path), SMALL, retry_s=0.01)
    yield journal
    await journal.aclose()


def recovered(directory: Path) -> set[Intent]:
    leftovers = recover(directory)
    for leftover in leftovers:
        leftover.release()
    return {each for leftover in leftovers for each in leftover.intents}


def test_a_torn_tail_costs_only_what_was_torn() -> None:
    whole = [frame(Mark.WANTED, intent(n)) for n in range(3)]
    data = b"".join(whole)
    for cut in range(len(data) + 1):
        expected, end = 0, 0
        for one in whole:
            end += len(one)
            expected += end <= cut
        assert [i for _, i in frames(data[:cut])] == [intent(n) for n in range(expected)]
        assert len(list(frames(data[:cut] + bytes(64)))) >= expected


def test_a_flipped_bit_costs_one_write_and_is_noticed_unless_it_may_have_been_torn() -> None:
    writes = [SYNCED + b"".join(frame(Mark.WANTED, intent(n + m)) for m in (0, 1)) for n in (0, 2)]
    data, last = b"".join(writes), len(writes[0])
    assert not is_damaged(data)
    for at in range(len(data)):
        flipped = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
        found = [one for _, one in frames(flipped)]
        if at < last:
            assert is_damaged(flipped)
            assert found[-2:] == [intent(2), intent(3)]
        else:
            assert not is_damaged(flipped), "nobody can tell it from a write that a crash tore"
            assert found[:2] == [intent(0), intent(1)]
        assert len(found) < 4


async def test_every_write_says_what_was_synced_before_it(tmp_path: Path) -> None:
    journal = DiskJournal(partial(claim, tmp_path))
    for number in range(3):
        assert await journal.append([intent(number)])
    await journal.aclose()
    (segment,) = tmp_path.glob(f"*/*{SEGMENT_SUFFIX}")
    flip_byte(segment, len(SYNCED) + 20)
    (left,) = recover(tmp_path)
    assert left.damaged
    assert left.intents == (intent(1), intent(2))
    left.release()


def test_a_mark_may_stand_before_its_intent() -> None:
    early = frame(Mark.DONE, intent(1)) + frame(Mark.WANTED, intent(1))
    assert left_over([early, frame(Mark.WANTED, intent(2))]) == [intent(2)]


async def test_only_dead_workers_are_recovered(tmp_path: Path) -> None:
    slot = claim(tmp_path)
    journal = DiskJournal(lambda: slot)
    await journal.append([intent(1)])
    assert recover(tmp_path) == []
    await journal.aclose()
    (left,) = recover(tmp_path)
    assert left.intents == (intent(1),)
    assert recover(tmp_path) == []
    assert claim(tmp_path).directory != slot.directory
    left.release()
    (left,) = recover(tmp_path)[:1]
    await left.drop()
    assert not slot.directory.exists()
    assert recover(tmp_path / "nowhere") == []


@pytest.mark.parametrize("name", ["lock", f"{7:016}{SEGMENT_SUFFIX}"])
async def test_a_slot_that_cannot_be_taken_over_takes_no_other_one_with_it(
    tmp_path: Path, name: str
) -> None:
    """As on a full disk, where a worker's start was cut short and left a slot without its lock."""
    journals = [DiskJournal(partial(claim, tmp_path)) for _ in range(3)]
    for n, journal in enumerate(journals):
        await journal.append([intent(n)])
    for journal in journals:
        await journal.aclose()
    obstacle = tmp_path / "1" / name
    obstacle.unlink(missing_ok=True)
    obstacle.mkdir()
    for _ in range(2):
        with pytest.raises(IsADirectoryError):
            recover(tmp_path)
    obstacle.rmdir()
    assert recovered(tmp_path) == {intent(0), intent(1), intent(2)}


@pytest.mark.parametrize("fault", [Fault.FULL, Fault.DYING])
async def test_a_slot_that_cannot_be_made_whole_is_not_there(tmp_path: Path, fault: Fault) -> None:
    with failing(tmp_path) as disk:
        disk.fault = fault
        (tmp_path / "lock").touch()
        with pytest.raises(OSError, match=r"no space|dying"):
            claim(tmp_path)
        assert recover(tmp_path) == []
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]
        assert not disk._open


@in_virtual_time
async def test_a_journal_begins_on_a_disk_that_takes_no_slot(tmp_path: Path) -> None:
    with failing(tmp_path) as disk:
        disk.fault = Fault.FULL
        (tmp_path / "lock").touch()
        journal = DiskJournal(partial(claim, tmp_path), retry_s=0.5)
        assert not await journal.append([intent(1)])
        assert not journal.writable
        assert recover(tmp_path) == []
        disk.fault = Fault.NONE
        await asyncio.sleep(1.0)
        assert await journal.append([intent(2)])
        await journal.aclose()
        assert recovered(tmp_path) == {intent(2)}


async def test_a_journal_that_is_never_written_takes_no_slot(tmp_path: Path) -> None:
    await DiskJournal(partial(claim, tmp_path)).aclose()
    assert not list(tmp_path.iterdir())


async def test_a_slot_that_cannot_be_removed_is_left_for_a_later_try(tmp_path: Path) -> None:
    journal = DiskJournal(partial(claim, tmp_path))
    await journal.append([intent(1)])
    await journal.aclose()
    obstacle = tmp_path / "0" / "obstacle"
    obstacle.mkdir()
    [left] = recover(tmp_path)
    with pytest.raises(IsADirectoryError):
        await left.drop()
    obstacle.rmdir()
    [left] = recover(tmp_path)
    await left.drop()
    assert recover(tmp_path) == []


@pytest.mark.parametrize("late", [[], [intent(3)]], ids=["alone", "with an append"])
async def test_closing_writes_the_done_marks(tmp_path: Path, late: list[Intent]) -> None:
    journal = DiskJournal(partial(claim, tmp_path))
    await journal.append([intent(1), intent(2)])
    journal.done(intent(1))
    waiting = [journal.append([one]) for one in late]
    await journal.aclose()
    assert all(await asyncio.gather(*waiting))
    assert not await journal.append([intent(4)])
    assert recovered(tmp_path) == {intent(2), *late}


async def test_segments_without_live_intents_are_removed(
    journal: DiskJournal, tmp_path: Path
) -> None:
    for n in range(400):
        assert await journal.append([intent(n)])
        journal.done(intent(n))
    assert len(segments(tmp_path / "0")) <= 3


async def test_a_few_live_intents_do_not_keep_old_segments(tmp_path: Path) -> None:
    journal = DiskJournal(partial(claim, tmp_path), SMALL)
    kept = {n for n in range(1000) if n % 100 == 0}
    for n in range(1000):
        assert await journal.append([intent(n)])
        if n not in kept:
            journal.done(intent(n))
    assert sum(path.stat().st_size for path in segments(tmp_path / "0")) <= 10_000
    assert journal.live() == len(kept)
    await journal.aclose()
    assert recovered(tmp_path) == {intent(n) for n in kept}


async def test_an_intent_may_be_done_while_it_is_written_again(tmp_path: Path) -> None:
    journal = DiskJournal(
        partial(claim, tmp_path), JournalBounds(segment_bytes_max=1, carried_above_bytes=1)
    )
    await journal.append([intent(n) for n in range(10)])
    await journal.append([intent(10)])
    for n in range(1, 10):
        journal.done(intent(n))
    appended = journal.append([intent(11)])
    await asyncio.sleep(0)  # that write has begun, with the one that keeps the first segment
    journal.done(intent(0))
    assert await appended
    assert journal.live() == 2
    await journal.aclose()
    assert recovered(tmp_path) == {intent(10), intent(11)}


async def test_a_full_journal_says_so_and_goes_on_when_there_is_room(journal: DiskJournal) -> None:
    n = 0
    while await journal.append([intent(n)]):
        n += 1
    assert 200 < n < 1000
    assert journal.full == 1
    assert journal.writable
    for old in range(n):
        journal.done(intent(old))
    assert await journal.append([intent(n)])


async def test_a_full_journal_makes_room_where_few_intents_are_live(journal: DiskJournal) -> None:
    n = 0
    while await journal.append([intent(n)]):
        n += 1
    kept = range(0, n, 20)
    for old in set(range(n)) - set(kept):
        journal.done(intent(old))
    async with asyncio.timeout(60):
        while not await journal.append([intent(n)]):
            await asyncio.sleep(0.001)
    assert journal.live() == len(kept) + 1


@in_virtual_time
async def test_segments_that_a_failed_write_was_to_remove_are_removed_later(tmp_path: Path) -> None:
    with failing(tmp_path) as disk:
        journal = DiskJournal(partial(claim, tmp_path), SMALL, retry_s=0.01)
        for n in range(300):
            assert await journal.append([intent(n)])
        for n in range(300):
            journal.done(intent(n))
        disk.fault = Fault.FULL
        assert not await journal.append([intent(300)])
        disk.fault = Fault.NONE
        await asyncio.sleep(1.0)
        assert await journal.append([intent(301)])
        assert len(segments(tmp_path / "0")) <= 3
        await journal.aclose()


async def test_a_disk_that_refuses_is_said_loudly_and_tried_again(tmp_path: Path) -> None:
    said: list[str] = []
    slot = claim(tmp_path)
    journal = DiskJournal(lambda: slot, SMALL, refused=said.append, retry_s=0.01)
    assert await journal.append([intent(1)])
    limit = tmp_path / "elsewhere"
    slot.directory.rename(limit)
    for n in range(2, 100):
        if not await journal.append([intent(n)]):
            break
    assert not journal.writable
    assert journal.failures >= 1
    assert "No such file" in said[0]
    assert not await journal.append([intent(500)])
    limit.rename(slot.directory)
    while not await journal.append([intent(501)]):
        await asyncio.sleep(0.005)
    durable = {*range(1, n), 501}
    assert journal.live() == len(durable)
    await journal.aclose()
    assert {intent(d) for d in durable} <= recovered(tmp_path)


async def test_a_write_that_is_cut_short_is_not_durable_and_harms_nothing(tmp_path: Path) -> None:
    journal = DiskJournal(partial(claim, tmp_path), retry_s=0.01)
    no_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, no_limit[1]))
    try:
        n = 0
        while await journal.append([intent(n)]):
            n += 1
        assert (tmp_path / "0" / f"{1:016}.log").stat().st_size == 1000
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, no_limit)
    assert 5 < n < 30
    assert journal.failures >= 1
    while not await journal.append([intent(500)]):
        await asyncio.sleep(0.005)
    await journal.aclose()
    assert recovered(tmp_path) == {*(intent(d) for d in range(n)), intent(500)}


async def test_a_full_disk_is_unwritable_until_it_has_room_and_is_not_filled_with_segments(
    small_disk: Path,
) -> None:
    journal = DiskJournal(partial(claim, small_disk), retry_s=0.001)
    assert await journal.append([intent(1)])
    ballast = fill(small_disk)
    n = 2
    while await journal.append([intent(n)]):
        n += 1
    for _ in range(50):
        failures = journal.failures
        while journal.failures == failures:
            await asyncio.sleep(0.001)
        assert not journal.writable
        assert not await journal.append([intent(n)])
    assert len(segments(small_disk / "0")) == 1
    ballast.unlink()
    while not await journal.append([intent(500)]):
        await asyncio.sleep(0.001)
    await journal.aclose()
    assert {*(intent(d) for d in range(1, n)), intent(500)} == recovered(small_disk)
    assert sorted(path.name for path in (small_disk / "0").iterdir()) == [
        f"{number:016}.log" for number in (1, 2)
    ] + ["lock"]


@in_virtual_time
async def test_a_segment_in_which_nothing_was_ever_durable_goes(tmp_path: Path) -> None:
    with failing(tmp_path) as disk:
        journal = DiskJournal(partial(claim, tmp_path))
        disk.fault = Fault.DYING
        assert not await journal.append([intent(1)])
        assert segments(tmp_path / "0") == []
        await journal.aclose()


async def test_appends_that_wait_behind_a_refused_write_are_refused(tmp_path: Path) -> None:
    slot = claim(tmp_path)
    journal = DiskJournal(lambda: slot, retry_s=0.01)
    slot.directory.rename(tmp_path / "elsewhere")
    first = journal.append([intent(1)])
    await asyncio.sleep(0)
    second = journal.append([intent(2)])
    assert not await first
    assert not await second
    assert journal.live() == 0
    (tmp_path / "elsewhere").rename(slot.directory)
    await journal.aclose()


@in_virtual_time
async def test_a_journal_that_was_closed_while_its_disk_refused_touches_it_no_more(
    tmp_path: Path,
) -> None:
    """The slot may be another's by then."""
    with failing(tmp_path) as disk:
        journal = DiskJournal(partial(claim, tmp_path), retry_s=CALL_S / 2)
        assert await journal.append([intent(1)])
        disk.fault = Fault.FULL
        assert not await journal.append([intent(2)])
        await journal.aclose()
        calls = disk.calls
        await asyncio.sleep(1.0)
        assert disk.calls == calls


WRITER = """
import asyncio, sys
from functools import partial
from pathlib import Path
from kvgateway.state.journal import DiskJournal, JournalBounds
from kvgateway.state.journal_slots import claim
from tests.kvgateway.state.test_journal_disk import SMALL, intent

async def write(journal, start):
    for n in range(start, 10**9, 8):
        assert await journal.append([intent(n)])
        print("+", n, flush=True)
        if n % 3:
            print("-", n, flush=True)
            journal.done(intent(n))

async def main():
    bounds = JournalBounds(segment_bytes_max=2000, carried_above_bytes=6000)
    journal = DiskJournal(partial(claim, Path(sys.argv[1])), bounds)
    await asyncio.gather(*(write(journal, start) for start in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("seed", range(4))
async def test_a_killed_writer_loses_nothing_that_was_durable(tmp_path: Path, seed: int) -> None:
    lines = random.Random(seed).randrange(1, 3000)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(lines)]
    os.kill(writer.pid, signal.SIGKILL)
    rest, _ = writer.communicate()
    said += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    durable = {int(line.split()[1]) for line in said if line.startswith("+")}
    done = {int(line.split()[1]) for line in said if line.startswith("-")}
    (left,) = recover(tmp_path)
    assert {intent(n) for n in durable - done} <= set(left.intents)
    assert len(left.intents) == len(set(left.intents))
    await left.drop()


async def test_a_journal_of_a_newer_version_stops_the_start_and_stays(tmp_path: Path) -> None:
    slot = claim(tmp_path)
    body = bytes([9]) + b"v" * 16 + b"n" * 16 + b"name"
    segment = slot.directory / f"{1:016}{SEGMENT_SUFFIX}"
    segment.write_bytes(struct.pack(">II", len(body), zlib.crc32(body)) + body)
    slot.release()
    for _ in range(2):  # the slot is free again for the version that can read it
        with pytest.raises(ConfigurationError, match="start the version that wrote it"):
            recover(tmp_path)
    assert segment.exists()
