"""`kvctl token`, and which token a command shows to the gateway."""

from pathlib import Path

import pytest

from tandem.errors import Overloaded, PermissionDenied, QuotaExceeded, TandemError, Unauthenticated
from tests.kvctl.serving import ARTICLES, Gateway, invoke
from tests.kvgateway.open_entrance import OpenEntrance
from tests.kvgateway.rpc.memory_store import NAMESPACE


def test_the_life_of_a_token(gateway: Gateway) -> None:
    made = gateway.json(
        "token", "create", "--name", "ci", "--namespace", NAMESPACE, "--permission", "read",
        "--expires", "30d", "--account", "acme",
    )  # fmt: skip
    assert made == {
        "id": f"{1:016x}", "name": "ci", "permission": "read", "account": "acme",
        "namespaces": [NAMESPACE], "created_at_s": 1, "expires_at_s": 1 + 30 * 86_400,
        "operations_per_s": 0, "bytes_per_s": 0, "large_bodies_max": 0,
        "token": f"tdm_{1:016x}_{1:064x}",
    }  # fmt: skip
    del made["token"]
    assert gateway.json("token", "list", "--account", "acme") == made
    assert gateway.kvctl("token", "list").stdout == ""
    assert gateway.json("token", "revoke", made["id"]) == {"id": made["id"], "revoked": True}
    again = gateway.kvctl("token", "revoke", made["id"])
    assert again.exit_code == 1
    assert f"token not found: {made['id']}; `kvctl token list" in again.stderr


def test_people_get_the_token_alone_on_standard_output(gateway: Gateway) -> None:
    made = gateway.kvctl("token", "create", "--name", "my laptop", "-n", "articles")
    text = f"tdm_{1:016x}_{1:064x}"
    assert made.stdout == f"{text}\n"
    assert f"export TANDEM_TOKEN={text}" in made.stderr
    assert f"kvctl token revoke {1:016x}" in made.stderr
    gateway.kvctl("token", "create", "--name", "all", "--all-accounts", "--expires", "1s")
    listed = gateway.kvctl("token", "list", "--all-accounts").stdout
    assert [line.split() for line in listed.splitlines()] == [
        ["ID", "NAME", "PERMISSION", "ACCOUNT", "NAMESPACES", "CREATED", "EXPIRES"],
        [f"{2:016x}", "all", "write", "all", "all", "1970-01-01T00:00:02Z",
         "1970-01-01T00:00:03Z", "(expired)"],
        [f"{1:016x}", "my", "laptop", "write", "default", "articles",
         "1970-01-01T00:00:01Z", "never"],
    ]  # fmt: skip
    assert text not in listed


def test_a_token_may_have_a_quota(gateway: Gateway) -> None:
    limits = ("--operations-per-s", "100", "--bytes-per-s", "1MiB", "--large-bodies-max", "2")
    made = gateway.json("token", "create", "--name", "slow", *limits)
    assert (made["operations_per_s"], made["bytes_per_s"]) == (100, 2**20)
    assert (made["large_bodies_max"], made["expires_at_s"]) == (2, None)
    gateway.kvctl("token", "create", "--name", "unlimited")
    header, *rows = gateway.kvctl("token", "list").stdout.splitlines()
    assert header.endswith("QUOTA")
    assert rows[0].endswith("operations 100 a second, bytes 1MiB a second, large bodies 2 at once")
    assert rows[1].endswith("none")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("create",), "--name: missing"),
        (("create", "--name", ""), "name: must have 1 to 100 printable characters"),
        (("create", "--name", "x", "--permission", "all"), "'all' is not one of"),
        (("create", "--name", "x", "--expires", "soon"), "expected a duration"),
        (
            ("create", "--name", "x", "--expires", "10ms"),
            "kvctl: --expires: 0 is below the minimum of 1",
        ),
        (("create", "--name", "x", "--expires", "9999999d"), "kvctl: --expires: must be 1 to"),
        (("create", "--name", "x", "--account", "a", "--all-accounts"), "exclude each other"),
        (("create", "--name", "x", "--bytes-per-s", "-1"), "expected a size"),
        (
            ("create", "--name", "x", "--operations-per-s", "-1"),
            "kvctl: --operations-per-s: -1 is not",
        ),
        (("list", "--account", "a", "--all-accounts"), "exclude each other"),
        (("revoke", "x"), "id: 'x' is not a token's id"),
    ],
)
def test_what_is_wrong_is_named(gateway: Gateway, arguments: tuple[str, ...], message: str) -> None:
    result = gateway.kvctl("token", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_no_tokens_yet(gateway: Gateway) -> None:
    result = gateway.kvctl("token", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no tokens in this account; create one: kvctl token create" in result.stderr


def test_which_token_is_shown(gateway: Gateway, tmp_path: Path) -> None:
    admin, other, file = "an-admin-token-1", "an-admin-token-2", tmp_path / "token"
    file.write_text("an-admin-token-3\n")
    entrance = OpenEntrance(gateway.store, gateway.registry, gateway.operations)
    gateway.complete(gateway.stop())
    gateway.entrance = entrance
    gateway.complete(gateway.start())
    at = gateway.environment

    def shown(*arguments: str, **environment: str) -> str:
        assert invoke("status", *arguments, environment={**at, **environment}).exit_code == 0
        return entrance.seen[-1]

    assert shown() == ""
    assert shown(TANDEM_ADMIN_TOKEN=admin) == admin
    assert shown(TANDEM_ADMIN_TOKEN_FILE=str(file)) == "an-admin-token-3"
    assert shown(TANDEM_ADMIN_TOKEN=admin, TANDEM_TOKEN=other) == other
    assert shown("--token", "mine", TANDEM_ADMIN_TOKEN=admin, TANDEM_TOKEN=other) == "mine"
    assert invoke("--token", "before", "status", environment=at).exit_code == 0
    assert entrance.seen[-1] == "before"
    for wrong in ({"TANDEM_ADMIN_TOKEN": "short"}, {"TANDEM_TOKEN": "a b"}):
        result = invoke("status", environment={**at, **wrong})
        assert result.exit_code == 2
        assert "token" in result.stderr
        assert "short" not in result.stderr


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("failure", "ending", "message"),
    [
        (Unauthenticated("the token is not valid"), 1, "Give a token with --token or TANDEM_TOKEN"),
        (PermissionDenied("t may read"), 1, "not allowed: t may read\nUse another token"),
        (QuotaExceeded("100 operations a second", 0.25), 3, "a second; try again in 0.25 s"),
        (Overloaded("busy"), 3, "has too much to do"),
    ],
)
def test_a_refusal_says_what_to_do(
    gateway: Gateway, failure: TandemError, ending: int, message: str
) -> None:
    gateway.store.failure = failure
    result = gateway.kvctl("key", "put", "k", "v", *ARTICLES)
    assert result.exit_code == ending
    assert message in result.stderr
