"""Refusals over a quota are held back, one behind the other, and nothing else is."""

import asyncio
from collections.abc import Awaitable
from functools import partial
from pathlib import Path

import pytest

from kvgateway.http import patience
from kvgateway.http.patience import Patience
from tandem.errors import QuotaExceeded
from tandem.runtime.httpd import Answer, Later, Request, Response
from tests.kvgateway.http.doors import Door, opened
from tests.kvgateway.timed import in_virtual_time

OTHERS = [200, 204, 400, 403, 404, 503]


def _later(status: int, patience: Patience) -> Awaitable[Response]:
    async def app(_: Request) -> Response:
        await asyncio.sleep(0)
        return Response(status, b"")

    answer = patience.of(app)(Request(b"GET", b"/", {}))
    assert not isinstance(answer, Response | Later)
    return answer


def _held(answer: Answer) -> asyncio.Future[None]:
    """What a refusal waits for, which must give the refusal in the end."""
    assert isinstance(answer, Later)
    refused = answer.made(answer.outcome)
    assert isinstance(refused, Response)
    assert refused.status == 429
    return answer.outcome


@pytest.mark.parametrize("status", OTHERS)
@in_virtual_time
async def test_other_answers_are_let_through(status: int) -> None:
    answer = Response(status, b"")
    assert Patience().unhurried(answer) is answer
    began_s = asyncio.get_running_loop().time()
    assert await _later(status, Patience()) == answer
    assert asyncio.get_running_loop().time() == began_s


async def test_a_refusal_is_held_back_whenever_it_is_made() -> None:
    patience = Patience()
    held = _held(patience.unhurried(Response(429, b"")))
    assert not held.done()
    assert (await _later(429, patience)).status == 429
    assert held.done()


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


@pytest.mark.parametrize(
    ("method", "target", "size"),
    [
        ("GET", "/k?urlencoded=true", 0),
        ("DELETE", "/k?urlencoded=true", 0),
        ("PUT", "/k?urlencoded=true", 1),
        ("PUT", "/k?urlencoded=true", 100_000),
        ("GET", "/", 0),
        ("POST", "/bulk/get", 0),
    ],
)
@pytest.mark.parametrize("stranger", [False, True])
async def test_others_are_answered_meanwhile(
    method: str, target: str, size: int, stranger: bool, tmp_path: Path, slow: None
) -> None:
    async with opened(tmp_path) as door:
        door.store.failure = QuotaExceeded("over", 1.0)
        if stranger:
            door.entrance.unknown = {""}
        body = b'{"keys":["k"]}' if method == "POST" else bytes(size)
        refused = asyncio.create_task(door.ask(method, target, body=body))
        await _others_are_answered(door)
        assert door.entrance.seen
        assert not refused.done()
        refused.cancel()
        await asyncio.gather(refused, return_exceptions=True)


async def test_a_refusal_that_comes_late_is_held_back_too(tmp_path: Path, slow: None) -> None:
    async with opened(tmp_path) as door:
        door.store.held = []
        refused = asyncio.create_task(door.get("k"))
        while not door.store.held:
            await asyncio.sleep(0)
        door.store.failure = QuotaExceeded("over", 1.0)
        door.store.release()
        await _others_are_answered(door)
        assert not refused.done()
        refused.cancel()
        await asyncio.gather(refused, return_exceptions=True)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is refused hears so when the test is long over."""
    monkeypatch.setattr(patience, "PAUSE_S", 3600.0)
    monkeypatch.setattr(patience, "PAUSE_S_MAX", 3600.0)


async def _others_are_answered(door: Door) -> None:
    for _ in range(20):
        assert (await door.raw(b"GET /healthz HTTP/1.1\r\n\r\n")).status == 200


async def test_a_refusal_arrives(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with opened(tmp_path_factory.mktemp("door")) as door:
        door.store.failure = QuotaExceeded("over", 1.0)
        assert (await door.get("k")).status == 429
        assert (await door.ask("PUT", "/k?urlencoded=true", body=b"v")).status == 429
        door.store.failure = None
        assert (await door.get("k")).status == 404
