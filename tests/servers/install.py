"""Installs the servers and clients that tests talk to; `make servers` runs it, and again at no
cost."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.powercut import system_calls
from tests.servers import faketime, ministack, npm, python_sdks
from tests.servers.rgw import Rgw

RGW_PACKAGES = ("ceph-mon", "ceph-osd", "radosgw")
_QUIETLY = ("--omit=peer", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def main() -> int:
    missing = [reason for reason in _installed() if reason]
    for reason in missing:
        print(f"Tests that need it will not run: {reason}", file=sys.stderr)
    return 1 if missing and os.environ.get("CI") == "true" else 0


def _installed() -> Iterator[str | None]:
    """Why each thing is missing after all; None where it is there."""
    yield _install_rgw()
    yield _install_package("strace", system_calls.why_missing)
    yield _install_package(faketime.PACKAGE, faketime.why_missing)
    yield _install_in_venv("ministack", ministack.VERSION, ministack.VENV)
    for version in python_sdks.VERSIONS:
        yield _install_in_venv("cloudflare", version, python_sdks.venv(version))
    yield _install_npm_packages()


def _install_rgw() -> str | None:
    if Rgw.why_missing() is None:
        return None
    print("Installing Ceph RGW")
    failure = _apt_get(RGW_PACKAGES)
    return f"Ceph RGW: {failure}" if failure else Rgw.why_missing()


def _install_package(package: str, why_missing: Callable[[], str | None]) -> str | None:
    if why_missing() is None:
        return None
    print(f"Installing {package}")
    failure = _apt_get((package,))
    return f"{package}: {failure}" if failure else why_missing()


def _install_in_venv(package: str, version: str, venv: Path) -> str | None:
    stamp = venv / f".installed-{version}"
    if stamp.exists():
        return None
    print(f"Installing {package} {version}")
    pip = (str(venv / "bin" / "python"), "-m", "pip", "install", "-qq")
    for command in (
        (sys.executable, "-m", "venv", "--clear", str(venv)),
        (*pip, "--disable-pip-version-check", f"{package}=={version}"),
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            return f"{package} {version}: {done.stderr[-500:]}"
    stamp.touch()
    return None


def _install_npm_packages() -> str | None:
    if npm.why_missing() is None:
        return None
    if shutil.which("npm") is None:
        print("Installing npm")
        failure = _apt_get(("npm",))
        if failure:
            return f"npm: {failure}"
    print("Installing workerd, Miniflare, wrangler and the TypeScript SDK")
    shutil.rmtree(npm.ROOT, ignore_errors=True)
    npm.ROOT.mkdir()
    for manifest in npm.MANIFESTS:
        shutil.copy(manifest, npm.ROOT)
    done = subprocess.run(("npm", "ci", *_QUIETLY), cwd=npm.ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        return f"npm packages: {done.stderr[-500:]}"
    npm.stamp().touch()
    return npm.why_missing()


def _apt_get(packages: Sequence[str]) -> str | None:
    """Installs packages of the system; why that failed, or None."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return f"needs root: apt-get install --no-install-recommends {' '.join(packages)}"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ("install", "-y", "-qq", "--no-install-recommends", *packages)
    for arguments in (("update", "-qq"), install):
        done = subprocess.run(
            ("apt-get", *arguments), env=environment, capture_output=True, text=True
        )
        if done.returncode != 0:
            return f"apt-get {arguments[0]} failed: {done.stderr[-500:]}"
    return None


if __name__ == "__main__":
    sys.exit(main())
