"""The copies of the kill switches: whoever was not told learns of them, and nobody goes back."""

import asyncio

import pytest
from structlog.testing import capture_logs

from kvgateway.homes import switch_copies
from kvgateway.homes.switch_copies import SWITCHES_KEY, SwitchCopies
from kvgateway.homes.switchboard import SwitchBoard
from kvgateway.state.switches import HomeSwitch, Switches
from tandem.core.envelope import seal
from tandem.core.reply import Found, Missing, Side
from tandem.core.version import Version
from tests.kvgateway.two_homes import Numbers, Pair
from tests.memory.switches import MemorySwitches
from tests.runtime.clocks import StillClock

OFF = HomeSwitch(reads=False, writes=False)
READ_ONLY = HomeSwitch(reads=True, writes=False)


class FullDisk(MemorySwitches):
    full = True

    def adopt(self, switches: Switches) -> None:
        if self.full:
            raise OSError("no space is left")
        super().adopt(switches)


class Gateways:
    """The switches of some gateways over one pair of homes."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.pair = Pair(self.clock)
        self.pair.admit()
        self.first, self.second = self.new(), self.new()

    def new(self, store: MemorySwitches | None = None) -> "Gateway":
        """One more, which was never told anything."""
        return Gateway(self.pair, store or MemorySwitches())

    async def copy(self, side: Side) -> Switches | None:
        """What a home holds."""
        match (await self.pair.held(SWITCHES_KEY))[side]:
            case Found(record):
                return Switches.decoded(bytes(record.value))
            case Missing():
                return None
            case failed:
                raise AssertionError(failed)

    async def damage(self, side: Side, value: bytes) -> None:
        """Puts something else in the place of a home's copy."""
        record = seal(Version.at(self.pair.clock.now_us() + 1), value)
        await self.pair.homes[side].memory.put_if_newer(SWITCHES_KEY, record, 1.0)


class Gateway:
    """What one of them knows."""

    def __init__(self, pair: Pair, store: MemorySwitches) -> None:
        self.store = store
        self.board = SwitchBoard(store)
        self.copies = SwitchCopies(pair.guards, self.board, Numbers())

    @property
    def current(self) -> Switches:
        return self.board.current


@pytest.fixture
def all_() -> Gateways:
    return Gateways()


async def test_without_any_change_nothing_is_written(all_: Gateways) -> None:
    await all_.first.copies.look()
    assert [await all_.copy(side) for side in Side] == [None, None]


async def test_a_gateway_that_was_not_told_learns_and_keeps_it(all_: Gateways) -> None:
    await all_.first.board.change(Side.S3, OFF)
    await all_.first.copies.look()
    assert await all_.copy(Side.KVSP) == Switches(1, s3=OFF)
    assert await all_.copy(Side.S3) is None, "nothing is written to a home that is out of writes"
    await all_.second.copies.look()
    assert all_.second.current == all_.second.store.load() == Switches(1, s3=OFF)


async def test_a_change_is_passed_on_at_once_and_followed_in_time(
    all_: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = asyncio.ensure_future(all_.first.copies.run())
    await asyncio.sleep(0)
    await all_.first.board.change(Side.KVSP, READ_ONLY)
    async with asyncio.timeout(60):
        while await all_.copy(Side.S3) != Switches(1, kvsp=READ_ONLY):
            await asyncio.sleep(0.01)
    monkeypatch.setattr(switch_copies, "LOOK_S", 0.01)
    second = asyncio.ensure_future(all_.second.copies.run())
    async with asyncio.timeout(60):
        while all_.second.current != Switches(1, kvsp=READ_ONLY):
            await asyncio.sleep(0.01)
    all_.clock.advance(1.0)
    await all_.first.board.change(Side.KVSP, HomeSwitch())
    async with asyncio.timeout(60):
        while Switches(2) not in (await all_.copy(Side.KVSP), all_.second.current):
            await asyncio.sleep(0.01)
        while await all_.copy(Side.KVSP) != all_.second.current:
            await asyncio.sleep(0.01)
    for task in (first, second):
        task.cancel()


@pytest.mark.parametrize("down", Side)
async def test_one_home_is_enough(all_: Gateways, down: Side) -> None:
    all_.pair.homes[down].down()
    await all_.first.board.change(down, OFF)
    await all_.first.copies.look()
    await all_.second.copies.look()
    assert all_.second.current.of(down) == OFF


async def test_with_both_homes_down_a_switch_works_where_it_was_set(all_: Gateways) -> None:
    for home in all_.pair.homes.values():
        home.down()
    await all_.first.board.change(Side.S3, OFF)
    await all_.first.copies.look()
    assert all_.first.current.of(Side.S3) == OFF
    all_.pair.kvsp.up()
    await all_.first.copies.look()
    assert await all_.copy(Side.KVSP) == Switches(1, s3=OFF), "the next look passes it on"


@pytest.mark.parametrize("value", [b"", b"{}", b"\xff", b'{"epoch": 9, "homes": {}}', b"9" * 5000])
async def test_a_copy_that_cannot_be_understood_is_replaced(all_: Gateways, value: bytes) -> None:
    await all_.first.board.change(Side.S3, READ_ONLY)
    await all_.damage(Side.KVSP, value)
    all_.clock.advance(1.0)
    await all_.first.copies.look()
    assert all_.first.current == Switches(1, s3=READ_ONLY) == await all_.copy(Side.KVSP)


async def test_a_home_that_comes_back_with_an_old_copy_changes_nothing(all_: Gateways) -> None:
    for switch in (OFF, HomeSwitch(), READ_ONLY):
        await all_.first.board.change(Side.KVSP, switch)
    await all_.damage(Side.S3, Switches(2, kvsp=OFF).encoded().encode())
    all_.clock.advance(1.0)
    await all_.first.copies.look()
    assert all_.first.current == Switches(3, kvsp=READ_ONLY) == await all_.copy(Side.S3)


async def test_a_copy_whose_version_lies_ahead_is_renewed_too(all_: Gateways) -> None:
    """Who wrote it had a clock that ran ahead."""
    ahead = Version.at(all_.pair.clock.now_us() + 400_000)
    old = seal(ahead, Switches(0).encoded().encode())
    for home in all_.pair.homes.values():
        await home.memory.put_if_newer(SWITCHES_KEY, old, 1.0)
    await all_.first.board.change(Side.S3, READ_ONLY)
    await all_.first.copies.look()
    assert await all_.copy(Side.KVSP) == Switches(1, s3=READ_ONLY)


async def test_a_home_of_another_store_is_neither_asked_nor_written(all_: Gateways) -> None:
    await all_.damage(Side.S3, Switches(7, kvsp=OFF).encoded().encode())
    all_.pair.guards[Side.S3].barred = "it belongs to another store"
    await all_.first.copies.look()
    assert all_.first.current == Switches()
    await all_.first.board.change(Side.KVSP, READ_ONLY)
    await all_.first.copies.look()
    assert await all_.copy(Side.S3) == Switches(7, kvsp=OFF)


async def test_of_one_epoch_all_choose_the_same(all_: Gateways) -> None:
    """Two gateways were told different things at the same moment."""
    await all_.first.board.change(Side.KVSP, READ_ONLY)
    await all_.second.board.change(Side.S3, OFF)
    for one in (all_.first, all_.second) * 2:
        all_.clock.advance(1.0)
        await one.copies.look()
    assert all_.first.current == all_.second.current == Switches(1, s3=OFF)


async def test_a_full_disk_keeps_no_switch_from_being_obeyed(all_: Gateways) -> None:
    await all_.first.board.change(Side.S3, OFF)
    await all_.first.copies.look()
    third = all_.new(FullDisk())
    with capture_logs() as logs:
        await third.copies.look()
    assert third.current.of(Side.S3) == OFF
    assert third.copies.errors == 1
    [said] = logs
    assert (said["event"], said["why"]) == ("switches_not_saved", "no space is left")
    assert "exc_info" not in said
    restarted = all_.new()
    await restarted.copies.look()
    assert restarted.current.of(Side.S3) == OFF, "what the disk lost, the homes still know"


async def test_what_the_disk_has_refused_it_is_given_again(all_: Gateways) -> None:
    await all_.first.board.change(Side.S3, OFF)
    await all_.first.copies.look()
    disk = FullDisk()
    third = all_.new(disk)
    await third.copies.look()
    await third.copies.look()
    assert third.copies.errors == 2
    disk.full = False
    await third.copies.look()
    assert disk.load() == Switches(1, s3=OFF), (
        "a restart goes by the file, before any home is asked"
    )


async def test_a_full_disk_keeps_no_home_from_the_newest_copy(all_: Gateways) -> None:
    await all_.damage(Side.KVSP, Switches(1, s3=READ_ONLY).encoded().encode())
    await all_.damage(Side.S3, Switches(2, kvsp=READ_ONLY).encoded().encode())
    all_.clock.advance(1.0)
    third = all_.new(FullDisk())
    await third.copies.look()
    newest = Switches(2, kvsp=READ_ONLY)
    assert third.current == newest == await all_.copy(Side.S3)
    assert await all_.copy(Side.KVSP) is not None, "that one is out of writes"
    await all_.damage(Side.S3, Switches(3, kvsp=HomeSwitch(reads=False)).encoded().encode())
    all_.clock.advance(1.0)
    await third.copies.look()
    assert await all_.copy(Side.KVSP) == Switches(3, kvsp=HomeSwitch(reads=False))
