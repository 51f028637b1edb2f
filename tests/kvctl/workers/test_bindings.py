"""Names of bindings, and the texts that they become part of."""

import json
import re

import pytest

from kvctl.endings import Ended
from kvctl.workers.adapter import adapter_files, services
from kvctl.workers.bindings import Binding, Door, binding_name, distinct, split_name
from kvctl.workers.workerd import workerd_configuration
from tandem.runtime.settings import Address

DOOR = Door(Address("10.0.0.5", 8780), "")
SECRET = Door(Address("10.0.0.5", 8780), 'to"ken\\')
ARTICLES = Binding("ARTICLES", "ab" * 16, "articles")
FLAGS = Binding("FLAGS", "cd" * 16, "flags")
LISTEN = Address("127.0.0.1", 8080)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("articles", "ARTICLES"), ("my-articles", "MY_ARTICLES"), ("a  b__c", "A_B_C"),
        ("-x-", "X"), ("2fast", "KV_2FAST"), ("日本", "KV"), ("ab" * 16, "AB" * 16), ("é1", "KV_1"),
    ],
)  # fmt: skip
def test_a_binding_is_called_like_its_namespace(title: str, name: str) -> None:
    assert binding_name(title) == name


@pytest.mark.parametrize(
    ("argument", "title", "name"),
    [
        ("articles", "articles", "ARTICLES"), ("articles=KV", "articles", "KV"),
        ("a=b=KV", "a=b", "KV"), ("articles=$_1", "articles", "$_1"), ("=x", "=x", "X"),
    ],
)  # fmt: skip
def test_a_name_behind_the_title_wins(argument: str, title: str, name: str) -> None:
    assert split_name(argument) == (title, name)


@pytest.mark.parametrize("name", ["", "1A", "my-kv", "a b", 'x"'])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(Ended, match="cannot be the name of a binding"):
        split_name(f"articles={name}")


def test_two_namespaces_cannot_have_one_name() -> None:
    assert distinct([ARTICLES, FLAGS, ARTICLES]) == [ARTICLES, FLAGS]
    for title in ("Articles", ARTICLES.title):  # titles are one account's
        with pytest.raises(Ended, match="would both be bound to ARTICLES"):
            distinct([ARTICLES, Binding("ARTICLES", "ef" * 16, title)])


def test_a_namespace_with_two_names_is_one_service() -> None:
    bindings = [ARTICLES, Binding("OLD", ARTICLES.namespace, ARTICLES.title)]
    text = workerd_configuration(bindings, DOOR, script="x", listen=LISTEN)
    service = f"kv-{ARTICLES.namespace}"
    assert text.count(f'kvNamespace = "{service}"') == 2
    assert text.count(f'name = "{service}"') == 1


def test_each_namespace_is_a_service_with_its_own_header() -> None:
    text = workerd_configuration([ARTICLES, FLAGS], DOOR, script="site.mjs", listen=LISTEN)
    assert 'esModule = embed "site.mjs"' in text
    assert f'( name = "FLAGS", kvNamespace = "kv-{FLAGS.namespace}" )' in text
    assert text.count('address = "10.0.0.5:8780"') == 2
    assert f'( name = "CF-KV-Namespace-ID", value = "{ARTICLES.namespace}" )' in text
    assert 'address = "127.0.0.1:8080"' in text
    assert "Authorization" not in text


def test_a_token_is_sent_and_quoted() -> None:
    text = workerd_configuration([ARTICLES], SECRET, script="x", listen=LISTEN)
    assert r'( name = "Authorization", value = "Bearer to\"ken\\" )' in text


def test_an_adapter_has_a_class_for_each_namespace() -> None:
    files = adapter_files([ARTICLES, FLAGS], DOOR)
    assert sorted(files) == ["adapter.mjs", "wrangler.json"]
    classes = re.findall(r"^export class (\w+) extends", files["adapter.mjs"], re.MULTILINE)
    assert classes == ["ARTICLES", "FLAGS"]
    configuration = json.loads(files["wrangler.json"])
    assert configuration["main"] == "adapter.mjs"
    assert configuration["vars"] == {"TANDEM_URL": "http://10.0.0.5:8780"}
    assert services([FLAGS]) == [
        {"binding": "FLAGS", "service": configuration["name"], "entrypoint": "FLAGS"}
    ]


def test_the_token_of_an_adapter_is_apart_from_its_configuration() -> None:
    files = adapter_files([ARTICLES], Door(DOOR.address, "tdm_secret"))
    assert files[".dev.vars"] == 'TANDEM_TOKEN="tdm_secret"\n'
    assert "tdm_secret" not in files["wrangler.json"] + files["adapter.mjs"]
