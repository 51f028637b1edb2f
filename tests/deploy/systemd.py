"""systemd-analyze, which reads units as systemd does, also where systemd does not run."""

import re
import subprocess
from pathlib import Path
from typing import Final

PACKAGE: Final = "systemd"
_EXPOSURE: Final = re.compile(r"Overall exposure level for \S+: ([\d.]+)")


def why_missing() -> str | None:
    """What keeps it from being used here, or None."""
    try:
        done = subprocess.run(("systemd-analyze", "--version"), capture_output=True, text=True)
    except FileNotFoundError:
        return f"not installed: {PACKAGE}"
    version = re.match(r"systemd (\d+)", done.stdout)
    old = version is None or int(version[1]) < 250
    return "systemd-analyze is older than 250 and judges no files" if old else None


def complaints_of(*units: Path) -> str:
    """What systemd would say when it loads them; nothing when all is well."""
    done = subprocess.run(("systemd-analyze", "verify", *units), capture_output=True, text=True)
    return done.stdout + done.stderr


def exposure(unit: Path) -> float:
    """How much of the system is open to the service, from 0 to 10 (everything)."""
    done = subprocess.run(
        ("systemd-analyze", "security", "--offline=true", unit), capture_output=True, text=True
    )
    found = _EXPOSURE.search(done.stdout)
    assert found is not None, done.stdout + done.stderr
    return float(found[1])
