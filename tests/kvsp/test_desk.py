"""The desk of a cluster: everybody who waits is answered, whatever ends."""

import asyncio
from collections.abc import Sequence

import pytest

from kvsp.desk import Desk
from kvsp.limits import ClusterLimits
from tandem.core.reply import Failed, Reason

LIMITS = ClusterLimits(writes_waiting_max=2, reads_waiting_max=2)
WHY = Failed(Reason.ERROR, "why")
OVERLOADED = {"overloaded: too many writes wait"}


@pytest.fixture
def desk() -> Desk[str]:
    return Desk("cluster-0", LIMITS)


async def serve(
    desk: Desk[str], at_once_max: int = 10, groups: list[Sequence[str]] | None = None
) -> None:
    async def shouted(works: Sequence[str]) -> Sequence[object]:
        if groups is not None:
            groups.append(works)
        if "fault" in works:
            raise RuntimeError("nobody thought of this")
        return [work.upper() for work in works]

    while True:
        await desk.writes.arrival()
        await desk.writes.serve(at_once_max, shouted)


@pytest.mark.parametrize(
    ("at_once_max", "groups"),
    [
        (1, [["a", "b"], ["c"], ["d"]]),
        (3, [["a", "b", "c"], ["d"]]),
        (4, [["a", "b", "c", "d"]]),
    ],
)
async def test_what_waits_is_served_in_order_and_as_many_together_as_may(
    at_once_max: int, groups: list[list[str]]
) -> None:
    """A batch of more than that is not parted."""
    desk: Desk[str] = Desk("cluster-0", ClusterLimits(writes_waiting_max=4))
    waiting = [desk.submit(batch) for batch in (["a", "b"], ["c"], ["d"])]
    served: list[Sequence[str]] = []
    desk.employ("writer", serve(desk, at_once_max, served))
    assert [await one for one in waiting] == [["A", "B"], ["C"], ["D"]]
    assert served == groups
    assert await desk.one("e") == "E"
    await desk.aclose("last")


async def test_more_than_may_wait_is_refused_at_once(desk: Desk[str]) -> None:
    waiting = desk.submit(["a", "b", "long, and alone"])
    refused = desk.submit(["d"])
    assert refused.done()
    assert {str(answer) for answer in await refused} == OVERLOADED
    desk.employ("writer", serve(desk))
    assert await waiting == ["A", "B", "LONG, AND ALONE"]
    await desk.aclose("last")


async def test_a_desk_that_is_shut_answers_everybody_until_it_opens(desk: Desk[str]) -> None:
    waiting = desk.submit(["a", "a"])
    desk.shut_now(WHY)
    assert await waiting == [WHY, WHY]
    assert await desk.submit(["b", "c"]) == [WHY, WHY]
    assert await desk.read([]) == []
    desk.open_again()
    desk.employ("writer", serve(desk))
    assert await desk.one("d") == "D"
    await desk.aclose("last")


async def test_nothing_opens_what_is_shut_for_good(desk: Desk[str]) -> None:
    desk.shut_for_good(WHY)
    desk.open_again()
    assert desk.is_shut_for_good
    assert await desk.one("a") == WHY
    await desk.aclose("last")


async def test_a_task_that_ends_shuts_it_for_good_and_those_it_served_are_told(
    desk: Desk[str],
) -> None:
    desk.employ("writer", serve(desk, at_once_max=1))
    met, behind = desk.submit(["fault"]), desk.submit(["b"])
    [answer] = await met
    assert "a fault of KVSP" in str(answer)
    [answer] = await behind
    assert "cluster-0-writer ended" in str(answer)
    assert desk.is_shut_for_good
    assert "cluster-0-writer ended" in str(await desk.one("c"))
    await desk.aclose("last")


async def test_closing_finishes_what_waits_and_takes_no_more(desk: Desk[str]) -> None:
    waiting = desk.submit(["a", "b"])
    closing = asyncio.ensure_future(desk.aclose("last"))
    await asyncio.sleep(0)
    later = desk.submit(["c"])
    desk.employ("writer", serve(desk))
    await closing
    assert await waiting == ["A", "B"]
    assert {str(answer) for answer in await later} == {"unreachable: KVSP is stopping"}
