"""A guarded home takes a body ahead of its leg exactly when it would let the leg through."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kvgateway.data_path.writes import Writer
from kvgateway.homes.guard import GuardedHome
from kvgateway.state.switches import HomeSwitch
from tandem.backends.file import FileHome
from tandem.core.mode import ACTIVE, Mode, Stage
from tandem.core.reply import Failed, Reason, Side
from tests.kvgateway.one_gateway import NAMESPACE, FixedView, OneGateway, TwoHomes
from tests.kvgateway.two_homes import Pair
from tests.runtime.clocks import StillClock


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """A pair whose second home is a real file."""
    pair = Pair(StillClock())
    home = await FileHome.open(tmp_path / "objects.db", pair.clock)
    guard = GuardedHome(home, clock=pair.clock, time=pair.time, observer=pair.observer)
    pair.guards[Side.S3] = guard
    pair.admit()
    yield pair
    await home.aclose()


def has_place(guard: GuardedHome) -> bool:
    with guard.ahead() as ahead:
        return ahead is not None


@pytest.mark.parametrize("why", ["barred", "switched off", "broken"])
async def test_there_is_a_place_unless_the_leg_would_be_refused(pair: Pair, why: str) -> None:
    guard = pair.guards[Side.S3]
    assert has_place(guard)
    assert isinstance(pair.clock, StillClock)
    match why:
        case "barred":
            guard.barred = "it belongs to another store"
        case "switched off":
            guard.switch = HomeSwitch(reads=True, writes=False)
        case _:
            for _ in range(100):
                pair.clock.advance(1)
                guard.heard(Failed(Reason.UNREACHABLE, "gone"), 2.0)
    assert not has_place(guard)


async def test_writes_switched_on_have_a_place_though_reads_are_off(pair: Pair) -> None:
    pair.guards[Side.S3].switch = HomeSwitch(reads=False, writes=True)
    assert has_place(pair.guards[Side.S3])


async def test_a_home_that_takes_nothing_ahead_has_none(pair: Pair) -> None:
    assert not has_place(pair.guards[Side.KVSP])


@pytest.mark.parametrize(
    ("mode", "given"),
    [
        (ACTIVE, True),
        (Mode(Stage.SHADOW, Side.KVSP), True),
        (Mode(Stage.SINGLE, Side.S3), True),
        (Mode(Stage.SINGLE, Side.KVSP), False),
    ],
)
async def test_only_a_home_that_gets_the_write_has_its_body(
    pair: Pair, mode: Mode, given: bool
) -> None:
    homes = TwoHomes()
    gateway = OneGateway(homes.by_side, homes.clock)
    writer = Writer(
        homes=pair.guards,
        machine=gateway.machine,
        journal=gateway.journal,
        inbox=gateway.inbox,
        time=pair.time,
        view=FixedView(mode=mode),
    )
    with writer.ahead(NAMESPACE) as ahead:
        assert (ahead is not None) is given
