"""What crawls tell during a storm is compared with the truth: a rule that is broken is seen."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from crawler import crawl, second_look
from tandem.core.drift import Drift, Sighting, sighting
from tandem.core.key import Key
from tandem.core.reply import Side
from tests.sim.history import History
from tests.sim.loop import current, run
from tests.sim.swarm import judged
from tests.sim.told import Touches

KEY = Key("a" * 32, "name")
SEEDS = range(40)


@contextmanager
def young_for_ever() -> Iterator[None]:
    """Every difference is taken for a write in flight."""
    with pytest.MonkeyPatch.context() as patch:

        def seen(*replies: object, **_: object) -> Sighting | None:
            return partial(sighting, *replies, settle_us=2**62, began_us=0)()  # type: ignore[arg-type]

        patch.setattr(second_look, "sighting", seen)
        yield


@contextmanager
def equal_keys_count_as_drift() -> Iterator[None]:
    """A crawl that has found anything equal tells of one more key that S3 lacks."""
    with pytest.MonkeyPatch.context() as patch:
        run_of = crawl.Crawl.run

        async def wrong(self: crawl.Crawl) -> object:
            report = await run_of(self)
            if report.tally.equal:
                report.tally.keys[Drift.MISSING_IN_S3] += 1
            return report

        patch.setattr(crawl.Crawl, "run", wrong)
        yield


@pytest.mark.parametrize("broken", [young_for_ever, equal_keys_count_as_drift])
def test_a_report_that_is_wrong_during_a_storm_is_seen(broken: object) -> None:
    assert callable(broken)
    with broken():
        for seed in SEEDS:
            if any(" tells " in one for one in judged(seed).violations):
                return
    pytest.fail("no report was found to be wrong")


def test_what_a_process_has_sent_itself_since_then_is_not_of_others() -> None:
    async def main() -> None:
        loop = current()
        history = History(loop)
        touches = Touches(history)
        for applying, by_others in [
            (("w0>kvsp", 5.0), False),
            (("w0>kvsp", 4.9), True),
            (("w01>kvsp", 5.0), True),
            (("m0.1>s3", 5.0), True),
            (("", 0.0), True),
        ]:
            touches = Touches(history)
            history.applying = applying
            touches.touched(Side.KVSP, KEY)
            assert touches.by_others(KEY, 0.0, "w0", 5.0) is by_others
            assert not touches.by_others(KEY, 0.1, "w0", 5.0), "it was before"
            assert not touches.by_others(Key(KEY.namespace, "other"), 0.0, "w0", 5.0)

    run(main())
