"""When values expire: every way to ask for it, and what cannot be."""

import asyncio

import pytest

from tandem.core.limits import MIB
from tests.kvgateway.http.rest.api import NOW_S, ONE, Api, failure_in, request

_NOT_POSITIVE = "Invalid expiration_ttl of {}. Please specify integer greater than 0."
_NEAR = "Invalid expiration of {}. Expiration times must be at least 60 seconds in the future."
_NOT_FUTURE = (
    "Invalid expiration of {}. Please specify integer greater than the current number of seconds"
    " since the UNIX epoch."
)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("expiration_ttl=59", "Invalid expiration_ttl of 59. Expiration TTL must be at least 60."),
        ("expiration_ttl=1", "Invalid expiration_ttl of 1. Expiration TTL must be at least 60."),
        ("expiration_ttl=0", _NOT_POSITIVE.format(0)),
        ("expiration_ttl=-5", _NOT_POSITIVE.format(-5)),
        ("expiration_ttl=abc", _NOT_POSITIVE.format("abc")),
        ("expiration_ttl=", _NOT_POSITIVE.format("")),
        ("expiration_ttl=60.5", _NOT_POSITIVE.format("60.5")),
        ("expiration_ttl=NaN", _NOT_POSITIVE.format("NaN")),
        (f"expiration_ttl=abc&expiration={NOW_S + 99}", _NOT_POSITIVE.format("abc")),
        (f"expiration={NOW_S}", _NOT_FUTURE.format(NOW_S)),
        ("expiration=0", _NOT_FUTURE.format(0)),
        ("expiration=-1", _NOT_FUTURE.format(-1)),
        ("expiration=soon", _NOT_FUTURE.format("soon")),
        (
            f"expiration={NOW_S + 59}",
            _NEAR.format(NOW_S + 59),
        ),
        (f"expiration={NOW_S * 1000}", "expiration: 1700000000000 is not a time in seconds"),
        (f"expiration_ttl={2**41}", f"expiration_ttl: {NOW_S + 2**41} is not a time in seconds"),
    ],
)
async def test_expirations_that_cannot_be(api: Api, query: str, message: str) -> None:
    refused = await api.refused("PUT", f"{ONE}/values/k?{query}", b"v")
    assert refused == (400, 10012, f"put: '{message}'")
    assert api.store.admitted == []
    assert api.store.calls == 0


@pytest.mark.parametrize(
    ("query", "expires_at_s"),
    [
        ("expiration_ttl=60", NOW_S + 60),
        ("expiration_ttl=60.0", NOW_S + 60),
        (f"expiration_ttl={2**31}", NOW_S + 2**31),
        (f"expiration={NOW_S + 60}", NOW_S + 60),
        (f"expiration={NOW_S + 60}.", NOW_S + 60),
        (f"expiration={NOW_S + 3600}&expiration_ttl=60", NOW_S + 60),
        ("expiration=1&expiration_ttl=60", NOW_S + 60),
        ("expiration=bad&expiration_ttl=60", NOW_S + 60),
        ("", 0),
    ],
)
async def test_expirations(api: Api, query: str, expires_at_s: int) -> None:
    await api.put("k", b"v", f"?{query}")
    assert api.record("k").expires_at_s == expires_at_s
    answer = await api.ask("GET", ONE + "/values/k")
    assert answer.headers.get(b"expiration", b"0") == b"%d" % expires_at_s


async def test_an_expiration_that_came_too_near_while_the_body_arrived(api: Api) -> None:
    api.clock.advance(0.99)
    head = request("PUT", f"{ONE}/values/k?expiration={NOW_S + 60}", bytes(MIB))
    wire = await api.served.connect()
    await wire.send(head[:-1])
    async with asyncio.timeout(60):
        while not api.store.admitted:
            await asyncio.sleep(0.001)
    api.clock.advance(0.01)
    await wire.send(head[-1:])
    status, code, text = failure_in(await wire.answer())
    assert (status, code) == (400, 10012)
    assert _NEAR.format(NOW_S + 60) in text
    assert not api.stored()
    wire.close()


async def test_what_has_expired_is_gone_in_that_second(api: Api) -> None:
    await api.put("k", b"v", "?expiration_ttl=60")
    api.clock.advance(59.9)
    assert (await api.ask("GET", ONE + "/values/k")).status == 200
    api.clock.advance(0.1)
    for place, operation in (("values", "get"), ("metadata", "get metadata")):
        refused = await api.refused("GET", f"{ONE}/{place}/k")
        assert refused == (404, 10009, f"{operation}: 'key not found'")
