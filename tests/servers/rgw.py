"""Ceph RGW on one node: the real S3 server, with its unquoted ETags and 500s for some losers.

A monitor, one OSD and a gateway run as ordinary processes without privileges; their whole state
is in one directory. `tcp_nodelay` matters: without it every small GET costs 44 ms.
"""

import os
import shutil
import signal
import subprocess
from enum import Enum
from pathlib import Path
from string import Template
from uuid import uuid4

from tests.servers.daemon import Daemon
from tests.servers.ports import free_port

COMMANDS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "ceph")
_CONFIGURATION = Template(Path(__file__).with_name("ceph.conf").read_text())


class ObjectStore(Enum):
    """Where the OSD keeps its data: in memory (quick), or in a file that survives a stop."""

    MEMSTORE = "memstore"
    BLUESTORE = "bluestore"


class Rgw:
    """One gateway with its monitor and OSD below `directory`."""

    access_key = "test"
    secret_key = "testtesttest"

    def __init__(self, directory: Path, store: ObjectStore = ObjectStore.MEMSTORE) -> None:
        self._directory = directory
        self._port, self._monitor_port = free_port(), free_port()
        self._cluster_id = str(uuid4())
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self._configuration = directory / "ceph.conf"
        self._write_configuration(store)
        self._monitor = self._daemon("ceph-mon", "-i", "a")
        self._osd = self._daemon("ceph-osd", "-i", "0")
        self._gateway = self._daemon("radosgw", "-n", "client.rgw")

    @staticmethod
    def why_missing() -> str | None:
        """What keeps it from running here, or None."""
        missing = [command for command in COMMANDS if shutil.which(command) is None]
        return f"not installed: {', '.join(missing)}" if missing else None

    def start(self) -> None:
        """Start what does not run; the first time, create the cluster and its one user."""
        first_time = not (self._directory / "mon" / "store.db").exists()
        if first_time:
            self._create_monitor()
        self._monitor.start()
        if first_time:
            self._create_osd()
        self._osd.start()
        self._gateway.start()
        if first_time:
            self._create_user()
        self._gateway.wait_for_port(self._port)

    def kill(self) -> None:
        """End the gateway with SIGKILL; what it acknowledged is safe in the OSD."""
        self._gateway.kill()

    def freeze(self) -> None:
        """Stop the gateway in its tracks: connections are made, and nothing is answered."""
        self._gateway.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on where it was."""
        self._gateway.signal(signal.SIGCONT)

    def restart(self) -> None:
        """Start the gateway anew, on the same port and data."""
        self._gateway.stop()
        self.start()

    def stop(self) -> None:
        for daemon in (self._gateway, self._osd, self._monitor):
            daemon.stop()

    def _write_configuration(self, store: ObjectStore) -> None:
        for name in ("mon", "osd", "rgw", "run", "log"):
            (self._directory / name).mkdir(parents=True)
        self._configuration.write_text(
            _CONFIGURATION.substitute(
                cluster_id=self._cluster_id,
                directory=self._directory,
                monitor_port=self._monitor_port,
                port=self._port,
                store=store.value,
                classes=_classes(),
            )
        )

    def _create_monitor(self) -> None:
        address = f"[v2:127.0.0.1:{self._monitor_port}]"
        monmap = str(self._directory / "monmap")
        self._run(
            "monmaptool", "--create", "--fsid", self._cluster_id, "--addv", "a", address, monmap
        )
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap)

    def _create_osd(self) -> None:
        osd_id = str(uuid4())
        self._run("ceph", "osd", "new", osd_id, "0")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd_id)

    def _create_user(self) -> None:
        keys = ("--access-key", self.access_key, "--secret-key", self.secret_key)
        user = ("user", "create", "--uid=test", "--display-name=test", *keys)
        self._run("radosgw-admin", "-n", "client.rgw", *user)

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            command, env=self._environment(), capture_output=True, text=True, timeout=120
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")

    def _daemon(self, *command: str) -> Daemon:
        log = self._directory / "log" / f"{command[0]}.out"
        return Daemon([*command, "-f"], log, self._environment())

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "CEPH_CONF": str(self._configuration)}


def _classes() -> Path:
    """Where the OSD's own code for RGW lies."""
    return next(Path("/usr/lib").glob("*/rados-classes"), Path("/usr/lib/rados-classes"))
