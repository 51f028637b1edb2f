"""Many keys in one request: what is taken, what refuses the whole, and each key's own outcome."""

import asyncio
import base64
import json
from typing import Any

import pytest

from tandem.core.limits import MIB, VALUE_BYTES_MAX
from tandem.errors import QuotaExceeded, Unavailable
from tests.kvgateway.http.rest.api import NOW_S, ONE, Api, failure_in, request
from tests.kvgateway.http.rest.faulty import FaultyStore

_BULK = ONE + "/bulk"
_DELETES = [("DELETE", _BULK), ("POST", _BULK + "/delete")]


_BASE64 = base64.b64encode(bytes(range(256))).decode()


def _json(document: object) -> str:
    return json.dumps(document, separators=(",", ":"))


async def test_pairs_with_everything_that_a_pair_can_have(api: Api) -> None:
    await api.put("old")
    pairs = [
        '{"key":"old", "value":"\\u00e9\\ud83e\\udd13\\u0000"}',
        f'{{"value":"{_BASE64}","base64":true,"key":"bytes","metadata":{{"a": 1.50}}}}',
        '{"key":"ttl","value":"","expiration_ttl":60.0,"expiration":1,"base64":false}',
        f'{{"key":"at","value":"v","expiration":{NOW_S + 60},"expiration_ttl":null}}',
        '{"key":"[{\\"","value":"]}\\\\\\"","metadata":"]","unknown":[{"a":[]}],"base64":null}',
    ]
    body = " [ " + " , \n".join(pairs) + " ] "
    answer = await api.done("PUT", _BULK, body)
    assert answer["result"] == {"successful_key_count": 5, "unsuccessful_keys": []}
    found = {
        name: (record.value, record.metadata, record.expires_at_s)
        for name, record in api.stored().items()
    }
    assert found == {
        "old": ("é🤓\0".encode(), b"", 0),
        "bytes": (bytes(range(256)), b'{"a": 1.50}', 0),
        "ttl": (b"", b"", NOW_S + 60),
        "at": (b"v", b"", NOW_S + 60),
        '[{"': (b']}\\"', b'"]"', 0),
    }


async def test_of_two_pairs_with_one_key_the_later_counts(api: Api) -> None:
    await api.done("PUT", _BULK, '[{"key":"k","value":"1"},{"key":"k","value":"2"}]')
    assert api.record("k").value == b"2"


_TOO_MANY = "received more than 10000 keys, but max allowed per request is: 10000"


def _pair(**other: object) -> str:
    return _json({"key": "k", "value": "v", **other})


@pytest.mark.parametrize(
    ("pair", "status", "code", "message"),
    [
        (_pair(key=""), 400, 10012, "Key names must not be empty"),
        (_pair(key="."), 400, 10012, 'Illegal key name ".". Please use a different name.'),
        (_pair(key="k" * 513), 414, 10012, "UTF-8 encoded length of 513 exceeds key length limit"),
        (_pair(expiration_ttl=59), 400, 10012, "Invalid expiration_ttl of 59. Expiration TTL must"),
        (_pair(expiration_ttl=0), 400, 10012, "Invalid expiration_ttl of 0. Please specify"),
        (_pair(expiration_ttl=60.5), 400, 10012, "Invalid expiration_ttl of 60.5. Please specify"),
        (
            _pair(expiration_ttl="60"),
            400,
            10012,
            "it is not as it should be: Expected `int",
        ),
        (_pair(expiration=1), 400, 10012, "Invalid expiration of 1. Please specify integer"),
        (_pair(expiration=1e300), 400, 10012, "expiration: 1000000"),
        (_pair(value="%", base64=True), 400, 10012, "value: is not valid base64: "),
        (_pair(value="YQ", base64=True), 400, 10012, "value: is not valid base64: "),
        (_pair(value="é", base64=True), 400, 10012, "value: is not valid base64: "),
        (_pair(metadata="m" * 1023), 413, 10024, "Metadata length of 1025 exceeds limit of 1024."),
        (_pair(value="v" * (VALUE_BYTES_MAX + 1)), 413, 10024, "Value length of 26214401 exceeds"),
        (_pair(value=1), 400, 10012, "it is not as it should be: Expected `str`, got `int`"),
        (_pair(base64=1), 400, 10012, "it is not as it should be: Expected `bool | null`"),
        (_pair(value="\ud800"), 400, 10012, "it is not as it should be: "),
        ('{"key":"k"}', 400, 10012, "it is not as it should be: Object missing required field"),
        ('{"value":"v"}', 400, 10012, "it is not as it should be: Object missing required field"),
        ('{"key":"k","value":"v","expiration_ttl":1e999}', 400, 10012, "it is not as it should be"),
        ('{"key":"k","value":"v","metadata":{]}', 400, 10012, "it is not as it should be: "),
        ('{"key":"k","value":"v",}', 400, 10012, "it is not as it should be: "),
        ('"k"', 400, 10012, "it is not as it should be: Expected `object`, got `str`"),
        ("null", 400, 10012, "it is not as it should be: Expected `object`, got `null`"),
        ("", 400, 10012, "it is not as it should be: "),
    ],
    ids=lambda value: str(value)[:45],
)
async def test_one_bad_pair_refuses_the_whole(
    api: Api, pair: str, status: int, code: int, message: str
) -> None:
    body = f"[{_pair(key='first')},{pair},{_pair(key='last')}]"
    refused = await api.refused("PUT", _BULK, body)
    assert refused[:2] == (status, code)
    assert refused[2].startswith(f"bulk put: 'entry 1: {message}")
    assert api.store.writes == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "the array does not end"),
        (" \n", "the array does not end"),
        ("[", "the array does not end"),
        ("{}", "it is not an array"),
        ('"k"', "it is not an array"),
        ("\ufeff[]", "it is not an array"),
        ('{"key":"k","value":"v"}', "it is not an array"),
        ('["k"', "the array does not end"),
        ('["k', "the array does not end"),
        ('["k\\"]', "the array does not end"),
        ("[] []", "something follows the array"),
        ('["k"],', "something follows the array"),
        ("[}", "its brackets do not match"),
        ('["k",[' + "[" * 100, "it is nested more than 64 deep"),
        ('["k",' + "[" + "1," * 20_000 + "1]]", "an element has more than 10000 parts"),
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_bodies_that_are_no_array(api: Api, body: str, message: str) -> None:
    for method, target in _DELETES:
        refused = await api.refused(method, target, body)
        expected = f"bulk delete: 'the body is not as it should be: {message}'"
        assert refused == (400, 10012, expected)
    assert (await api.refused("PUT", _BULK, body))[:2] == (400, 10012)
    assert api.store.writes == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('["k",5]', "entry 1: it is not as it should be: Expected `str`, got `int`"),
        ('["k",""]', "entry 1: Key names must not be empty"),
        ('["k",".."]', 'entry 1: Illegal key name "..". Please use a different name.'),
        ('["k",]', "entry 1: it is not as it should be: "),
        ('[,"k"]', "entry 0: it is not as it should be: "),
        ('["k" "l"]', "entry 0: it is not as it should be: "),
        ('[{"name":"k"}]', "entry 0: it is not as it should be: Expected `str`, got `object`"),
    ],
)
async def test_one_bad_name_refuses_the_whole(api: Api, body: str, message: str) -> None:
    for method, target in _DELETES:
        refused = await api.refused(method, target, body)
        assert refused[:2] == (400, 10012)
        assert refused[2].startswith(f"bulk delete: '{message}")
    assert api.store.writes == 0


@pytest.mark.parametrize(("method", "target"), _DELETES)
async def test_deleting_names_also_of_keys_that_are_not_there(
    api: Api, method: str, target: str
) -> None:
    for name in "abc":
        await api.put(name)
    answer = await api.done(method, target, ' ["a", "c","nothing" ,"a"]\n')
    assert answer["result"] == {"successful_key_count": 4, "unsuccessful_keys": []}
    assert list(api.stored()) == ["b"]


async def test_nothing_at_all(api: Api) -> None:
    for method, target in (("PUT", _BULK), *_DELETES):
        answer = await api.done(method, target, "[ ]")
        assert answer["result"] == {"successful_key_count": 0, "unsuccessful_keys": []}


async def test_10_000_keys_are_taken_and_one_more_is_not(api: Api) -> None:
    store = FaultyStore(api.store)
    api.entrance.caller.keyvalues = store
    names = [f"k{number}" for number in range(10_000)]
    body = _json([{"key": name, "value": name} for name in names])
    answer = await api.done("PUT", _BULK, body)
    assert answer["result"] == {"successful_key_count": 10_000, "unsuccessful_keys": []}
    assert sorted(api.stored()) == sorted(names)
    assert [count for count, _ in store.groups] == [1000] * 10
    more = _json([{"key": name, "value": ""} for name in (*names, "more")])
    assert await api.refused("PUT", _BULK, more) == (400, 10012, f"bulk put: '{_TOO_MANY}'")
    refused = await api.refused("POST", _BULK + "/delete", _json([*names, "more"]))
    assert refused == (400, 10012, f"bulk delete: '{_TOO_MANY}'")
    assert len(api.stored()) == 10_000
    await api.done("DELETE", _BULK, _json(names))
    assert not api.stored()


async def test_large_values_are_written_in_smaller_groups(api: Api) -> None:
    store = FaultyStore(api.store)
    api.entrance.caller.keyvalues = store
    pairs = [{"key": f"k{number}", "value": "v" * (3 * MIB)} for number in range(8)]
    await api.done("PUT", _BULK, _json(pairs))
    assert [count for count, _ in store.groups] == [3, 3, 2]


async def test_a_body_that_is_too_large(api: Api) -> None:
    head = b"PUT %b HTTP/1.1\r\nContent-Length: 104857601\r\nExpect: 100-continue\r\n\r\n"
    wire = await api.served.connect()
    await wire.send(head % _BULK.encode())
    expected = "bulk put: 'the body is larger than 104857600 bytes'"
    assert failure_in(await wire.answer()) == (413, 10024, expected)


async def test_a_body_without_length_that_is_too_large(api: Api) -> None:
    wire = await api.served.connect()
    await wire.send(
        b"POST %b/delete HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" % _BULK.encode()
    )
    piece = b"100000\r\n" + b" " * MIB + b"\r\n"
    for _ in range(101):
        await wire.send(piece)
    await wire.send(b"0\r\n\r\n")
    assert failure_in(await wire.answer())[:2] == (413, 10024)


async def test_each_key_has_its_own_outcome(api: Api) -> None:
    faults = {"b": QuotaExceeded("1 write a second", 1.0), "d": Unavailable("no home")}
    api.entrance.caller.keyvalues = FaultyStore(api.store, faults)
    answer = await api.done("PUT", _BULK, _json([{"key": k, "value": ""} for k in "abcd"]))
    assert answer["result"] == {"successful_key_count": 2, "unsuccessful_keys": ["b", "d"]}
    answer = await api.done("DELETE", _BULK, '["a","b"]')
    assert answer["result"] == {"successful_key_count": 1, "unsuccessful_keys": ["b"]}
    assert list(api.stored()) == ["c"]


async def test_when_no_key_was_written_the_reason_is_the_answer(api: Api) -> None:
    faults = {"b": QuotaExceeded("1 write a second", 1.0), "d": Unavailable("no home")}
    api.entrance.caller.keyvalues = FaultyStore(api.store, faults)
    answer = await api.ask("PUT", _BULK, _json([{"key": k, "value": ""} for k in "bd"]))
    assert failure_in(answer) == (429, 10022, "bulk put: '1 write a second'")
    assert answer.headers[b"retry-after"] == b"1"


async def test_after_a_group_that_failed_as_a_whole_the_rest_is_not_tried(api: Api) -> None:
    names = [f"k{number:04}" for number in range(3500)]
    down = dict.fromkeys(names[1000:2000], Unavailable("no home"))
    store = FaultyStore(api.store, down)
    api.entrance.caller.keyvalues = store
    answer = await api.done("PUT", _BULK, _json([{"key": name, "value": ""} for name in names]))
    assert answer["result"] == {"successful_key_count": 1000, "unsuccessful_keys": names[1000:]}
    assert [count for count, _ in store.groups] == [1000, 1000]


async def test_a_body_that_breaks_off_writes_nothing(api: Api) -> None:
    wire = await api.served.connect()
    sent = request("PUT", _BULK, _json([{"key": "k", "value": ""}]))
    await wire.send(sent[:-1])
    wire.half_close()
    assert failure_in(await wire.answer())[:2] == (400, 10012)
    assert api.store.writes == 0


async def test_a_slow_body_does_not_hold_up_others(api: Api) -> None:
    wire = await api.served.connect()
    sent = request("PUT", _BULK, _json([{"key": "slow", "value": "v" * 50}]))
    for number, byte in enumerate(sent):
        await wire.send(bytes([byte]))
        if number % 20 == 0:
            await api.put("fast")
    assert (await wire.answer()).status == 200
    assert sorted(api.stored()) == ["fast", "slow"]


async def _get(api: Api, **body: object) -> Any:  # noqa: ANN401 - JSON
    return (await api.done("POST", _BULK + "/get", _json(body)))["result"]["values"]


async def test_bulk_get(api: Api) -> None:
    rich = _pair(key="rich", value="[1.50]", metadata={"a": 2}, expiration_ttl=60)
    await api.done("PUT", _BULK, f"[{rich},{_pair(key='text', value='gKE=', base64=True)}]")
    values = await _get(api, keys=["text", "none", "rich", "text"])
    assert list(values.items()) == [("text", "\ufffd\ufffd"), ("none", None), ("rich", "[1.50]")]
    assert await _get(api, keys=["rich"], type="json") == {"rich": [1.5]}
    assert await _get(api, keys=["rich", "none", "text"], withMetadata=True) == {
        "rich": {"value": "[1.50]", "metadata": {"a": 2}, "expiration": NOW_S + 60},
        "none": None,
        "text": {"value": "\ufffd\ufffd", "metadata": None},
    }


async def test_a_bulk_get_says_what_is_not_certain_of_it(api: Api) -> None:
    for alone in (False, True):
        api.store.one_home_answers = alone
        answer = await api.ask("POST", _BULK + "/get", '{"keys":["none"]}')
        said = answer.headers.get(b"tandem-unconfirmed")
        assert (answer.status, said) == (200, b"1" if alone else None)


async def test_a_bulk_get_of_25_mib_and_one_byte_more(api: Api) -> None:
    half = b"v" * (VALUE_BYTES_MAX // 2)
    await api.put("a", half)
    await api.put("b", half)
    values = await _get(api, keys=["a", "b"])
    assert (len(values["a"]), len(values["b"])) == (len(half), len(half))
    await api.put("c", b"v")
    refused = await api.refused("POST", _BULK + "/get", _json({"keys": ["a", "b", "c"]}))
    message = "bulk get: 'Total size of request exceeds the limit of 25MB'"
    assert refused == (413, 10024, message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"keys": []}, "You must request a minimum of 1 key"),
        ({"keys": [f"k{n}" for n in range(101)]}, "You can request a maximum of 100 keys"),
        ({"keys": ["k"], "type": "x"}, '"x" is not a valid type. Use "json" or "text"'),
        ({"keys": ["text"], "type": "json"}, "At least one of the requested keys corresponds"),
        ({"keys": [""]}, "Key names must not be empty"),
        ({"keys": ["."]}, 'Illegal key name "."'),
        ({"keys": [1]}, '"keys" must be a list of strings'),
        ({}, '"keys" must be a list of strings'),
        ([], "The body of a bulk get must be a JSON object"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_bulk_gets_that_cannot_be(api: Api, body: object, message: str) -> None:
    await api.put("text")
    status, code, text = await api.refused("POST", _BULK + "/get", _json(body))
    assert (status, code) == (400, 10012)
    assert text.startswith(f"bulk get: '{message}")


async def test_a_bulk_get_reads_ten_keys_at_a_time(api: Api) -> None:
    await api.done("PUT", _BULK, _json([{"key": f"k{n}", "value": str(n)} for n in range(25)]))
    under_way: list[int] = []
    api.store.held = []
    asking = asyncio.ensure_future(_get(api, keys=[f"k{n}" for n in range(25)]))
    while not asking.done():
        await asyncio.sleep(0)
        if api.store.held:
            under_way.append(len(api.store.held))
            api.store.release()
            api.store.held = []
    assert await asking == {f"k{n}": str(n) for n in range(25)}
    assert under_way == [10, 10, 5]
