"""Cloudflare's official SDKs, pointed at Tandem: Python in two major versions, and TypeScript."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.servers import npm
from tests.servers.python_sdks import NEW, OLD
from tests.workers.runtimes import HERE, Served

ACCOUNT = "0123456789abcdef0123456789abcdef"

PYTHON = {
    "create again": "BadRequestError: 400 [10014]",
    "value": "text é",
    "expires": True,
    "metadata": {"é": [1]},
    "name": ["odd key é🤓 %2F+&=;:@!"],
    "delete": "fine",
    "value of nothing": "NotFoundError: 404 [10009]",
    "metadata of nothing": "NotFoundError: 404 [10009]",
    "ttl too short": "BadRequestError",
    "bulk put": [1500, []],
    "pages of names": True,
    "listed metadata": [{"first": True}, None],
    "bytes": [0, 1],
    "bulk get": {"bulk/0001": "bulk/0001", "missing": None},
    "bulk get with metadata": {"bulk/0000": {"value": "\0\1", "metadata": {"first": True}}},
    "bulk delete": [1500, []],
    "nothing left": [],
    "get deleted": "NotFoundError: 404 [10013]",
    "put into deleted": "NotFoundError: 404 [10013]",
}
PYTHON_4 = {
    # It sends a JSON object of both, which Workers KV too stores as the value.
    "value": '{"metadata":{"é":[1]},"value":"text é"}',
    "metadata": None,
    # It does not encode the per cent sign.
    "name": ["odd key é🤓 /+&=;:@!"],
}
TYPESCRIPT = {
    "create again": "BadRequestError: 400 [10014]",
    "list": 1,
    "value": "text é",
    "expires": True,
    "metadata": {"é": [1]},
    "name": ["odd key é🤓 %2F+&=;:@!?#/"],
    "delete": "fine",
    "bytes": [0, 255, 254],
    "value of nothing": "NotFoundError: 404 [10009]",
    "metadata of nothing": "NotFoundError: 404 [10009]",
    "ttl too short": "BadRequestError: 400 [10012]",
    "bulk put": {"successful_key_count": 1500, "unsuccessful_keys": []},
    "pages of names": True,
    "listed metadata": [{"first": True}, None],
    "bulk get": {"bulk/0001": "bulk/0001", "missing": None},
    "bulk get with metadata": {"bulk/0000": {"value": "\0\1", "metadata": {"first": True}}},
    "bulk delete": {"successful_key_count": 1500, "unsuccessful_keys": []},
    "nothing left": [],
    "get deleted": "NotFoundError: 404 [10013]",
}


def _told(command: Sequence[str | Path], tandem: Served, title: str) -> dict[str, Any]:
    """The clients find their way by the variables that `kvctl up` names."""
    environ = {"CLOUDFLARE_BASE_URL": tandem.rest, "CLOUDFLARE_API_TOKEN": tandem.admin}
    done = subprocess.run(
        (*command, ACCOUNT, title),
        env={**os.environ, **environ}, capture_output=True, text=True, timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


# All ask for the same: with either home missing, one of them does.
@pytest.mark.parametrize("python_sdk", [NEW], indirect=True)
@pytest.mark.parametrize("tandem", ["both homes", "without kvsp"], indirect=True)
def test_python(python_sdk: Path, tandem: Served) -> None:
    _python(python_sdk, tandem, PYTHON)


@pytest.mark.parametrize("python_sdk", [OLD], indirect=True)
@pytest.mark.parametrize("tandem", ["both homes"], indirect=True)
def test_python_4(python_sdk: Path, tandem: Served) -> None:
    _python(python_sdk, tandem, PYTHON | PYTHON_4)


def _python(python_sdk: Path, tandem: Served, expected: Mapping[str, object]) -> None:
    title = uuid4().hex
    names = {"create": title, "get": title, "list": [title], "rename": f"{title}2"}
    told = _told((python_sdk, HERE / "python_client.py"), tandem, title)
    assert told == {**expected, **names}


@pytest.mark.parametrize("tandem", ["both homes", "without s3"], indirect=True)
def test_typescript(npm_packages: None, tandem: Served) -> None:
    title = uuid4().hex
    expected = TYPESCRIPT | {"create": title, "get": title, "rename": f"{title}2"}
    command = (npm.NODE, HERE / "typescript_client.mjs", npm.MODULES)
    assert _told(command, tandem, title) == expected
