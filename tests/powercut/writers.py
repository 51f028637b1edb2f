"""Programs that write to their files and say what has become stable; they run under strace."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

from kvgateway.state.clock_bound import ClockBound
from kvgateway.state.journal import DiskJournal, JournalBounds
from kvgateway.state.journal_slots import claim
from kvgateway.state.ports import Intent, RepairTask
from kvgateway.state.queue import SqliteQueue
from tandem.backends.file import FileHome
from tandem.core.envelope import TRAILER_BYTES_MAX, seal
from tandem.core.key import Key
from tandem.core.limits import MIB
from tandem.core.record import Record
from tandem.core.reply import Side, Stored
from tandem.core.version import Version
from tandem.runtime.clock import SystemClock
from tandem.runtime.intake import Intake
from tests.kvsp.records import NAMESPACE, pieces_of, put
from tests.kvsp.serving import open_store

LARGE_BYTES = 6_000
"""Above this a value of the recorded KVSP lies in a file of its own."""
KEYS = 12
_ROUNDS = 40
_SMALL = JournalBounds(segment_bytes_max=2000, carried_above_bytes=6000)


def intent(number: int) -> Intent:
    return Intent(Key(NAMESPACE, f"name-{number}"), Version.at(number + 1))


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def write_journal(directory: Path) -> None:
    journal = DiskJournal(partial(claim, directory), _SMALL)

    async def write(start: int) -> None:
        for number in range(start, 200, 8):
            assert await journal.append([intent(number)])
            say("+", number)
            if number % 3:
                say("-", number)
                journal.done(intent(number))

    await asyncio.gather(*(write(start) for start in range(8)))
    await journal.aclose()


async def write_queue(directory: Path) -> None:
    queue = await SqliteQueue.open(directory / "repair.sqlite")
    for number in range(0, 120, 2):
        both = [RepairTask(*intent(n), (Side.S3,)) for n in (number, number + 1)]
        await queue.add(both, due_us=number)
        say("+", number)
        say("+", number + 1)
        if number % 10 == 0:
            taken = await queue.take(3, number, lease_us=1)
            for one in taken:
                say("-", int(one.task.key.name.removeprefix("name-")))
            await queue.done(taken)
    await queue.aclose()


async def write_bound(directory: Path) -> None:
    bound = ClockBound.open(directory / "clock.bound", bytes)
    for number in range(1, 100):
        bound.begin(bound.bound_us, bytes)
        say(bound.gateway_id.hex(), bound.bound_us, number)
    bound.close()


async def write_kvsp(directory: Path) -> None:
    store = await open_store(directory / "kvsp", 2, large_value_bytes=LARGE_BYTES)

    async def store_record(name: str, record: Record) -> bool:
        asked = put(name, record)
        if store.store.is_large(asked):
            pieces = pieces_of(record)
            return await store.store.write_large(asked.without_envelope(), pieces) == Stored(0)
        [(_, answers)] = store.store.write([asked])
        return await answers == [Stored(0)]

    await _write_records(store_record)
    await store.aclose()


async def write_file_home(directory: Path) -> None:
    home = await FileHome.open(directory / "objects.sqlite", SystemClock())

    async def store_record(name: str, record: Record) -> bool:
        reply = await home.put_if_newer(Key(NAMESPACE, name), record, 20.0)
        return isinstance(reply, Stored)

    await _write_records(store_record)
    for turn in range(4):
        value = f"{turn} ".encode().ljust(MIB + MIB // 8, b"v")
        with home.ahead() as ahead:
            intake = Intake(len(value) + TRAILER_BYTES_MAX, ahead if turn % 2 else None)
            for start in range(0, len(value), MIB // 8):
                await intake.add(value[start : start + MIB // 8])
            await intake.whole()
            version = Version.at(SystemClock().now_us(), bytes(8))
            assert await store_record("in-a-file", seal(version, intake))
            say("in-a-file", version)
    await home.aclose()


async def _write_records(store_record: Callable[[str, Record], Awaitable[bool]]) -> None:
    """New versions of a few keys, several at a time, some of them large."""

    async def write(turn: int, key: int) -> None:
        version = Version.at(SystemClock().now_us(), key.to_bytes(8, "big"))
        size = 2 * LARGE_BYTES if (turn + key) % 9 == 0 else 200
        if await store_record(f"key-{key}", seal(version, f"{turn} ".encode().ljust(size, b"v"))):
            say(f"key-{key}", version)

    for turn in range(_ROUNDS):
        await asyncio.gather(*(write(turn, key) for key in range(turn % 3, KEYS, 3)))


WRITERS: Mapping[str, Callable[[Path], Awaitable[None]]] = {
    "journal": write_journal,
    "queue": write_queue,
    "bound": write_bound,
    "kvsp": write_kvsp,
    "file": write_file_home,
}


async def _run(name: str, directory: Path) -> None:
    await WRITERS[name](directory)


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], Path(sys.argv[2])))
