"""Bodies of the REST API are admitted before they are read, one by one and in bulk."""

import json

import pytest

from tandem.core.limits import MIB
from tandem.errors import QuotaExceeded
from tests.kvgateway.http.rest.api import FORM, ONE, Api
from tests.kvgateway.rpc.memory_store import NAMESPACE

PAIRS = json.dumps([{"key": "k", "value": "v" * 2 * MIB}])
NAMES = json.dumps(["k"])
FORM_BODY = b"--cut\r\nContent-Disposition: form-data; name=value\r\n\r\nv\r\n--cut--\r\n"

BODIES = [
    ("PUT", f"{ONE}/values/k", bytes(2 * MIB), ()),
    ("PUT", f"{ONE}/values/k", FORM_BODY, (FORM,)),
    ("PUT", f"{ONE}/bulk", PAIRS.encode(), ()),
    ("POST", f"{ONE}/bulk/delete", NAMES.encode(), ()),
    ("DELETE", f"{ONE}/bulk", NAMES.encode(), ()),
]


@pytest.mark.parametrize(("method", "target", "body", "headers"), BODIES)
async def test_a_refused_body_is_429_and_writes_nothing(
    api: Api, method: str, target: str, body: bytes, headers: tuple[bytes, ...]
) -> None:
    await api.put("k", "old")
    writes = api.store.writes
    api.store.body_refusal = QuotaExceeded("2 large values already", 1.5)
    answer = await api.ask(method, target, body, *headers)
    assert answer.status == 429
    assert answer.headers[b"retry-after"] == b"2"
    assert "2 large values already" in json.loads(answer.body)["errors"][0]["message"]
    assert api.store.writes == writes


@pytest.mark.parametrize(("method", "target", "body", "headers"), BODIES)
async def test_the_announced_length_is_what_is_admitted(
    api: Api, method: str, target: str, body: bytes, headers: tuple[bytes, ...]
) -> None:
    await api.done(method, target, body, *headers)
    assert api.store.admitted == [(NAMESPACE, len(body))]
    assert api.store.bodies == 0
