"""Listing keys: order, prefixes and cursors, as each of Cloudflare's clients reads them."""

from urllib.parse import quote

import pytest

from tests.kvgateway.http.rest.api import FORM, KV, NOW_S, ONE, Api, form

_KEYS = ONE + "/keys"


async def test_a_listing_shows_expiration_and_metadata_as_json(api: Api) -> None:
    await api.put("plain")
    body = form(("value", b"v"), ("metadata", b'{"a":[1.50,"\xc3\xa9"]}'))
    await api.done("PUT", ONE + "/values/rich?expiration_ttl=60", body, FORM)
    await api.done("PUT", ONE + "/values/text", form(("value", b""), ("metadata", b'"s"')), FORM)
    found = await api.done("GET", _KEYS)
    assert found["result"] == [
        {"name": "plain"},
        {"name": "rich", "expiration": NOW_S + 60, "metadata": {"a": [1.5, "é"]}},
        {"name": "text", "metadata": "s"},
    ]
    assert found["result_info"] == {"count": 3, "cursor": "", "cursors": {"after": ""}}
    assert b'"metadata":{"a":[1.50,"\xc3\xa9"]}' in (await api.ask("GET", _KEYS)).body


async def test_a_listing_says_when_it_may_lack_names(api: Api) -> None:
    for stale in (False, True):
        api.store.stale_lists = stale
        answer = await api.ask("GET", _KEYS)
        assert (answer.status, answer.headers.get(b"tandem-stale")) == (
            200,
            b"1" if stale else None,
        )


async def test_names_come_in_the_order_of_their_bytes(api: Api) -> None:
    names = ["B", "a", "a/b", "é", "\uff5e", "\U0001f600"]
    for name in reversed(names):
        await api.put(quote(name, safe=""))
    found = await api.done("GET", _KEYS + "?limit=1000&cursor=&prefix=")
    assert [key["name"] for key in found["result"]] == names


@pytest.mark.parametrize("limit", ["1", "2", "3.0", "5", "7"])
@pytest.mark.parametrize("where", ["cursor", "after"])
async def test_following_the_cursor_finds_each_key_once(api: Api, limit: str, where: str) -> None:
    names = [f"p/{number}" for number in range(6)]
    for name in (*names, "other"):
        await api.put(name)
    found: list[str] = []
    cursor = ""
    while True:
        query = f"?prefix=p%2F&limit={limit}&cursor={cursor}"
        page = await api.done("GET", _KEYS + query)
        info = page["result_info"]
        found += [key["name"] for key in page["result"]]
        assert info["count"] == len(page["result"])
        assert info["cursor"] == info["cursors"]["after"]
        cursor = info["cursor"] if where == "cursor" else info["cursors"]["after"]
        if not cursor:
            break
    assert found == names


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("", ["A", "a", "a b", "a+b"]),
        ("a", ["a", "a b", "a+b"]),
        ("a+", ["a b"]),
        ("a%2B", ["a+b"]),
        ("a%20", ["a b"]),
        ("%00", []),
    ],
)
async def test_prefixes_are_form_encoded(api: Api, prefix: str, names: list[str]) -> None:
    for name in ("A", "a", "a b", "a+b"):
        await api.put(quote(name, safe=""))
    found = await api.done("GET", f"{_KEYS}?prefix={prefix}")
    assert [key["name"] for key in found["result"]] == names


_LONG = "UTF-8 encoded length of {} exceeds key length limit of 512."
_NOWHERE = "cursor: is not from a listing of this namespace and prefix"


@pytest.mark.parametrize(
    ("query", "status", "code", "message"),
    [
        ("limit=0", 400, 10028, "limit: 0 is not between 1 and 1000"),
        ("limit=1001", 400, 10028, "limit: 1001 is not between 1 and 1000"),
        ("limit=-1", 400, 10028, "limit: -1 is not between 1 and 1000"),
        ("limit=ten", 400, 10028, "limit: 'ten' is not a whole number"),
        ("limit=", 400, 10028, "limit: '' is not a whole number"),
        ("limit=10.5", 400, 10028, "limit: '10.5' is not a whole number"),
        ("prefix=" + "p" * 513, 414, 10012, _LONG.format(513)),
        ("prefix=" + "%C3%A9" * 257, 414, 10012, _LONG.format(514)),
        ("prefix=%FF", 400, 10012, "prefix: is not valid UTF-8 at byte 0"),
        ("cursor=AAAA", 400, 10012, _NOWHERE),
        ("cursor=%F0%9F%A4%93", 400, 10012, _NOWHERE),
        ("cursor=" + "A" * 5000, 400, 10012, _NOWHERE),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_listings_that_cannot_be(
    api: Api, query: str, status: int, code: int, message: str
) -> None:
    refused = await api.refused("GET", f"{_KEYS}?{query}")
    assert refused == (status, code, f"list keys: '{message}'")


async def test_a_cursor_belongs_to_its_prefix_and_namespace(api: Api) -> None:
    for name in ("a1", "a2"):
        await api.put(name)
    page = await api.done("GET", _KEYS + "?prefix=a&limit=1")
    cursor = page["result_info"]["cursor"]
    other = (await api.done("POST", KV, '{"title":"other"}'))["result"]["id"]
    for target in (f"{_KEYS}?cursor={cursor}", f"{KV}/{other}/keys?prefix=a&cursor={cursor}"):
        assert (await api.refused("GET", target))[:2] == (400, 10012)


async def test_what_is_deleted_or_expired_is_not_listed(api: Api) -> None:
    await api.put("deleted")
    await api.put("expiring", b"v", "?expiration_ttl=60")
    await api.done("DELETE", ONE + "/values/deleted")
    api.clock.advance(60)
    assert (await api.done("GET", _KEYS))["result"] == []
