"""The OpenAPI description: it says what the routes are, and a fuzzer finds that the answers are as
it says."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from schemathesis import Case, CheckContext, GenerationMode, Response
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import kvgateway.http.rest
from tests.kvgateway.http.rest.api import ROOT, Api
from tests.kvgateway.rpc.memory_store import NAMESPACE

_FILE = Path(kvgateway.http.rest.__file__).with_name("openapi.json")
_DESCRIPTION = json.loads(_FILE.read_text())
_SCHEMA = schemathesis.openapi.from_dict(_DESCRIPTION)
_OPERATIONS = {
    found.ok().label: found.ok() for found in _SCHEMA.get_all_operations() if isinstance(found, Ok)
}
_CASES = {GenerationMode.POSITIVE: 15, GenerationMode.NEGATIVE: 8}
_FUZZED = [
    (label, mode)
    for mode in _CASES
    for label in _OPERATIONS
    if (label, mode) != ("GET /openapi.json", GenerationMode.NEGATIVE)  # it takes nothing at all
]
_KNOWN = {"account_id": "default", "namespace_id": NAMESPACE}


def _no_server_error(_: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """A version that no write has answered is one that no home has: 503, and not for ever."""
    demanded = response.status_code == 503 and "Tandem-Min-Version" in (case.headers or {})
    assert response.status_code < 500 or demanded
    return None


_CHECKS = [
    _no_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    allow_header_conformance,
]


def _described() -> set[tuple[str, str]]:
    return {
        (method.upper(), path)
        for path, operations in _DESCRIPTION["paths"].items()
        for method in operations
    }


def test_every_route_is_described_and_every_description_has_a_route(api: Api) -> None:
    routes = {(route.method, route.template) for route in api.app.table.routes}
    assert _described() == routes | {("GET", "/openapi.json")}


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (str(value) for key, value in node.items() if key == "$ref")
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def test_references_lead_somewhere_and_everything_is_referred_to() -> None:
    references = set(_references(_DESCRIPTION))
    components = {
        f"#/components/{kind}/{name}"
        for kind, named in _DESCRIPTION["components"].items()
        for name in named
        if kind != "securitySchemes"
    }
    assert references == components


async def test_it_is_served_to_everybody(api: Api) -> None:
    api.entrance.refused.add("")
    answer = await api.ask("GET", ROOT + "/openapi.json")
    assert (answer.status, answer.headers[b"content-type"]) == (200, b"application/json")
    assert answer.body == _FILE.read_bytes()
    assert (await api.ask("GET", ROOT + "/accounts")).status == 401


def _fuzz(operation: Any, mode: GenerationMode, base_url: str) -> int:  # noqa: ANN401 - generic
    known = {part: _KNOWN[part] for part in _KNOWN if f"{{{part}}}" in operation.path}
    if operation.label.startswith("DELETE") and operation.path.endswith("{namespace_id}"):
        known = {}  # or nothing would be left to fuzz
    sent = 0

    @seed(1)
    @settings(
        max_examples=_CASES[mode],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode, path_parameters=known))
    def check(case: Case[Any]) -> None:
        nonlocal sent
        sent += 1
        case.call_and_validate(base_url=base_url, checks=_CHECKS, timeout=30)

    check()
    return sent


@pytest.mark.parametrize(("label", "mode"), _FUZZED, ids=str)
async def test_answers_are_as_described_whatever_is_asked(
    api: Api, label: str, mode: GenerationMode
) -> None:
    await api.put("k", b"v")
    base_url = f"http://127.0.0.1:{api.served.port}{ROOT}"
    sent = await asyncio.to_thread(_fuzz, _OPERATIONS[label], mode, base_url)
    assert sent
    assert not api.served.server.stats.failures
