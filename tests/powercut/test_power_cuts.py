"""The record of a program's system calls, cut anywhere: what it said to be stable is there."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from kvgateway.state.clock_bound import ClockBound
from kvgateway.state.journal_slots import recover
from kvgateway.state.queue import SqliteQueue
from kvsp.answers import InBlob
from tandem.backends.file import FileHome
from tandem.core.envelope import open_envelope
from tandem.core.key import Key
from tandem.core.reply import Found
from tandem.core.version import NO_VERSION, Version
from tandem.runtime.clock import SystemClock
from tests.conftest import require
from tests.kvsp.records import NAMESPACE, get
from tests.kvsp.serving import open_store
from tests.powercut.disk import Disk
from tests.powercut.system_calls import Step, recorded, why_missing
from tests.powercut.writers import KEYS, LARGE_BYTES, intent

Check = Callable[[Path, Sequence[str]], Awaitable[None]]
_CUTS = 40


async def journal_kept(directory: Path, said: Sequence[str]) -> None:
    leftovers = recover(directory)
    found = {intent for leftover in leftovers for intent in leftover.intents}
    for leftover in leftovers:
        leftover.release()
    assert {intent(number) for number in _open(said)} <= found


async def queue_kept(directory: Path, said: Sequence[str]) -> None:
    queue = await SqliteQueue.open(directory / "repair.sqlite")
    try:
        found = {task.task.key.name for task in await queue.sample(1000)}
        assert {f"name-{number}" for number in _open(said)} <= found
        assert (await queue.stats()).depth == len(found)
    finally:
        await queue.aclose()


def _open(said: Sequence[str]) -> set[int]:
    """The numbers that were entered, and not called done."""
    marks: dict[str, set[int]] = {"+": set(), "-": set()}
    for line in said:
        mark, number = line.split()
        marks[mark].add(int(number))
    return marks["+"] - marks["-"]


async def bound_kept(directory: Path, said: Sequence[str]) -> None:
    if not said:
        return
    gateway_id, bound_us, _ = said[-1].split()
    bound = ClockBound.open(directory / "clock.bound", lambda size: b"\xff" * size)
    try:
        assert bound.gateway_id.hex() == gateway_id
        assert bound.bound_us >= int(bound_us)
    finally:
        bound.close()


async def kvsp_kept(directory: Path, said: Sequence[str]) -> None:
    store = await open_store(directory / "kvsp", 2, large_value_bytes=LARGE_BYTES)
    try:
        for name, version in _newest(said).items():
            [([asked], answers)] = store.store.read([get(name)])
            [answer] = await answers
            if isinstance(answer, InBlob):
                answer = await store.store.load(asked, answer)
            assert isinstance(answer, bytes), (name, version, answer)
            assert open_envelope(answer).version >= version
    finally:
        await store.aclose()


async def file_kept(directory: Path, said: Sequence[str]) -> None:
    home = await FileHome.open(directory / "objects.sqlite", SystemClock())
    try:
        for name, version in _newest(said).items():
            reply = await home.get(Key(NAMESPACE, name), 20.0)
            assert isinstance(reply, Found), (name, version, reply)
            assert reply.record.version >= version
    finally:
        await home.aclose()


def _newest(said: Sequence[str]) -> dict[str, Version]:
    newest: dict[str, Version] = {}
    for line in said:
        name, text = line.split()
        version = Version.parse(bytes.fromhex(text))
        newest[name] = max(version, newest.get(name, NO_VERSION))
    return newest


CHECKS: dict[str, Check] = {
    "journal": journal_kept,
    "queue": queue_kept,
    "bound": bound_kept,
    "kvsp": kvsp_kept,
    "file": file_kept,
}


@pytest.fixture(params=CHECKS)
def record(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, Sequence[Step]]:
    """What one of the writers did from its start to its end."""
    missing = why_missing()
    if missing is not None:
        require(missing, "strace", request.config)
    name: str = request.param
    root = tmp_path / "files"
    root.mkdir()
    steps = recorded("tests.powercut.writers", name, str(root), log=tmp_path / "calls")
    return name, root, steps


async def _check_cuts(
    record: tuple[str, Path, Sequence[Step]], cuts: int, seed: int, onto: Path
) -> list[str]:
    """Goes through the steps once, and cuts the power at so many of them."""
    name, root, steps = record
    random = Random(seed)
    at = sorted(random.sample(range(len(steps)), min(cuts, len(steps))))
    disk = Disk(root)
    for number, step in enumerate(steps):
        disk.take(step)
        if number in at:
            place = onto / f"cut-{number}"
            disk.cut_power(random, place)
            try:
                await CHECKS[name](place, disk.said)
            except BaseException as error:
                error.add_note(f"after step {number} of {len(steps)}, seed {seed}")
                raise
    return disk.said


async def test_what_was_stable_is_there(
    record: tuple[str, Path, Sequence[Step]], tmp_path: Path
) -> None:
    said = await _check_cuts(record, _CUTS, seed=0, onto=tmp_path)
    assert len(said) > KEYS


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(5))
async def test_many_more_cuts(
    record: tuple[str, Path, Sequence[Step]], tmp_path: Path, seed: int
) -> None:
    await _check_cuts(record, 1000, seed, tmp_path)
