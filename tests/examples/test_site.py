"""The example site, started by its one command, and used."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers import npm
from tests.servers.ports import free_port

SITE = Path(__file__).resolve().parents[2] / "examples/site"
START_S = 180.0
NO_OBJECTS: tuple[object, ...] = (None, b"null", [])
"""Bodies that are not the object that is asked for."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - that is what JSON holds
        return json.loads(self.body)


@dataclass(frozen=True)
class Site:
    """The running site."""

    port: int
    directory: Path
    environment: dict[str, str]

    def ask(self, method: str, path: str, body: object = None, cookie: str = "") -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30.0)
        try:
            text = body if body is None or isinstance(body, bytes) else json.dumps(body)
            connection.request(method, path, text, {"Cookie": cookie} if cookie else {})
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())
        finally:
            connection.close()

    def kvctl(self, *arguments: str) -> None:
        command = (str(Path(sys.executable).with_name("kvctl")), *arguments)
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def site(npm_packages: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("example") / "site"
    shutil.copytree(SITE, directory, ignore=shutil.ignore_patterns("node_modules", "data"))
    grpc, door, kvsp, crawler, port = (free_port() for _ in range(5))
    environment = {
        **os.environ,
        "TANDEM_GRPC": f"127.0.0.1:{grpc}",
        "TANDEM_HTTP": f"127.0.0.1:{door}",
        "TANDEM_KVSP": f"127.0.0.1:{kvsp}",
        "TANDEM_CRAWLER": f"127.0.0.1:{crawler}",
        "TANDEM_SHARED_MEMORY": "16MiB",
        "KVCTL": str(Path(sys.executable).with_name("kvctl")),
        "WORKERD": str(npm.WORKERD),
        "LISTEN": f"127.0.0.1:{port}",
    }
    log = directory / "run.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [directory / "run"], env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        running = Site(port, directory, environment)
        _wait_for(running, process, log)
        yield running
        process.send_signal(signal.SIGTERM)
        assert process.wait(30.0) == 130, log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def _wait_for(site: Site, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up_at_s = time.monotonic() + START_S
    while time.monotonic() < give_up_at_s:
        assert process.poll() is None, log.read_text()
        try:
            if site.ask("GET", "/").status == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(log.read_text())


@pytest.mark.parametrize(
    ("path", "file", "kind"),
    [
        ("/", "index.html", "text/html"),
        ("/style.css", "style.css", "text/css"),
        ("/app.js", "app.js", "text/javascript"),
    ],
)
def test_pages_come_with_their_types(site: Site, path: str, file: str, kind: str) -> None:
    answer = site.ask("GET", path)
    assert (answer.status, answer.headers["content-type"]) == (200, kind)
    assert answer.body == (SITE / "public" / file).read_bytes()


def test_what_is_not_there(site: Site) -> None:
    assert site.ask("GET", "/nothing").status == 404
    assert site.ask("GET", "/api/nothing").status == 404
    assert site.ask("POST", "/style.css").status == 405


def test_a_page_is_asked_for_by_its_head(site: Site) -> None:
    answer = site.ask("HEAD", "/")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html")
    assert answer.body == b""


def test_a_file_that_was_stored_without_a_type_is_served(site: Site) -> None:
    site.kvctl("key", "put", "plain", "hello", "--namespace", "site")
    answer = site.ask("GET", "/plain")
    assert (answer.body, answer.headers["content-type"]) == (b"hello", "application/octet-stream")


@pytest.mark.parametrize("name", ["%ff", "%", "n" * 513])
def test_a_path_that_names_no_key(site: Site, name: str) -> None:
    assert site.ask("GET", f"/{name}").status == 404
    assert site.ask("GET", f"/api/flags/{name}").status == 400


def test_flags(site: Site) -> None:
    assert site.ask("PUT", "/api/flags/dark%20mode", {"percent": 30}).status == 200
    assert site.ask("PUT", "/api/flags/beta", {"percent": 100}).status == 200
    assert site.ask("GET", "/api/flags").json == {"beta": 100, "dark mode": 30}
    answers = [site.ask("GET", f"/api/flags/dark%20mode?user={n}").json["on"] for n in range(60)]
    again = [site.ask("GET", f"/api/flags/dark%20mode?user={n}").json["on"] for n in range(60)]
    assert answers == again
    assert 0 < sum(answers) < 60
    for refused in ({"percent": 101}, *NO_OBJECTS):
        assert site.ask("PUT", "/api/flags/beta", refused).status == 400
    assert site.ask("DELETE", "/api/flags/beta").status == 200
    assert site.ask("GET", "/api/flags/beta").status == 404


def test_a_session_begins_and_ends(site: Site) -> None:
    assert site.ask("GET", "/api/session").status == 401
    begun = site.ask("POST", "/api/session", {"name": "Ada"})
    assert begun.status == 201
    cookie = begun.headers["set-cookie"].split(";")[0]
    assert site.ask("GET", "/api/session", cookie=cookie).json == {"name": "Ada"}
    assert site.ask("DELETE", "/api/session", cookie=cookie).status == 200
    assert site.ask("GET", "/api/session", cookie=cookie).status == 401
    for refused in ({"name": ""}, {"name": 1}, *NO_OBJECTS):
        assert site.ask("POST", "/api/session", refused).status == 400


def test_it_goes_on_while_a_home_is_away(site: Site) -> None:
    for home in ("kvsp", "s3"):
        site.kvctl("backend", "disable", home)
        try:
            assert site.ask("GET", "/style.css").status == 200
            assert site.ask("PUT", f"/api/flags/{home}", {"percent": 1}).status == 200
            assert home in site.ask("GET", "/api/flags").json
        finally:
            site.kvctl("backend", "enable", home)


def test_a_file_that_has_changed_is_served_after_another_import(site: Site) -> None:
    (site.directory / "public/new.txt").write_text("new")
    assert site.ask("GET", "/new.txt").status == 404
    site.kvctl("import", str(site.directory / "public"), "--namespace", "site")
    assert site.ask("GET", "/new.txt").body == b"new"
