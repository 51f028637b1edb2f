"""What `make compiled` needs beside Python: a C compiler and Python's headers. Run as a program it
says "yes" where both are there."""

import shutil
import sys
import sysconfig
from pathlib import Path

PACKAGES = ("gcc", "libc6-dev", "python3-dev")


def why_missing() -> str | None:
    """What keeps C from being compiled for this Python, or None."""
    if shutil.which("cc") is None:
        return "not installed: gcc"
    headers = Path(sysconfig.get_path("include"), "Python.h")
    return None if headers.exists() else f"not installed: python3-dev, of which {headers} is"


if __name__ == "__main__" and why_missing() is None:
    sys.stdout.write("yes\n")
