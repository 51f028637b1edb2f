"""Installs the servers and clients that tests talk to; `make servers` runs it, and again at no
cost."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from tests.deploy import promtool, systemd
from tests.powercut import system_calls
from tests.servers import compiler, faketime, ministack, npm, pgbouncer, postgres, python_sdks
from tests.servers.rgw import Rgw


@dataclass(frozen=True, slots=True)
class _Program:
    """Something that apt-get installs."""

    name: str
    packages: Sequence[str]
    why_missing: Callable[[], str | None]


_PROGRAMS = (
    _Program("a C compiler", compiler.PACKAGES, compiler.why_missing),
    _Program("Ceph RGW", ("ceph-mon", "ceph-osd", "radosgw"), Rgw.why_missing),
    _Program("strace", ("strace",), system_calls.why_missing),
    _Program("PostgreSQL", (postgres.PACKAGE,), postgres.why_missing),
    _Program(pgbouncer.PACKAGE, (pgbouncer.PACKAGE,), pgbouncer.why_missing),
    _Program(faketime.PACKAGE, (faketime.PACKAGE,), faketime.why_missing),
    _Program("promtool", (promtool.PACKAGE,), promtool.why_missing),
    _Program("systemd-analyze", (systemd.PACKAGE,), systemd.why_missing),
    _Program("npm", ("npm",), lambda: None if _has_npm() else npm.why_missing()),
)
_VENVS = (
    ("ministack", ministack.VERSION, ministack.VENV),
    *(("cloudflare", version, python_sdks.venv(version)) for version in python_sdks.VERSIONS),
)
_QUIETLY = ("--omit=peer", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")


def main() -> int:
    missing = [reason for reason in _installed() if reason]
    for reason in missing:
        print(f"Tests that need it will not run: {reason}", file=sys.stderr)
    return 1 if missing and os.environ.get("CI") == "true" else 0


def _installed() -> Iterator[str | None]:
    """Why each thing is missing after all; None where it is there.

    All sources are asked at once: most of the time goes into waiting for them.
    """
    with ThreadPoolExecutor() as pool:
        programs = pool.submit(_install_programs)
        others = [pool.submit(_install_in_venv, *one) for one in _VENVS]
        others.append(pool.submit(_install_npm_packages, programs))
        yield from programs.result()
        yield from (other.result() for other in others)


def _install_programs() -> Sequence[str | None]:
    """One after another: apt-get lets nobody work beside it."""
    missing = [one for one in _PROGRAMS if one.why_missing() is not None]
    if not missing:
        return ()
    failure = _apt_get("update", "-qq")
    return [failure] if failure else [_install(one) for one in missing]


def _install(program: _Program) -> str | None:
    _say(f"Installing {program.name}")
    failure = _apt_get("install", "-y", "-qq", "--no-install-recommends", *program.packages)
    return failure or program.why_missing()


def _install_in_venv(package: str, version: str, venv: Path) -> str | None:
    stamp = venv / f".installed-{version}"
    if stamp.exists():
        return None
    _say(f"Installing {package} {version}")
    pip = (str(venv / "bin" / "python"), "-m", "pip", "install", "-qq")
    for command in (
        (sys.executable, "-m", "venv", "--clear", str(venv)),
        (*pip, "--no-compile", "--disable-pip-version-check", f"{package}=={version}"),
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            return f"{package} {version}: {done.stderr[-500:]}"
    stamp.touch()
    return None


def _install_npm_packages(programs: Future[Sequence[str | None]]) -> str | None:
    if npm.why_missing() is None:
        return None
    if not _has_npm():
        wait([programs])
    if not _has_npm():
        return "npm packages: there is no npm"
    _say("Installing workerd, Miniflare, wrangler and the TypeScript SDK")
    shutil.rmtree(npm.ROOT, ignore_errors=True)
    npm.ROOT.mkdir()
    for manifest in npm.MANIFESTS:
        shutil.copy(manifest, npm.ROOT)
    done = subprocess.run(("npm", "ci", *_QUIETLY), cwd=npm.ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        return f"npm packages: {done.stderr[-500:]}"
    npm.stamp().touch()
    return npm.why_missing()


def _say(line: str) -> None:
    """In one piece, for several threads have something to say."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _has_npm() -> bool:
    return shutil.which("npm") is not None


def _apt_get(*arguments: str) -> str | None:
    """Runs it; why it failed, or None."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        lacking = [one for one in _PROGRAMS if one.why_missing() is not None]
        packages = " ".join(package for one in lacking for package in one.packages)
        return f"needs root: apt-get install --no-install-recommends {packages}"
    done = subprocess.run(
        ("apt-get", *arguments), env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode == 0:
        return None
    return f"apt-get {' '.join(arguments)} failed: {done.stderr[-500:]}"


if __name__ == "__main__":
    sys.exit(main())
