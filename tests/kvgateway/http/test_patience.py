"""Refusals over a quota are held back, one behind the other, and nothing else is."""

import asyncio
from functools import partial

import pytest

from kvgateway.http import patience
from kvgateway.http.patience import Patience
from tandem.errors import QuotaExceeded
from tandem.runtime.httpd import Answer, Later, Response
from tests.kvgateway.http.doors import opened
from tests.kvgateway.timed import in_virtual_time

OTHERS = [200, 204, 400, 403, 404, 503]


async def _later(status: int) -> Response:
    await asyncio.sleep(0)
    return Response(status, b"")


def _made(status: int) -> tuple[asyncio.Future[int], Later]:
    outcome: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    return outcome, Later(outcome, lambda ended: Response(ended.result(), b""))


def _held(answer: Answer) -> asyncio.Future[None]:
    """What a refusal waits for, which must give the refusal in the end."""
    assert isinstance(answer, Later)
    refused = answer.made(answer.outcome)
    assert isinstance(refused, Response)
    assert refused.status == 429
    return answer.outcome


@pytest.mark.parametrize("status", OTHERS)
async def test_other_answers_are_let_through(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSE_S", 3600.0)
    unhurried = Patience().unhurried
    answer = Response(status, b"")
    assert unhurried(answer) is answer
    coming = unhurried(_later(status))
    assert not isinstance(coming, Response | Later)
    assert (await coming).status == status
    outcome, later = _made(status)
    judged = unhurried(later)
    assert isinstance(judged, Later)
    outcome.set_result(status)
    assert judged.made(outcome) == answer


async def test_a_refusal_is_held_back_whenever_it_is_made() -> None:
    unhurried = Patience().unhurried
    held = _held(unhurried(Response(429, b"")))
    outcome, later = _made(429)
    judged = unhurried(later)
    assert isinstance(judged, Later)
    outcome.set_result(429)
    held_later = _held(judged.made(outcome))
    coming = unhurried(_later(429))
    assert not isinstance(coming, Response | Later)
    task = asyncio.ensure_future(coming)
    assert not held.done()
    assert not held_later.done()
    assert (await task).status == 429
    assert held.done()
    assert held_later.done()


@in_virtual_time
async def test_refusals_go_in_their_order_with_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSE_S", 0.5)
    monkeypatch.setattr(patience, "GAP_S", 0.25)
    monkeypatch.setattr(patience, "PAUSE_S_MAX", 60.0)
    let_go: list[tuple[int, float]] = []
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    def note(number: int, _: asyncio.Future[None]) -> None:
        let_go.append((number, loop.time() - began_s))

    unhurried = Patience().unhurried
    held = [_held(unhurried(Response(429, b""))) for _ in range(20)]
    for number, turn in enumerate(held):
        turn.add_done_callback(partial(note, number))
    await asyncio.gather(*held)
    assert let_go == [(number, 0.5 + 0.25 * number) for number in range(20)]


async def test_none_waits_for_all_others_where_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "PAUSE_S", 0.0)
    monkeypatch.setattr(patience, "GAP_S", 3600.0)
    monkeypatch.setattr(patience, "PAUSE_S_MAX", 0.001)
    unhurried = Patience().unhurried
    await asyncio.gather(*(_held(unhurried(Response(429, b""))) for _ in range(100)))


async def test_whoever_was_cancelled_is_not_woken() -> None:
    loop = asyncio.get_running_loop()
    met: list[object] = []
    loop.set_exception_handler(lambda _, context: met.append(context))
    unhurried = Patience().unhurried
    _held(unhurried(Response(429, b""))).cancel()
    await _held(unhurried(Response(429, b"")))
    assert not met


async def test_others_are_answered_meanwhile(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PAUSE_S", 3600.0)
    monkeypatch.setattr(patience, "PAUSE_S_MAX", 3600.0)
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


async def test_a_refusal_arrives(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with opened(tmp_path_factory.mktemp("door")) as door:
        door.store.failure = QuotaExceeded("over", 1.0)
        assert (await door.get("k")).status == 429
        assert (await door.ask("PUT", "/k?urlencoded=true", body=b"v")).status == 429
        door.store.failure = None
        assert (await door.get("k")).status == 404
