"""`kvctl namespace`, and what is said of a namespace that is not there."""

import json

import pytest

from tests.kvctl.serving import Gateway, invoke
from tests.kvgateway.rpc.memory_store import NAMESPACE


def test_a_namespace_lives_through_all_commands(gateway: Gateway) -> None:
    made = gateway.json("namespace", "create", "my drafts", "--ack", "both", "--read-mode", "s3")
    assert made == {
        "id": made["id"], "title": "my drafts", "account": "default", "ack": "both",
        "read_mode": "s3", "epoch": 1, "created_at_s": 2, "title_conflict": False,
        "operations_per_s": 0, "bytes_per_s": 0, "large_bodies_max": 0, "key_write_interval": False,
        "mode": {"stage": "active", "home": "kvsp", "percent": 100}, "mode_epoch": 0,
    }  # fmt: skip
    assert gateway.json("namespace", "get", "my drafts") == made
    changed = gateway.json("namespace", "configure", made["id"], "--ack", "first")
    assert changed == {**made, "ack": "first", "epoch": 2}
    renamed = gateway.json("namespace", "rename", "my drafts", "letters")
    assert renamed == {**changed, "title": "letters"}
    listed = gateway.kvctl("namespace", "list", "--json").stdout.splitlines()
    assert [json.loads(line)["title"] for line in listed] == ["articles", "letters"]
    deleted = gateway.json("namespace", "delete", "letters", "--yes")
    assert deleted == {"id": made["id"], "title": "letters", "deleted": True}
    assert gateway.kvctl("namespace", "get", made["id"]).exit_code == 1


def test_limits_are_set_shown_and_lifted(gateway: Gateway) -> None:
    limits = (
        "--operations-per-s", "500", "--bytes-per-s", "10MiB", "--large-bodies-max", "4",
        "--key-write-interval",
    )  # fmt: skip
    shown = gateway.kvctl("namespace", "create", "greedy", *limits).stdout.splitlines()
    assert shown[-4:] == [
        "operations    500 a second",
        "bytes         10MiB a second",
        "large bodies  4 at once",
        "key writes    1 a second for each key",
    ]
    left = gateway.json("namespace", "configure", "greedy", "--bytes-per-s", "0")
    assert (left["operations_per_s"], left["bytes_per_s"]) == (500, 0)
    assert (left["large_bodies_max"], left["key_write_interval"]) == (4, True)
    left = gateway.json(
        "namespace", "configure", "greedy", "--no-key-write-interval", "--operations-per-s", "0",
        "--large-bodies-max", "0",
    )  # fmt: skip
    assert (left["operations_per_s"], left["key_write_interval"], left["epoch"]) == (0, False, 3)
    shown = gateway.kvctl("namespace", "get", "greedy").stdout.splitlines()
    assert [line.split()[0] for line in shown] == ["id", "title", "ack", "reads", "created"]


def test_people_get_columns(gateway: Gateway) -> None:
    gateway.kvctl("namespace", "create", "文")
    listed = gateway.kvctl("namespace", "list").stdout
    assert listed.splitlines() == [
        "ID                                TITLE     ACK           READS  CREATED",
        f"{NAMESPACE}  articles  first+intent  race   1970-01-01T00:00:01Z",
        f"{2:032x}  文        first+intent  race   1970-01-01T00:00:02Z",
    ]
    assert (
        gateway.kvctl("namespace", "get", "articles").stdout.splitlines()[1] == "title    articles"
    )


def test_namespaces_of_other_accounts_are_shown_as_such(gateway: Gateway) -> None:
    made = gateway.json("namespace", "create", "articles", "--account", "acme")
    assert made["account"] == "acme"
    listed = gateway.kvctl("namespace", "list", "--all-accounts").stdout.splitlines()
    assert [line.split()[-1] for line in listed] == ["ACCOUNT", "default", "acme"]
    assert "ACCOUNT" not in gateway.kvctl("namespace", "list").stdout
    own = invoke(
        "namespace", "list", "--json",
        environment={**gateway.environment, "TANDEM_ACCOUNT": "acme"},
    )  # fmt: skip
    assert json.loads(own.stdout) == made
    of_acme = ("--account", "acme")
    shown = gateway.kvctl("namespace", "get", "articles", *of_acme).stdout
    assert shown.splitlines()[-1] == "account  acme"
    assert gateway.kvctl("key", "put", "k", "v", "-n", "articles", *of_acme).exit_code == 0
    assert gateway.kvctl("key", "get", "k", "-n", "articles").exit_code == 1
    assert gateway.kvctl("namespace", "get", "x", *of_acme).stderr == (
        "kvctl: no namespace of account acme has the title 'x'\n"
        "`kvctl namespace list --account acme` shows all.\n"
    )
    wrong = gateway.kvctl("namespace", "list", "--account", "A")
    assert (wrong.exit_code, "account: must have" in wrong.stderr) == (2, True)


def test_delete_asks_nobody_without_a_terminal(gateway: Gateway) -> None:
    result = gateway.kvctl("namespace", "delete", "articles")
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert gateway.kvctl("namespace", "get", "articles").exit_code == 0


def test_a_title_that_would_be_taken_for_an_id_is_refused(gateway: Gateway) -> None:
    title = "0123456789abcdef" * 2
    for command in ("create", title), ("rename", "articles", title):
        refused = gateway.kvctl("namespace", *command)
        assert refused.exit_code == 2
        assert refused.stderr.startswith("kvctl: title: must not have the form of an id, 32 lower")
    assert gateway.json("namespace", "create", title.upper())["title"] == title.upper()


def test_a_title_that_is_taken_is_a_no(gateway: Gateway) -> None:
    result = gateway.kvctl("namespace", "create", "articles")
    assert result.exit_code == 1
    assert "a namespace with the title 'articles' already exists" in result.stderr


@pytest.mark.parametrize("command", [("key", "put", "k", "v"), ("import", ".")])
def test_an_unknown_title_brings_near_ones_and_whoever_writes_the_way_to_create_it(
    gateway: Gateway, command: tuple[str, ...]
) -> None:
    result = gateway.kvctl(*command, "-n", "Article's")
    assert result.exit_code == 1
    assert result.stderr == (
        "kvctl: no namespace has the title \"Article's\"; did you mean 'articles'?\n"
        "Create it with: kvctl namespace create 'Article'\"'\"'s'\n"
    )


@pytest.mark.parametrize(
    "command",
    [
        ("key", "get", "k", "-n", "Article's"),
        ("key", "list", "-n", "Article's"),
        ("key", "delete", "k", "-n", "Article's"),
        ("export", "exported", "-n", "Article's"),
        ("namespace", "get", "Article's"),
        ("key", "inspect", "k", "-n", "Article's"),
        ("namespace", "rename", "Article's", "x"),
        ("namespace", "configure", "Article's", "--ack", "both"),
        ("namespace", "delete", "Article's", "--yes"),
        ("token", "create", "--name", "ci", "-n", "Article's"),
    ],
)
def test_nobody_is_told_to_create_what_would_be_read_or_changed(
    gateway: Gateway, command: tuple[str, ...]
) -> None:
    result = gateway.kvctl(*command)
    assert result.exit_code == 1
    assert result.stderr == (
        "kvctl: no namespace has the title \"Article's\"; did you mean 'articles'?\n"
        "`kvctl namespace list` shows all.\n"
    )


def test_an_unknown_id_is_told_so(gateway: Gateway) -> None:
    result = gateway.kvctl("key", "get", "k", "--namespace", "9" * 32)
    assert result.exit_code == 1
    assert f"no namespace has the id {'9' * 32}" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("create", ""), "title: must not be empty"),
        (("create", "a\nb"), "title: has a control character at position 1"),
        (("create", "t" * 513), "title: length of 513 characters exceeds the limit of 512"),
        (("create", "t", "--ack", "none"), "'none' is not one of 'first', 'first+intent', 'both'"),
        (("configure", "articles"), "nothing to change"),
        (("configure", "articles", "--operations-per-s", "many"), '"many": expected a whole'),
        (("configure", "articles", "--operations-per-s", "-1"), "-1 is not from 0 (no limit)"),
        (("create", "t", "--bytes-per-s", str(10**11 + 1)), "is not from 0 (no limit)"),
    ],
)
def test_what_is_wrong_is_named(gateway: Gateway, arguments: tuple[str, ...], message: str) -> None:
    result = gateway.kvctl("namespace", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_long_title_moves_no_other_row(gateway: Gateway) -> None:
    before = gateway.kvctl("namespace", "list").stdout.splitlines()
    gateway.kvctl("namespace", "create", "a long one" * 51)
    after = gateway.kvctl("namespace", "list").stdout.splitlines()
    assert [line for line in after if "a long one" not in line] == before
