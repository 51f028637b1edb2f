"""What the oracle of reads lets pass: doubt, where memory has ended or a home was lost."""

import pytest

from tandem.core.key import Key
from tandem.core.record import Kind
from tandem.core.request import ReadResult
from tandem.core.version import Version
from tests.sim.history import History
from tests.sim.loop import current, run
from tests.sim.oracles import Oracles
from tests.sim.scope import Scope

KEY = Key("a" * 32, "name")
REMEMBERED_S = 60.0


@pytest.mark.parametrize("unconfirmed", [False, True])
@pytest.mark.parametrize("demands", [False, True])
@pytest.mark.parametrize("shown_s", [None, 30.0])
@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("after_s", [50.0, 70.0, 100.0])
def test_a_read_goes_back_only_in_doubt_and_long_after_a_home_has_shown_more(
    after_s: float, lost: bool, shown_s: float | None, demands: bool, unconfirmed: bool
) -> None:
    async def main() -> None:
        loop = current()
        oracles, scope = Oracles(loop, History(loop)), Scope("m0", demands=demands)
        oracles.remembered_s = REMEMBERED_S
        oracles.home_was_lost = lambda: lost
        operation = oracles.operation(KEY, Kind.TOMBSTONE, 0)
        version = Version.at(loop.true_us())
        writing = oracles.stamped(operation, version, [scope], loop.true_us())
        oracles.acknowledged(writing, version, superseded=False)
        if shown_s is not None:
            loop.now_s = shown_s
            for result in (
                ReadResult(None, version),
                ReadResult(None, version, cached=True),
                ReadResult(None, version, stale=True),
            ):
                oracles.read(oracles.reading(KEY, [scope]), result)
                loop.now_s += 5.0
        loop.now_s = after_s
        oracles.read(oracles.reading(KEY, [scope]), ReadResult(None, unconfirmed=unconfirmed))
        past = not demands and after_s > REMEMBERED_S + (shown_s or 0.0)
        assert bool(oracles.violations) is not (unconfirmed and (lost or past))

    run(main())
