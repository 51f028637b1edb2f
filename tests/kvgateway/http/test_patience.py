"""Refusals over a quota are held back, and nothing else is."""

import asyncio

import pytest

from kvgateway.http import patience
from kvgateway.http.patience import unhurried
from tandem.errors import QuotaExceeded
from tandem.runtime.httpd import Answer, Later, Response
from tests.kvgateway.http.doors import opened


async def _later(status: int) -> Response:
    await asyncio.sleep(0)
    return Response(status, b"")


def _turns(answer: Answer) -> int:
    """How many turns of a loop an answer takes."""
    if isinstance(answer, Response):
        return 0
    assert not isinstance(answer, Later)
    turns = 1
    steps = answer.__await__()
    try:
        while True:
            next(steps)
            turns += 1
    except StopIteration:
        return turns


@pytest.mark.parametrize("status", [200, 204, 400, 403, 404, 503])
def test_other_answers_take_no_turn_more(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "REFUSAL_PAUSE_S", 0)
    answer = Response(status, b"")
    assert unhurried(answer) is answer
    assert _turns(unhurried(_later(status))) == 2


def test_a_refusal_takes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "REFUSAL_PAUSE_S", 0)
    assert _turns(unhurried(Response(429, b""))) == 2
    assert _turns(unhurried(_later(429))) == 3


@pytest.mark.parametrize(("status", "turns"), [(200, 0), (503, 0), (429, 2)])
async def test_a_later_answer_is_judged_when_it_is_there(
    status: int, turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "REFUSAL_PAUSE_S", 0)
    outcome: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    later = unhurried(Later(outcome, lambda ended: Response(ended.result(), b"")))
    assert isinstance(later, Later)
    outcome.set_result(status)
    assert _turns(later.made(outcome)) == turns


async def test_others_are_answered_meanwhile(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "REFUSAL_PAUSE_S", 3600.0)
    async with opened(tmp_path_factory.mktemp("door")) as door:
        door.store.failure = QuotaExceeded("over", 1.0)
        refused = asyncio.create_task(door.get("k"))
        while not door.store.reads:
            await asyncio.sleep(0)
        door.store.failure = None
        for _ in range(20):
            assert (await door.get("k")).status == 404
        assert not refused.done()
        refused.cancel()
        await asyncio.gather(refused, return_exceptions=True)
