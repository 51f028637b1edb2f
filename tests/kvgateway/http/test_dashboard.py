"""The dashboard's files, and the status that they show."""

import json
import re
from pathlib import Path

import pytest

from kvgateway.http.dashboard.door import PATHS, STATUS
from tandem.core.status_document import status_document
from tests.kvgateway.http.doors import opened, request

FILES = sorted(path.decode() for path in PATHS - {STATUS})


@pytest.mark.parametrize("path", FILES)
async def test_everybody_may_have_the_files_and_nothing_else_comes_with_them(
    tmp_path: Path, path: str
) -> None:
    async with opened(tmp_path) as door:
        door.entrance.refused |= {"", "wrong"}
        answer = await door.raw(request("GET", path, b"Sec-Fetch-Site: none"))
        head = await door.raw(request("HEAD", path))
        posted = await door.raw(request("POST", path, body=b"x"))
    assert (answer.status, head.status, posted.status) == (200, 200, 405)
    assert posted.headers[b"allow"] == b"GET, HEAD"
    assert answer.headers[b"content-security-policy"].startswith(b"default-src 'none'")
    assert b"unsafe" not in answer.headers[b"content-security-policy"]
    named = re.findall(rb'(?:src|href|from) ?=? ?"([^"]+)"', answer.body)
    assert all(b"//" not in name for name in named), "something comes from elsewhere"
    served = {name.removeprefix(b"./").removeprefix(b"dashboard/").decode() for name in named}
    assert {f"/dashboard/{name}" for name in served - {"data:,"}} <= set(FILES)


async def test_the_status_is_what_the_command_line_shows(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        answer = await door.raw(request("GET", "/status?x=1"))
        status = await door.entrance.caller.operations.status()
    assert answer.status == 200
    assert answer.headers[b"cache-control"] == b"no-store"
    assert json.loads(answer.body) == json.loads(json.dumps(status_document(status)))


async def test_the_status_wants_a_token_where_one_is_needed_and_of_every_web_page(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as door:
        page = await door.raw(request("GET", "/status", b"Sec-Fetch-Site: same-origin"))
        door.entrance.refused.add("wrong")
        door.entrance.unknown.add("looked-for")
        wrong, found = [
            await door.raw(request("GET", "/status", b"Authorization: Bearer " + token))
            for token in (b"wrong", b"looked-for")
        ]
    assert (page.status, wrong.status, found.status) == (401, 401, 200)
    assert page.headers[b"www-authenticate"] == b"Bearer"
    assert wrong.body == b"Unauthorized: the token is not valid\n"
