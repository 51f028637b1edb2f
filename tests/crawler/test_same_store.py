"""Whether two homes may be compared: every combination of what they show."""

from itertools import product

import pytest

from crawler.same_store import DEADLINE_S, objection
from tandem.backends.store_id import STORE_ID_KEY
from tandem.core.envelope import seal
from tandem.core.reply import Side
from tandem.core.version import Version
from tests.kvgateway.two_homes import Pair
from tests.sim.loop import EPOCH_US, VirtualClock, current, run

OURS, OTHER = "1" * 32, "2" * 32
SHOWN = ["ours", "other", "empty", "silent"]


async def _show(pair: Pair, side: Side, what: str) -> None:
    ids = {"ours": OURS, "other": OTHER}
    if what in ids:
        record = seal(Version.at(EPOCH_US), ids[what].encode())
        await pair.homes[side].memory.put_if_newer(STORE_ID_KEY, record, 1.0)
    elif what == "silent":
        pair.homes[side].down()


@pytest.mark.parametrize(("kvsp", "s3"), list(product(SHOWN, SHOWN)))
def test_homes_are_compared_only_if_both_show_one_store(kvsp: str, s3: str) -> None:
    async def look() -> None:
        pair = Pair(VirtualClock(current()))
        await _show(pair, Side.KVSP, kvsp)
        await _show(pair, Side.S3, s3)
        why = await objection(pair.homes)
        assert (why == "") == (kvsp == s3 and kvsp in {"ours", "other"})
        if {kvsp, s3} == {"ours", "other"}:
            assert OURS in why
            assert OTHER in why
        elif "silent" in (kvsp, s3) and "empty" not in (kvsp, s3):
            assert "does not answer" in why
        elif "empty" in (kvsp, s3) and "silent" not in (kvsp, s3):
            assert "no store id" in why
        with_exception = await objection(pair.homes, may_lack_id=Side.KVSP)
        lacks = kvsp == "empty" and s3 in {"ours", "other"}
        assert (with_exception == "") == (why == "" or lacks)

    run(look())


@pytest.mark.parametrize("side", list(Side))
def test_a_home_that_takes_calls_and_answers_nothing_is_not_waited_for_long(side: Side) -> None:
    async def look() -> None:
        pair = Pair(VirtualClock(current()))
        for each in Side:
            await _show(pair, each, "ours")
        pair.homes[side].delay_s = 3600.0
        began_s = current().time()
        assert await objection(pair.homes) == f"{side.value} does not answer"
        assert current().time() - began_s == DEADLINE_S

    run(look())
