"""A file system so small that a test can fill it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PIECES = (1 << 20, 1 << 12, 1)


@contextmanager
def mounted(path: Path, mib: int) -> Iterator[None]:
    """A file system of that size at `path` while the block runs. RuntimeError where none can be."""
    path.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(path)]
    if os.geteuid() != 0:
        raise RuntimeError("only root mounts a file system of a set size")
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(path: Path) -> Path:
    """Takes what is left of the file system at `path`; the file to remove for it to have room."""
    ballast = path / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in _PIECES:
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return ballast
