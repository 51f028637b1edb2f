"""`wrangler kv`, pointed at Tandem."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tandem.core.access import Permission
from tests.servers import npm
from tests.workers.runtimes import Served

ACCOUNT = "0123456789abcdef0123456789abcdef"
# A command takes more than a second. What a home less changes is tested with the SDKs, which ask
# for the same.
pytestmark = [
    pytest.mark.parametrize("tandem", ["both homes"], indirect=True),
    pytest.mark.timeout(900),  # on a busy machine a command takes half a minute
]


@dataclass(frozen=True)
class Wrangler:
    """Runs its commands in a directory of its own, without anything of this machine's."""

    directory: Path
    environment: dict[str, str]

    def __call__(self, *arguments: str, fails: bool = False) -> str:
        return self.run("kv", *arguments, fails=fails)

    def run(self, *arguments: str, fails: bool = False) -> str:
        """What it prints; with `fails`, what it says when it fails."""
        done = subprocess.run(
            (*npm.WRANGLER, *arguments),
            cwd=self.directory, env=self.environment, capture_output=True, timeout=180,
        )  # fmt: skip
        output, errors = done.stdout.decode(), done.stderr.decode()
        assert (done.returncode != 0) == fails, output + errors
        return output + errors if fails else output

    def json(self, *arguments: str) -> Any:  # noqa: ANN401 - that is what JSON holds
        return json.loads(self(*arguments))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where node keeps what it has compiled of wrangler, for the next command."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
def wrangler(npm_packages: None, tandem: Served, tmp_path: Path, compiled: Path) -> Wrangler:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "CI": "1",
        "NODE_COMPILE_CACHE": str(compiled),
        "NO_COLOR": "1",
        "WRANGLER_HIDE_BANNER": "true",
        "WRANGLER_SEND_METRICS": "false",
        "CLOUDFLARE_API_BASE_URL": tandem.rest,
        "CLOUDFLARE_API_TOKEN": tandem.admin,
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
    }
    return Wrangler(tmp_path, environment)


@pytest.fixture
def namespace(tandem: Served) -> str:
    """The id of a new namespace of the account."""
    title = f"wrangler-{uuid4().hex}"
    return tandem.asked(lambda client: client.namespaces.create(title, account=ACCOUNT)).id


def test_keys(wrangler: Wrangler, namespace: str) -> None:
    at = ("--namespace-id", namespace, "--remote")
    wrangler("key", "put", "a/b é", "text é", "--metadata", '{"u": "🤓"}', "--ttl", "600", *at)
    (wrangler.directory / "bytes").write_bytes(bytes(range(256)) * 5000)
    wrangler("key", "put", "bytes", "--path", "bytes", "--expiration", "1999999999", *at)
    listed = wrangler.json("key", "list", *at)
    assert [key["name"] for key in listed] == ["a/b é", "bytes"]
    assert listed[0]["metadata"] == {"u": "🤓"}
    assert listed[1] == {"name": "bytes", "expiration": 1999999999}
    assert wrangler("key", "get", "a/b é", "--text", *at).strip() == "text é"
    wrangler("key", "delete", "a/b é", *at)
    assert "404: Not Found" in wrangler("key", "get", "a/b é", *at, fails=True)


def test_bulk(wrangler: Wrangler, namespace: str) -> None:
    at = ("--namespace-id", namespace, "--remote")
    pairs: list[dict[str, object]] = [
        {"key": f"k{number:04}", "value": f"v{number}"} for number in range(1200)
    ]
    pairs[0] |= {"value": "AP8=", "base64": True, "metadata": {"m": 1}, "expiration": 1999999999}
    (wrangler.directory / "pairs.json").write_text(json.dumps(pairs))
    wrangler("bulk", "put", "pairs.json", *at)
    listed = wrangler.json("key", "list", *at)
    assert [key["name"] for key in listed] == [pair["key"] for pair in pairs]
    assert listed[0] == {"name": "k0000", "expiration": 1999999999, "metadata": {"m": 1}}
    (wrangler.directory / "keys.json").write_text(json.dumps(["k0001", "k1199", "missing"]))
    got = wrangler("bulk", "get", "keys.json", *at)
    assert json.loads(got[got.index("{") : got.rindex("}") + 1]) == {
        "k0001": "v1", "k1199": "v1199", "missing": None,
    }  # fmt: skip
    wrangler("bulk", "delete", "keys.json", "--force", *at)
    assert len(wrangler.json("key", "list", "--prefix", "k", *at)) == 1198


def test_namespaces(wrangler: Wrangler) -> None:
    title = f"wrangler-{uuid4().hex}"
    created = wrangler("namespace", "create", title)
    namespace = json.loads(created[created.index("{") :])["kv_namespaces"][0]["id"]
    assert {"id": namespace, "title": title, "supports_url_encoding": True} in wrangler.json(
        "namespace", "list"
    )
    assert "already exists" in wrangler("namespace", "create", title, fails=True)
    assert "renamed" in wrangler("namespace", "rename", title, "--new-name", f"{title}-2")
    assert "Deleted" in wrangler("namespace", "delete", "--namespace-id", namespace, "-y")


def test_the_account_is_found_by_the_token(tandem: Served, wrangler: Wrangler) -> None:
    del wrangler.environment["CLOUDFLARE_ACCOUNT_ID"]
    made = tandem.asked(lambda client: client.tokens.create("w", Permission.WRITE, account=ACCOUNT))
    wrangler.environment["CLOUDFLARE_API_TOKEN"] = made.text
    assert wrangler.json("namespace", "list") is not None
    wrangler.environment["CLOUDFLARE_ACCOUNT_ID"] = ACCOUNT
    assert "- write" in wrangler.run("whoami", "--account", ACCOUNT)


def test_a_token_that_is_none(wrangler: Wrangler) -> None:
    wrangler.environment["CLOUDFLARE_API_TOKEN"] = "tdm_nobody_knows_this_token"
    assert "Authentication error" in wrangler("namespace", "list", fails=True)
