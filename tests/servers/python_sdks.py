"""Cloudflare's Python SDK in two major versions, each in a virtual environment of its own."""

from pathlib import Path

OLD, NEW = VERSIONS = ("4.3.1", "5.9.0")
_ROOT = Path(__file__).resolve().parents[2]


def venv(version: str) -> Path:
    """Where this version is."""
    return _ROOT / f".venv-cloudflare-{version}"


def python(version: str) -> Path:
    """The interpreter that can import it."""
    return venv(version) / "bin" / "python"


def why_missing(version: str) -> str | None:
    """What keeps it from being used here, or None."""
    return None if python(version).exists() else f"cloudflare {version} is not installed"
