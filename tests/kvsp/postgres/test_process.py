"""The real program on PostgreSQL: ready, readable by all, silent about passwords, told to stop."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.reply import Found, Stored
from tandem.core.version import Version
from tandem.runtime.clock import SystemClock
from tests.kvsp.records import NAMESPACE
from tests.kvsp.test_process import client, running
from tests.servers.ports import free_port
from tests.servers.postgres import Postgres

KEY = Key(NAMESPACE, "key")


async def test_two_programs_serve_one_database(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_KVSP_POSTGRES", dsn)
    with running(tmp_path / "one") as (_, one), running(tmp_path / "other") as (program, other):
        async with client(one) as writing, client(other) as reading:
            record = seal(Version.at(SystemClock().now_us()), b"value")
            assert isinstance(await writing.put_if_newer(KEY, record, 30.0), Stored)
            found = await reading.get(KEY, 30.0)
            assert isinstance(found, Found)
            assert found.record == record
        program.process.terminate()
        assert program.log_until("stopped")["event"] == "stopped"
        assert program.process.wait(60) == 0
    assert not (tmp_path / "one").exists(), "nothing is kept there"


async def test_readiness_follows_the_database(
    dsn: str, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_KVSP_POSTGRES", dsn)
    page = f"127.0.0.1:{free_port()}"

    def readiness() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{page}/readyz") as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    with running(tmp_path, "--kvsp-metrics", page) as (program, _):
        assert readiness()[0] == 200
        postgres.stop()
        try:
            assert program.log_until("cluster_unreachable")["event"] == "cluster_unreachable"
            status, why = readiness()
            assert status == 503
            assert "unreachable: PostgreSQL is away" in why
        finally:
            postgres.start()
        assert program.log_until("cluster_reached_again")["event"] == "cluster_reached_again"
        assert readiness()[0] == 200


def test_a_password_is_shown_nowhere(dsn: str, tmp_path: Path) -> None:
    secret = f"{dsn}&password=verysecret&application_name=x&sslmode=nonsense"
    command = [sys.executable, "-m", "kvsp.main", "--data", str(tmp_path), "--log-format", "json"]
    environment = {**os.environ, "TANDEM_KVSP_POSTGRES": secret}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "cannot_start" in done.stderr
    assert "sslmode" in done.stderr
    helped = subprocess.run([*command, "--help"], env=environment, capture_output=True, text=True)
    assert "verysecret" not in done.stdout + done.stderr + helped.stdout + helped.stderr
    assert json.loads(done.stderr.splitlines()[-1])["mistakes"]
