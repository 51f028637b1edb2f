"""Namespaces: their pages, as clients walk them, and every way to change one."""

from typing import Any

import pytest

from tandem.core.limits import NAMESPACES_MAX
from tandem.errors import NamespaceExists, TooManyNamespaces, Unavailable
from tests.kvgateway.http.rest.api import KV, ONE, ROOT, Api
from tests.kvgateway.rpc.memory_store import NAMESPACE

_OTHER = f"{ROOT}/accounts/acme/storage/kv/namespaces"


async def _create(api: Api, title: str, where: str = _OTHER) -> Any:  # noqa: ANN401 - JSON
    return (await api.done("POST", where, f'{{"title":"{title}"}}'))["result"]


async def test_create_get_rename_delete(api: Api) -> None:
    created = await _create(api, "one", KV)
    assert created == {"id": created["id"], "title": "one", "supports_url_encoding": True}
    one = f"{KV}/{created['id']}"
    assert (await api.done("GET", one))["result"] == created
    renamed = await api.done("PUT", one, '{\n  "title": "zwei \\u00e9"\n}')
    assert renamed["result"] == {**created, "title": "zwei é"}
    await api.done("PUT", f"{one}/values/k", "v")
    assert (await api.done("DELETE", one))["result"] == {}
    assert (await api.refused("GET", one))[:2] == (404, 10013)
    assert (await api.refused("GET", f"{one}/values/k"))[:2] == (404, 10013)
    assert (await api.refused("DELETE", one))[:2] == (404, 10013)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("{}", 10019, "missing title"),
        ('{"title":""}', 10019, "missing title"),
        ('{"title":null}', 10019, "missing title"),
        ('{"title":5}', 10012, "the body is not as it should be: Expected `str | null`"),
        ('["t"]', 10012, "the body is not as it should be: Expected `object`"),
        ("", 10012, "the body is not as it should be: Input data was truncated"),
        ('{"title":"t"} x', 10012, "the body is not as it should be: "),
        ('{"title":"\\ud800"}', 10012, "the body is not as it should be: "),
        ('{"title":"a\\nb"}', 10010, "title: has a control character at position 1"),
        ('{"title":"' + "t" * 513 + '"}', 10010, "title: length of 513 characters exceeds"),
        ('{"title":"t","jurisdiction":"eu"}', 10012, "jurisdiction: is not supported"),
        ("[" * 50_000, 10012, "the body is not as it should be: "),
    ],
    ids=lambda value: str(value)[:25],
)
async def test_bodies_that_name_no_title(api: Api, body: str, code: int, message: str) -> None:
    for method, target, operation in (("POST", KV, "create"), ("PUT", ONE, "rename")):
        status, found, text = await api.refused(method, target, body)
        assert (status, found) == (400, code)
        assert text.startswith(f"{operation} namespace: '{message}")
    assert len(await api.registry.list()) == 1


async def test_a_title_of_full_length_in_a_body_that_escapes_all_of_it(api: Api) -> None:
    body = '{"title":"' + "\\ud83e\\udd13" * 512 + '","jurisdiction":null}'
    assert (await api.done("POST", KV, body))["result"]["title"] == "🤓" * 512


async def test_a_body_that_is_too_large(api: Api) -> None:
    status, code, _ = await api.refused("POST", KV, '{"title":"t"' + " " * (64 << 10) + "}")
    assert (status, code) == (413, 10024)


async def test_a_title_is_taken_once_in_each_account(api: Api) -> None:
    taken = "A namespace with this account ID and title already exists."
    assert await api.refused("POST", KV, '{"title":"articles"}') == (
        400,
        10014,
        f"create namespace: '{taken}'",
    )
    acme = await _create(api, "articles")
    again = await api.refused("POST", _OTHER, '{"title":"articles"}')
    assert again[:2] == (400, 10014)
    second = await _create(api, "second")
    assert await api.refused("PUT", f"{_OTHER}/{second['id']}", '{"title":"articles"}') == (
        400,
        10014,
        f"rename namespace: '{taken}'",
    )
    assert (await api.done("GET", f"{_OTHER}/{acme['id']}"))["result"] == acme


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (TooManyNamespaces(f"account default has {NAMESPACES_MAX} namespaces"), 400, 10018),
        (NamespaceExists("t"), 400, 10014),
        (Unavailable("not both homes confirm it"), 503, 10001),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_errors_of_the_registry(api: Api, failure: Exception, status: int, code: int) -> None:
    api.registry.failures.append(failure)
    assert (await api.refused("POST", KV, '{"title":"t"}'))[:2] == (status, code)


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("", "abcde"),
        ("?order=title&direction=asc", "abcde"),
        ("?direction=desc", "edcba"),
        ("?order=id", "cebda"),
        ("?order=id&direction=desc", "adbec"),
        ("?per_page=2", "ab"),
        ("?page=2&per_page=2", "cd"),
        ("?page=3&per_page=2", "e"),
        ("?page=4&per_page=2", ""),
        ("?page=2.0&per_page=3.0", "de"),
        ("?page=2", ""),
        ("?per_page=1000", "abcde"),
        ("?page=999999999999&per_page=1000", ""),
        ("?unknown=1&per_page=1", "a"),
    ],
)
async def test_pages(api: Api, query: str, titles: str) -> None:
    for title in "cebda":
        await _create(api, title)
    found = await api.done("GET", _OTHER + query)
    assert "".join(namespace["title"] for namespace in found["result"]) == titles
    info = found["result_info"]
    assert (info["count"], info["total_count"]) == (len(titles), 5)
    assert info["total_pages"] == -(-5 // info["per_page"])


async def test_walking_until_an_empty_page_finds_each_one_once(api: Api) -> None:
    created = {(await _create(api, f"t{number:03}"))["id"] for number in range(45)}
    found: list[str] = []
    page = 1
    while result := (await api.done("GET", f"{_OTHER}?page={page}"))["result"]:
        found += [namespace["id"] for namespace in result]
        page += 1
    assert page == 4
    assert len(found) == 45
    assert set(found) == created
    assert NAMESPACE not in found


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("page=0", 10007),
        ("page=-1", 10007),
        ("page=x", 10007),
        ("page=", 10007),
        ("page=1.5", 10007),
        ("page=1e3", 10007),
        ("page=" + "9" * 400, 10007),
        ("per_page=0", 10008),
        ("per_page=1001", 10008),
        ("per_page=%20", 10008),
        ("per_page=nan", 10008),
        ("order=size", 10012),
        ("order=", 10012),
        ("direction=up", 10012),
        ("page=%FF", 10007),
        ("page=%zz", 10007),
    ],
)
async def test_pages_that_cannot_be(api: Api, query: str, code: int) -> None:
    status, found, message = await api.refused("GET", f"{KV}?{query}")
    assert (status, found) == (400, code)
    assert message.startswith(f"list namespaces: '{query.partition('=')[0]}: ")


async def test_an_account_that_nobody_uses_is_empty(api: Api) -> None:
    assert (await api.done("GET", f"{ROOT}/accounts/new/storage/kv/namespaces"))["result"] == []
