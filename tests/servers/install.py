"""Installs the S3 servers that tests talk to; `make servers` runs it, and again at no cost."""

import os
import shutil
import subprocess
import sys

from tests.servers import ministack
from tests.servers.rgw import Rgw

RGW_PACKAGES = ("ceph-mon", "ceph-osd", "radosgw")


def main() -> int:
    missing = [reason for reason in (_install_rgw(), _install_ministack()) if reason]
    for reason in missing:
        print(f"Tests that need this server will not run: {reason}", file=sys.stderr)
    return 1 if missing and os.environ.get("CI") == "true" else 0


def _install_rgw() -> str | None:
    if Rgw.why_missing() is None:
        return None
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        wanted = " ".join(RGW_PACKAGES)
        return f"Ceph RGW needs apt-get and root: apt-get install --no-install-recommends {wanted}"
    print("Installing Ceph RGW")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ("install", "-y", "-qq", "--no-install-recommends", *RGW_PACKAGES)
    for arguments in (("update", "-qq"), install):
        done = subprocess.run(
            ("apt-get", *arguments), env=environment, capture_output=True, text=True
        )
        if done.returncode != 0:
            return f"Ceph RGW: apt-get {arguments[0]} failed: {done.stderr[-500:]}"
    return Rgw.why_missing()


def _install_ministack() -> str | None:
    stamp = ministack.VENV / f".installed-{ministack.VERSION}"
    if stamp.exists():
        return None
    print("Installing ministack")
    pip = (str(ministack.VENV / "bin" / "python"), "-m", "pip", "install", "-qq")
    for command in (
        (sys.executable, "-m", "venv", "--clear", str(ministack.VENV)),
        (*pip, "--disable-pip-version-check", f"ministack=={ministack.VERSION}"),
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            return f"ministack: {done.stderr[-500:]}"
    stamp.touch()
    return ministack.Ministack.why_missing()


if __name__ == "__main__":
    sys.exit(main())
