"""A PostgreSQL of the test run's own: one server, an empty database for whoever asks."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

PACKAGE = "postgresql"
_BINARIES = "/usr/lib/postgresql/*/bin/postgres"
_USER = "postgres"
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
        self._path = path
        self._databases: list[str] = []
        self._data = path / "data"

    def make(self) -> None:
        """Makes the cluster of databases, and starts it."""
        if os.getuid() == 0:
            user = pwd.getpwnam(_USER)
            self._path.chmod(0o755)
            os.chown(self._path, user.pw_uid, user.pw_gid)
        options = ("--no-sync", "--auth=trust", f"--username={_USER}", "--encoding=UTF8")
        self._run("initdb", "--no-locale", *options, "-D", self._data)
        self.start()

    def start(self) -> None:
        """Returns when it answers."""
        options = " ".join(
            f"-c {one}" for one in (*_SETTINGS, f"unix_socket_directories={self._path}")
        )
        self._control("start", "--wait", "--log", self._path / "log", "-o", options)

    def stop(self, mode: str = "fast") -> None:
        """Ends it, with `immediate` as a crash would."""
        self._control("stop", "--wait", "--mode", mode)

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
        return f"postgresql://{_USER}@/{database}?host={self._path}"

    def sql(self, statement: str, dsn: str = "") -> None:
        """Runs a statement."""
        options = ("-q", "-X", "-v", "ON_ERROR_STOP=1", "-c", statement)
        self._run("psql", *options, "-d", dsn or self.dsn(_USER))

    def file(self, name: str) -> Path:
        """Where its programs can write."""
        return self._path / name

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
            [*_as_user(), self._binaries / program, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            cwd=self._path, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stderr[-2000:]}")


def _as_user() -> Sequence[str]:
    if os.getuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    assert setpriv is not None, "setpriv is part of util-linux"
    return (setpriv, f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups")
