"""ministack, an emulator of the AWS dialect: quoted ETags and a conditional DELETE that works."""

from pathlib import Path

from tests.servers.daemon import Daemon
from tests.servers.ports import free_port

VERSION = "1.5.33"
VENV = Path(__file__).resolve().parents[2] / ".venv-ministack"


class Ministack:
    """One server; objects are mirrored to `directory` and so outlive `kill`."""

    access_key = "test"
    secret_key = "testtesttest"

    def __init__(self, directory: Path) -> None:
        self._port = free_port()
        self.endpoint = f"http://127.0.0.1:{self._port}"
        environment = {
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self._port),
            "SERVICES": "s3",
            "LOG_LEVEL": "WARNING",
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(directory / "objects"),
            "STATE_DIR": str(directory / "state"),
        }
        self._daemon = Daemon(
            [VENV / "bin" / "ministack"], directory / "ministack.log", environment
        )

    @staticmethod
    def why_missing() -> str | None:
        """What keeps it from running here, or None."""
        return None if (VENV / "bin" / "ministack").exists() else "ministack is not installed"

    def start(self) -> None:
        self._daemon.start()
        self._daemon.wait_for_port(self._port)

    def kill(self) -> None:
        self._daemon.kill()

    def restart(self) -> None:
        self._daemon.stop()
        self.start()

    def stop(self) -> None:
        self._daemon.stop()
