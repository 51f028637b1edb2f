"""curl, by hand: the binding's paths and the REST API, and who is let in."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.workers.runtimes import Served

MIB = 1024 * 1024


@pytest.fixture
def curl(tandem: Served) -> "Curl":
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    return Curl(tandem)


class Curl:
    """Asks for paths of the gateway's HTTP port."""

    def __init__(self, tandem: Served) -> None:
        self.tandem = tandem
        found = tandem.namespace
        self.binding = f"/namespaces/{found.id}"
        self.rest = f"/client/v4/accounts/{found.account}/storage/kv/namespaces/{found.id}"

    def __call__(self, path: str, *options: str, token: str | None = None) -> tuple[int, bytes]:
        """Status and body."""
        authorization = self.tandem.write if token is None else token
        done = subprocess.run(
            (
                "curl", "-sS", "-w", "\n%{http_code}", "--max-time", "30", *options,
                "-H", f"Authorization: Bearer {authorization}",
                f"http://{self.tandem.deployment.http}{path}",
            ),
            capture_output=True, check=True,
        )  # fmt: skip
        body, _, status = done.stdout.rpartition(b"\n")
        return int(status), body


def test_a_value_by_the_path_of_the_binding(curl: Curl) -> None:
    at = f"{curl.binding}/a%2Fb?urlencoded=true"
    assert curl(at, "-X", "PUT", "--data-binary", "text", "-H", "CF-KV-Metadata: 1")[0] == 200
    assert curl(at) == (200, b"text")
    assert b'"name":"a/b"' in curl(f"{curl.binding}/?prefix=a%2F")[1].replace(b" ", b"")
    assert curl(at, "-X", "DELETE")[0] in {200, 204}
    assert curl(at)[0] == 404


def test_a_large_file_up_and_down_in_chunks(curl: Curl, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(bytes(range(256)) * (25 * MIB // 256))
    chunked = ("-T", str(tmp_path / "up"), "-H", "Transfer-Encoding: chunked")
    assert curl(f"{curl.rest}/values/large", *chunked)[0] == 200
    status, _ = curl(f"{curl.rest}/values/large", "-o", str(tmp_path / "down"))
    assert status == 200, (tmp_path / "down").read_bytes()[:500]
    assert (tmp_path / "down").read_bytes() == (tmp_path / "up").read_bytes()
    with (tmp_path / "up").open("ab") as file:
        file.write(b"x")
    assert curl(f"{curl.rest}/values/large", *chunked)[0] == 413


def test_a_form_with_metadata(curl: Curl) -> None:
    form = ("-X", "PUT", "-F", "value=from a form", "-F", 'metadata={"m": 1}')
    status, body = curl(f"{curl.rest}/values/form", *form)
    assert (status, json.loads(body)["success"]) == (200, True)
    assert curl(f"{curl.rest}/values/form") == (200, b"from a form")
    assert json.loads(curl(f"{curl.rest}/metadata/form")[1])["result"] == {"m": 1}


@pytest.mark.parametrize(
    ("token", "reads", "writes"),
    [("write", 200, 200), ("read", 200, 403), ("none", 401, 401)],
)
def test_who_is_let_in(curl: Curl, token: str, reads: int, writes: int) -> None:
    curl(f"{curl.rest}/values/k", "-X", "PUT", "-d", "v")
    text = {"write": curl.tandem.write, "read": curl.tandem.read, "none": "wrong"}[token]
    for at in (f"{curl.rest}/values/k", f"{curl.binding}/k"):
        assert curl(at, token=text)[0] == reads
        assert curl(at, "-X", "PUT", "-d", "v", token=text)[0] == writes


def test_a_token_of_one_namespace_does_not_reach_others(curl: Curl) -> None:
    title = f"other-{curl.binding[-8:]}"
    made = curl.tandem.asked(lambda client: client.namespaces.create(title))
    other = curl.binding.rpartition("/")[0] + f"/{made.id}"
    assert curl(f"{other}/k")[0] == 403
    curl.tandem.asked(lambda client: client.namespaces.delete(made.id))
