"""Debian's pooler before a PostgreSQL: hands out the server's connections by transaction."""

import os
import shutil
from pathlib import Path

from tests.servers.daemon import Daemon
from tests.servers.ports import free_port
from tests.servers.postgres import USER, Postgres, as_user

PACKAGE = "pgbouncer"
_BINARY = "/usr/sbin/pgbouncer"


def why_missing() -> str | None:
    """What keeps it from being used here, or None."""
    return None if Path(_BINARY).exists() else f"not installed: {PACKAGE}"


class Pgbouncer:
    """Before all databases of `postgres`; `ignored` are settings that it swallows."""

    def __init__(self, postgres: Postgres, path: Path, ignored: str = "extra_float_digits") -> None:
        self.port = free_port()
        settings = path / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host={postgres.path} user={USER}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\n"
            "unix_socket_dir =\nauth_type = any\n"
            f"pool_mode = transaction\nignore_startup_parameters = {ignored}\n"
        )
        if os.getuid() == 0:
            path.chmod(0o755)
            shutil.chown(settings, USER)
        self._daemon = Daemon([*as_user(), _BINARY, settings], path / "pgbouncer.log")

    def start(self) -> None:
        """Returns when it answers."""
        self._daemon.start()
        self._daemon.wait_for_port(self.port)

    def stop(self) -> None:
        """Ends it."""
        self._daemon.stop()

    def dsn(self, database: str) -> str:
        """How a database is reached through it."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"
