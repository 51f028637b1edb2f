"""A PostgreSQL of the test run's own: one server, an empty database for whoever asks."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers.ports import free_port

PACKAGE = "postgresql"
_BINARIES = "/usr/lib/postgresql/*/bin/postgres"
USER = "postgres"
"""Owns the server, and everything in it."""
_SETTINGS = (
    "listen_addresses=", "max_connections=200", "shared_buffers=32MB", "autovacuum=off",
    "log_min_messages=warning",
)  # fmt: skip


def why_missing() -> str | None:
    """What keeps it from being used here, or None."""
    return None if _binaries() else f"not installed: {PACKAGE}"


def _binaries() -> Path | None:
    found = sorted(Path("/").glob(_BINARIES.removeprefix("/")))
    return found[-1].parent if found else None


class Postgres:
    """Listens on a socket in `path` only; root runs it as another user, since it refuses root."""

    def __init__(self, path: Path) -> None:
        binaries = _binaries()
        assert binaries is not None, why_missing()
        self._binaries = binaries
        self.path = path
        self._databases: list[str] = []
        self._data = path / "data"

    def make(self) -> None:
        """Makes the cluster of databases, and starts it."""
        if os.getuid() == 0:
            user = pwd.getpwnam(USER)
            self.path.chmod(0o755)
            os.chown(self.path, user.pw_uid, user.pw_gid)
        options = ("--no-sync", "--auth=trust", f"--username={USER}", "--encoding=UTF8")
        self._run("initdb", "--no-locale", *options, "-D", self._data)
        self.start()

    def start(self, *settings: str) -> None:
        """Returns when it answers."""
        options = " ".join(
            f"-c {one}" for one in (*_SETTINGS, f"unix_socket_directories={self.path}", *settings)
        )
        self._control("start", "--wait", "--log", self.path / "log", "-o", options)

    def stop(self, mode: str = "fast") -> None:
        """Ends it, with `immediate` as a crash would."""
        self._control("stop", "--wait", "--mode", mode)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stands still with all its processes, as on a machine whose disk hangs."""
        postmaster = int((self._data / "postmaster.pid").read_text().split()[0])
        _signal([postmaster], signal.SIGSTOP)
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        backends = [int(child) for child in children]
        _signal(backends, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal([*backends, postmaster], signal.SIGCONT)

    @contextmanager
    def over_tls(self, certificate: Path, key: Path) -> Iterator[int]:
        """Started again on a port of this machine, which asks for TLS and for passwords."""
        port = free_port()
        rules = self.path / "rules"
        rules.write_text("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
        if os.getuid() == 0:
            shutil.chown(key, USER)
        key.chmod(0o600)
        self.stop()
        try:
            self.start(
                "listen_addresses=127.0.0.1", f"port={port}", f"hba_file={rules}", "ssl=on",
                f"ssl_cert_file={certificate}", f"ssl_key_file={key}",
            )  # fmt: skip
            yield port
            self.stop()
        finally:
            self.start()

    def empty_databases(self, number: int) -> list[str]:
        """The same databases for each test, emptied, since making one takes long."""
        while len(self._databases) < number:
            self._databases.append(self.new_database(f"database_{len(self._databases)}"))
        for dsn in self._databases[:number]:
            self.sql("drop schema if exists tandem cascade", dsn)
        return self._databases[:number]

    def new_database(self, name: str, encoding: str = "UTF8") -> str:
        """An empty database; how to reach it."""
        self.sql(f"create database {name} template template0 encoding '{encoding}'")
        return self.dsn(name)

    def dsn(self, database: str) -> str:
        """How a database of this server is reached."""
        return f"postgresql://{USER}@/{database}?host={self.path}"

    def sql(self, statement: str, dsn: str = "") -> None:
        """Runs a statement."""
        options = ("-q", "-X", "-v", "ON_ERROR_STOP=1", "-c", statement)
        self._run("psql", *options, "-d", dsn or self.dsn(USER))

    def file(self, name: str) -> Path:
        """Where its programs can write."""
        return self.path / name

    def dump(self, dsn: str, file: Path) -> None:
        """What a backup holds."""
        self._run("pg_dump", "--format=custom", "-d", dsn, "-f", file)

    def restore(self, dsn: str, file: Path) -> None:
        """Puts a backup in the place of what is there."""
        self._run("pg_restore", "--clean", "--if-exists", "-d", dsn, file)

    def _control(self, action: str, *arguments: str | Path) -> None:
        self._run("pg_ctl", action, "-D", self._data, *arguments)

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [*as_user(), self._binaries / program, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            cwd=self.path, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stderr[-2000:]}")


def _signal(processes: Sequence[int], number: signal.Signals) -> None:
    """A backend may have come to its end meanwhile."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def as_user() -> Sequence[str]:
    """What has to stand before a command that refuses to be run by root."""
    if os.getuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    assert setpriv is not None, "setpriv is part of util-linux"
    return (setpriv, f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
