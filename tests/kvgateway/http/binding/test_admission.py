"""Bodies of the binding are admitted before they are read, and counted until they are written."""

import pytest

from tandem.core.limits import MIB
from tandem.errors import PermissionDenied, QuotaExceeded, TandemError
from tests.kvgateway.http.doors import HEADER, Door, request
from tests.kvgateway.rpc.memory_store import NAMESPACE

PUT = "/k?urlencoded=true"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (QuotaExceeded("2 large values already", 0.5), 429, b"Too Many Requests"),
        (PermissionDenied("t may read"), 403, b"Forbidden: t may read"),
    ],
)
async def test_a_refused_body_writes_nothing_and_the_connection_goes_on(
    door: Door, error: TandemError, status: int, reason: bytes
) -> None:
    door.store.body_refusal = error
    answer = await door.ask("PUT", PUT, body=bytes(2 * MIB))
    assert (answer.status, answer.reason) == (status, reason)
    assert answer.headers.get(b"retry-after") == (b"1" if status == 429 else None)
    assert door.stored() == {}
    door.store.body_refusal = None
    await door.put("k")


async def test_no_body_is_admitted_for_a_namespace_that_there_is_not(door: Door) -> None:
    head = b"CF-KV-Namespace-ID: " + b"cd" * 16
    answer = await door.raw(request("PUT", PUT, head, body=bytes(2 * MIB)))
    assert (answer.status, answer.reason) == (400, b"Namespace not found: " + b"cd" * 16)
    assert door.store.admitted == []


async def test_the_announced_length_is_what_is_admitted(door: Door) -> None:
    await door.put("k", bytes(2 * MIB))
    head = b"PUT /k?urlencoded=true HTTP/1.1\r\n" + HEADER + b"\r\nTransfer-Encoding: chunked"
    answer = await door.raw(head + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert answer.status == 200
    assert door.store.admitted == [(NAMESPACE, 2 * MIB), (NAMESPACE, None)]
    assert door.store.bodies == 0


async def test_a_body_counts_until_it_is_there_or_broken_off(door: Door) -> None:
    wire = await door.served.connect()
    await wire.send(b"PUT /k?urlencoded=true HTTP/1.1\r\nContent-Length: %d\r\n" % (2 * MIB))
    await wire.send(HEADER + b"\r\nHost: h\r\n\r\nhalf")
    while not door.store.bodies:
        await door.get("other")
    wire.close()
    while door.store.bodies:
        await door.get("other")
    assert door.stored() == {}


async def test_a_write_that_fails_is_over_too(door: Door) -> None:
    door.store.failure = QuotaExceeded("over", 3.0)
    assert (await door.ask("PUT", PUT, body=bytes(2 * MIB))).status == 429
    assert (len(door.store.admitted), door.store.bodies) == (1, 0)
