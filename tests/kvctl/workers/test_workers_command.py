"""`kvctl workers`, as far as it goes without a Worker."""

import stat
from pathlib import Path

from tests.kvctl.serving import Gateway
from tests.kvgateway.rpc.memory_store import NAMESPACE


def test_it_prints_a_configuration(gateway: Gateway) -> None:
    result = gateway.kvctl(
        "workers", "articles", "--http", "10.0.0.5:80", "--worker-token", "tdm_x"
    )
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("# Written by `kvctl workers`.")
    assert f'kvNamespace = "kv-{NAMESPACE}"' in result.stdout
    assert 'value = "Bearer tdm_x"' in result.stdout


def test_the_address_is_where_up_listens(gateway: Gateway) -> None:
    assert 'address = "127.0.0.1:8780"' in gateway.kvctl("workers", "articles").stdout


def test_json_has_the_bindings_too(gateway: Gateway) -> None:
    told = gateway.json("workers", f"{NAMESPACE}=KV")
    assert told["bindings"] == [{"binding": "KV", "title": "articles", "id": NAMESPACE}]
    assert "workerd.capnp" in told["configuration"]


def test_an_adapter_is_written_with_its_secret_for_its_owner(
    gateway: Gateway, tmp_path: Path
) -> None:
    directory = tmp_path / "tandem-kv"
    told = gateway.kvctl(
        "workers", "articles", "--adapter", str(directory), "--worker-token", "tdm_x"
    )
    assert told.exit_code == 0
    assert '"entrypoint": "ARTICLES"' in told.stdout
    assert f"wrangler dev -c wrangler.jsonc -c {directory}/wrangler.json" in told.stdout
    assert stat.S_IMODE((directory / ".dev.vars").stat().st_mode) == 0o600
    assert f'id = "{NAMESPACE}"' in (directory / "adapter.mjs").read_text()
    assert gateway.json("workers", "articles", "--adapter", str(directory))["files"] == [
        "adapter.mjs", "wrangler.json",
    ]  # fmt: skip


def test_what_is_wrong_is_told(gateway: Gateway, tmp_path: Path) -> None:
    assert "did you mean 'articles'?" in gateway.kvctl("workers", "artcles").stderr
    assert gateway.kvctl("workers").exit_code == 2
    assert gateway.kvctl("workers", "articles=no-name").exit_code == 2
    refused = gateway.kvctl("workers", "articles", "--worker-token", "a b")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("kvctl: --worker-token: must consist of printable ASCII")
    (tmp_path / "file").touch()
    assert gateway.kvctl("workers", "articles", "--adapter", str(tmp_path / "file")).exit_code == 2
    below = gateway.kvctl("workers", "articles", "--adapter", str(tmp_path / "file/x"))
    assert (below.exit_code, "Not a directory" in below.stderr) == (2, True)
