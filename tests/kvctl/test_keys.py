"""`kvctl key`: values byte for byte, names, and how a wrong request is refused."""

import base64
import json
from pathlib import Path

import pytest

from tandem.core.key import Key
from tandem.core.limits import VALUE_BYTES_MAX
from tests.kvctl.serving import ARTICLES, Gateway
from tests.kvgateway.rpc.memory_store import NAMESPACE

BINARY = bytes(range(256)) + b"\r\n\n\x00"


def test_a_value_goes_in_and_comes_out(gateway: Gateway) -> None:
    put = gateway.kvctl("key", "put", "greeting", "hello", *ARTICLES)
    assert (put.exit_code, put.stderr) == (0, "")
    assert put.stdout.startswith("stored greeting: 5 bytes, version ")
    got = gateway.kvctl("key", "get", "greeting", *ARTICLES)
    assert (got.exit_code, got.stdout_bytes, got.stderr) == (0, b"hello", "")


@pytest.mark.parametrize("source", [("-",), ("--file", "-")])
def test_standard_input_is_stored_byte_for_byte(gateway: Gateway, source: tuple[str, ...]) -> None:
    assert gateway.kvctl("key", "put", "b", *source, *ARTICLES, stdin=BINARY).exit_code == 0
    assert gateway.kvctl("key", "get", "b", *ARTICLES).stdout_bytes == BINARY


def test_a_file_is_stored_byte_for_byte(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(BINARY)
    gateway.kvctl("key", "put", "b", "--file", str(tmp_path / "f"), *ARTICLES)
    assert gateway.stored("b") == BINARY


def test_an_argument_keeps_bytes_that_are_not_utf_8(gateway: Gateway) -> None:
    gateway.kvctl("key", "put", "b", b"a\xff".decode(errors="surrogateescape"), *ARTICLES)
    assert gateway.stored("b") == b"a\xff"


def test_metadata_with_half_a_character_goes_in_and_comes_out(gateway: Gateway) -> None:
    """As JavaScript leaves it of a text that it cuts in the middle of one."""
    gateway.kvctl("key", "put", "k", "v", "--metadata", '{"t":"\\ud83e\u00e9"}', *ARTICLES)
    assert gateway.store.records[Key(NAMESPACE, "k")].metadata == b'{"t":"\\ud83e\xc3\xa9"}'
    for command in ("get", "k"), ("list",):
        assert gateway.json("key", *command, *ARTICLES)["metadata"] == {"t": "\ud83e\u00e9"}
    assert '"t": "\\ud83e\u00e9"' in gateway.kvctl("key", "list", "--long", *ARTICLES).stdout


def test_metadata_is_stored_as_it_was_given_and_shown_as_json_that_others_read(
    gateway: Gateway,
) -> None:
    text = '{"a": 1e2, "a": [1e999, 1.0]}'
    gateway.kvctl("key", "put", "k", "v", "--metadata", text, *ARTICLES)
    assert gateway.store.records[Key(NAMESPACE, "k")].metadata == text.encode()
    for command in ("get", "k", "--json"), ("list", "--json"), ("list", "--long"):
        assert '{"a": [null, 1.0]}' in gateway.kvctl("key", *command, *ARTICLES).stdout


def test_an_empty_value_is_a_value(gateway: Gateway) -> None:
    gateway.kvctl("key", "put", "empty", "", *ARTICLES)
    got = gateway.kvctl("key", "get", "empty", *ARTICLES)
    assert (got.exit_code, got.stdout_bytes) == (0, b"")


def test_a_value_of_the_greatest_size_is_stored_and_one_byte_more_is_refused(
    gateway: Gateway,
) -> None:
    value = bytes(VALUE_BYTES_MAX)
    assert gateway.kvctl("key", "put", "max", "-", *ARTICLES, stdin=value).exit_code == 0
    assert gateway.stored("max") == value
    more = gateway.kvctl("key", "put", "more", "-", *ARTICLES, stdin=value + b"x")
    assert more.exit_code == 2
    assert f"limit of {VALUE_BYTES_MAX} bytes" in more.stderr
    assert gateway.names() == ["max"]


def test_a_key_that_is_not_there_is_a_short_message_and_status_1(gateway: Gateway) -> None:
    got = gateway.kvctl("key", "get", "nothing", *ARTICLES)
    assert (got.exit_code, got.stdout_bytes) == (1, b"")
    assert got.stderr == "kvctl: no such key: nothing\n"


def test_json_shows_all_that_is_stored(gateway: Gateway) -> None:
    put = gateway.json(
        "key", "put", "k", "naïve", *ARTICLES, "--metadata", '{"a": [1]}', "--ttl", "1h"
    )
    assert put == {"key": "k", "version": put["version"], "bytes": 6}
    got = gateway.json("key", "get", "k", *ARTICLES)
    assert got.pop("expires_at_s") >= 3600
    assert got == {
        "key": "k",
        "value": "naïve",
        "encoding": "utf-8",
        "metadata": {"a": [1]},
        "version": put["version"],
        "cached": True,
        "stale": False,
    }


def test_a_miss_that_one_home_alone_has_seen_is_told_as_one(gateway: Gateway) -> None:
    missing = gateway.kvctl("key", "get", "k", *ARTICLES)
    assert (missing.exit_code, missing.stderr) == (1, "kvctl: no such key: k\n")
    gateway.store.one_home_answers = True
    doubtful = gateway.kvctl("key", "get", "k", *ARTICLES)
    assert (doubtful.exit_code, doubtful.stderr) == (
        1,
        "kvctl: no such key: k; only one home was heard, the other does not answer\n",
    )


def test_json_marks_bytes_that_are_not_utf_8(gateway: Gateway) -> None:
    gateway.kvctl("key", "put", "k", "-", *ARTICLES, stdin=BINARY)
    got = gateway.json("key", "get", "k", *ARTICLES)
    assert got["encoding"] == "base64"
    assert base64.b64decode(got["value"]) == BINARY
    assert (got["metadata"], got["expires_at_s"]) == (None, None)


def test_an_expiration_can_be_a_time(gateway: Gateway) -> None:
    gateway.kvctl("key", "put", "k", "v", *ARTICLES, "--expires-at", "4102444800")
    long = gateway.kvctl("key", "list", *ARTICLES, "--long")
    assert long.stdout == "2100-01-01T00:00:00Z\tk\n"


def test_delete_removes_a_key_and_does_not_mind_its_absence(gateway: Gateway) -> None:
    gateway.kvctl("key", "put", "k", "v", *ARTICLES)
    for _ in range(2):
        deleted = gateway.kvctl("key", "delete", "k", *ARTICLES)
        assert deleted.exit_code == 0
        assert deleted.stdout.startswith("deleted k: version ")
    assert gateway.stored("k") is None
    assert set(gateway.json("key", "delete", "k", *ARTICLES)) == {"key", "version"}


def test_list_prints_all_pages_in_byte_order(gateway: Gateway) -> None:
    names = [f"page/{number:04}" for number in range(2345)]
    assert gateway.kvctl("key", "list", *ARTICLES).stdout == ""
    for name in (*names, "other", "é"):
        gateway.hold(name)
    listed = gateway.kvctl("key", "list", *ARTICLES)
    assert listed.stdout.splitlines() == ["other", *names, "é"]
    paged = gateway.kvctl("key", "list", *ARTICLES, "--prefix", "page/", "--limit", "1500")
    assert paged.stdout.splitlines() == names[:1500]


def test_a_list_that_may_lack_keys_says_so(gateway: Gateway) -> None:
    gateway.hold("k")
    gateway.store.stale_lists = True
    listed = gateway.kvctl("key", "list", *ARTICLES)
    assert (listed.exit_code, listed.stdout) == (0, "k\n")
    assert "keys may be missing" in listed.stderr


def test_list_as_json_is_one_object_a_line(gateway: Gateway) -> None:
    gateway.kvctl("key", "put", "a\nb", "v", *ARTICLES, "--metadata", "[1]")
    gateway.kvctl("key", "put", "c", "v", *ARTICLES)
    lines = gateway.kvctl("key", "list", *ARTICLES, "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [
        {"name": "a\nb", "metadata": [1], "expires_at_s": None},
        {"name": "c", "metadata": None, "expires_at_s": None},
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("put", "", "v"), "key: must not be empty"),
        (("put", "..", "v"), 'key: ".." is not allowed as a name'),
        (("put", "k" * 513, "v"), "key: UTF-8 length of 513 bytes exceeds the limit of 512"),
        (("put", "\udcff", "v"), "key: is not valid Unicode at character 0"),
        (("put", "k"), "give either VALUE or --file FILE"),
        (("put", "k", "v", "--file", "f"), "give either VALUE or --file FILE"),
        (("put", "k", "--file", "/no/such/file"), "/no/such/file: No such file or directory"),
        (("put", "k", "--file", "/"), "/: Is a directory"),
        (("put", "k", "v", "--metadata", "{"), "--metadata: not JSON"),
        (("put", "k", "v", "--metadata", "NaN"), "metadata: is not valid JSON"),
        (("put", "k", "v", "--metadata", f'"{"x" * 1023}"'), "metadata: "),
        (("put", "k", "v", "--ttl", "59"), "kvctl: --ttl: 59 is below the minimum of 60"),
        (("put", "k", "v", "--ttl", "soon"), '"soon": expected a duration'),
        (("put", "k", "v", "--expires-at", "1"), "kvctl: --expires-at: 1 is"),
        (("put", "k", "v", "--ttl", "60", "--expires-at", "1"), "exclude each other"),
        (("list", "--prefix", "x" * 513), "prefix: UTF-8 length of 513 bytes"),
        (("list", "--limit", "0"), "--limit"),
        (("get", "k", "--timeout", "-1"), "expected a duration"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    gateway: Gateway, arguments: tuple[str, ...], message: str
) -> None:
    result = gateway.kvctl("key", *arguments, *ARTICLES)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
    assert gateway.names() == []
