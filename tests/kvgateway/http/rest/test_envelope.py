"""Whatever goes wrong, clients find it in the envelope, under the status and code they expect."""

import pytest

from tandem.core.access import Grant, Permission
from tandem.errors import (
    Overloaded,
    PermissionDenied,
    QuotaExceeded,
    TandemError,
    Unauthenticated,
    Unavailable,
)
from tests.kvgateway.http.rest.api import KV, ONE, ROOT, Api, failure_in
from tests.kvgateway.rpc.memory_store import NAMESPACE

_ID = NAMESPACE


@pytest.mark.parametrize(
    "target",
    [
        ROOT + "/",
        ROOT + "/nothing",
        ROOT + "/accounts/default",
        ROOT + "/accounts/default/storage/kv",
        ROOT + "/accounts//storage/kv/namespaces",
        KV + "/",
        ONE + "/",
        ONE + "/values",
        ONE + "/metadata",
        ONE + "/keys/",
        ONE + "/bulk/",
        ONE + "/bulk/put",
        ROOT + "/zones/x/y",
        ROOT + "/accounts/default/storage%2Fkv/namespaces",
    ],
)
async def test_no_such_route(api: Api, target: str) -> None:
    status, code, message = await api.refused("GET", target)
    assert (status, code) == (404, 7003)
    assert message.startswith("Could not route to /client/v4")


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("DELETE", KV, b"GET, HEAD, POST"),
        ("POST", ONE, b"GET, HEAD, PUT, DELETE"),
        ("POST", ONE + "/values/k", b"GET, HEAD, PUT, DELETE"),
        ("PUT", ONE + "/metadata/k", b"GET, HEAD"),
        ("POST", ONE + "/keys", b"GET, HEAD"),
        ("GET", ONE + "/bulk", b"PUT, DELETE"),
        ("PUT", ONE + "/bulk/delete", b"POST"),
        ("GET", ONE + "/bulk/get", b"POST"),
        ("PATCH", ONE, b"GET, HEAD, PUT, DELETE"),
        ("POST", ROOT + "/openapi.json", b"GET, HEAD"),
        ("OPTIONS", ROOT + "/accounts", b"GET, HEAD"),
    ],
)
async def test_another_method(api: Api, method: str, target: str, allowed: bytes) -> None:
    answer = await api.ask(method, target)
    assert failure_in(answer)[:2] == (405, 10025)
    assert answer.headers[b"allow"] == allowed


_ACCOUNT = "list namespaces: 'account: must have 1 to 64 of the characters"


@pytest.mark.parametrize(
    ("target", "status", "code", "message"),
    [
        (
            f"{ROOT}/accounts/Default/storage/kv/namespaces",
            404,
            7003,
            _ACCOUNT,
        ),
        (f"{ROOT}/accounts/a%20b/storage/kv/namespaces", 404, 7003, _ACCOUNT),
        (f"{ROOT}/accounts/%FF/storage/kv/namespaces", 404, 7003, _ACCOUNT),
        (f"{ROOT}/accounts/{'a' * 65}/storage/kv/namespaces", 404, 7003, "list namespaces: '"),
        (f"{KV}/ab", 400, 10011, "get namespace: 'namespace: 'ab' is not a namespace id"),
        (f"{KV}/{_ID.upper()}", 400, 10011, "get namespace: "),
        (f"{KV}/{'0' * 32}", 404, 10013, "get namespace: 'namespace not found'"),
        (f"{KV}/{'0' * 31}1", 404, 10013, "get namespace: 'namespace not found'"),
        (f"{KV}/{'cd' * 16}", 404, 10013, "get namespace: 'namespace not found'"),
        (f"{KV}/{'cd' * 16}/values/k", 404, 10013, "get: 'namespace not found'"),
        (f"{KV}/{'cd' * 16}/metadata/k", 404, 10013, "get metadata: 'namespace not found'"),
        (f"{KV}/{'cd' * 16}/keys", 404, 10013, "list keys: 'namespace not found'"),
    ],
    ids=lambda value: str(value)[-40:],
)
async def test_what_is_named_in_the_path(
    api: Api, target: str, status: int, code: int, message: str
) -> None:
    refused = await api.refused("GET", target)
    assert refused[:2] == (status, code)
    assert refused[2].startswith(message)


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("GET", "/values/k"),
        ("PUT", "/values/k"),
        ("DELETE", "/values/k"),
        ("GET", "/metadata/k"),
        ("GET", "/keys"),
        ("PUT", "/bulk"),
        ("DELETE", "/bulk"),
        ("POST", "/bulk/delete"),
        ("POST", "/bulk/get"),
    ],
)
async def test_a_namespace_of_another_account_is_not_there(
    api: Api, method: str, rest: str
) -> None:
    bodies = {
        "": '{"title":"t"}',
        "/bulk": "[]",
        "/bulk/delete": "[]",
        "/bulk/get": '{"keys":["k"]}',
    }
    await api.put("k")
    target = f"{ROOT}/accounts/other/storage/kv/namespaces/{_ID}{rest}"
    status, code, message = await api.refused(method, target, bodies.get(rest, ""))
    assert (status, code) == (404, 10013)
    assert message.endswith(": 'namespace not found'")
    assert api.record("k").value == b"v"
    assert (await api.done("GET", ONE))["result"]["title"] == "articles"


@pytest.mark.parametrize(
    ("failure", "status", "code", "retry_after"),
    [
        (Unavailable("no home answers"), 503, 10001, b"1"),
        (Overloaded("20000 writes are under way"), 503, 10001, b"1"),
        (QuotaExceeded("1 write a second", 0.2), 429, 10022, b"1"),
        (QuotaExceeded("1 write a second", 3.1), 429, 10022, b"4"),
        (PermissionDenied("t1 may read, and this needs write"), 403, 10000, None),
        (Unauthenticated("the token has expired"), 401, 10000, None),
    ],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [
        ("GET", "/values/k", ""),
        ("PUT", "/values/k", "v"),
        ("DELETE", "/values/k", ""),
        ("GET", "/metadata/k", ""),
        ("GET", "/keys", ""),
        ("PUT", "/bulk", '[{"key":"k","value":"v"}]'),
        ("DELETE", "/bulk", '["k"]'),
        ("POST", "/bulk/get", '{"keys":["k"]}'),
    ],
)
async def test_errors_of_the_data_path(
    api: Api,
    method: str,
    rest: str,
    body: str,
    failure: TandemError,
    status: int,
    code: int,
    retry_after: bytes | None,
) -> None:
    api.store.failure = failure
    answer = await api.ask(method, ONE + rest, body)
    assert failure_in(answer)[:2] == (status, code)
    assert str(failure) in failure_in(answer)[2]
    assert answer.headers.get(b"retry-after") == retry_after
    challenged = b"Bearer" if status == 401 else None
    assert answer.headers.get(b"www-authenticate") == challenged


@pytest.mark.parametrize(
    ("header", "credential"),
    [
        (b"Authorization: Bearer secret", "secret"),
        (b"authorization: bearer secret", "secret"),
        (b"X-Auth-Key: secret", "secret"),
        (b"Accept: */*", ""),
    ],
)
async def test_the_credential_reaches_the_entrance(
    api: Api, header: bytes, credential: str
) -> None:
    await api.done("GET", KV, b"", header)
    assert api.entrance.seen == [credential]


async def test_a_credential_that_is_not_known_here_is_looked_for(api: Api) -> None:
    api.entrance.unknown.add("far")
    await api.done("GET", KV, b"", b"Authorization: Bearer far")
    api.entrance.refused.add("far")
    answer = await api.ask("GET", KV, b"", b"Authorization: Bearer far")
    assert failure_in(answer) == (401, 10000, "Authentication error: the token is not valid")


@pytest.mark.parametrize("header", [b"Authorization: Basic YTpi", b"Authorization: secret"])
async def test_another_kind_of_authorization(api: Api, header: bytes) -> None:
    status, code, _ = await api.refused("GET", KV, b"", header)
    assert (status, code) == (401, 10000)


async def test_whoever_may_only_read_is_refused_before_the_body_is_taken_in(api: Api) -> None:
    api.entrance.caller.grant = Grant("t1", Permission.READ)
    for method, rest in (("PUT", "/values/k"), ("PUT", "/bulk"), ("POST", "/bulk/delete")):
        wire = await api.served.connect()
        head = f"{method} {ONE}{rest} HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
        await wire.send(head.encode())
        status, code, message = failure_in(await wire.answer())
        assert (status, code) == (403, 10000)
        assert message == "Authentication error: t1 may read, and this needs write"
    assert api.store.writes == 0


async def test_what_clients_ask_about_themselves(api: Api) -> None:
    assert (await api.done("GET", ROOT + "/user/tokens/verify"))["result"] == {
        "id": "anyone",
        "status": "active",
    }
    assert (await api.done("GET", ROOT + "/user"))["result"] == {"id": "anyone"}
    await api.done("POST", f"{ROOT}/accounts/acme/storage/kv/namespaces", '{"title":"t"}')
    found = await api.done("GET", ROOT + "/accounts")
    assert [account["id"] for account in found["result"]] == ["acme", "default"]
    api.entrance.caller.grant = Grant("t1", Permission.READ, "mine")
    found = await api.done("GET", ROOT + "/accounts")
    assert [account["name"] for account in found["result"]] == ["mine"]
    assert (await api.done("GET", ROOT + "/memberships"))["result"] == [
        {"id": "mine", "account": found["result"][0], "status": "accepted", "roles": ["read"]}
    ]
    for of_accounts in ("/accounts", "/memberships"):
        assert (await api.done("GET", f"{ROOT}{of_accounts}?page=2"))["result"] == []


async def test_head_is_get_without_its_body(api: Api) -> None:
    await api.put("k", b"12345")
    answer = await api.ask("HEAD", ONE + "/values/k")
    assert (answer.status, answer.headers[b"content-length"]) == (200, b"5")
    assert (await api.ask("HEAD", ONE + "/values/none")).status == 404
