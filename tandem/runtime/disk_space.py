"""How much room a program's disk has, as it shows it."""

import os
from pathlib import Path

from tandem.runtime.telemetry import Metrics


def show_disk(metrics: Metrics, directory: Path) -> None:
    """Declares what is free where `directory` lies, for those who are not root."""
    metrics.gauge(
        "tandem_disk_free_bytes", "free on the disk of the data directory",
        lambda: _free(directory)[0],
    )  # fmt: skip
    metrics.gauge(
        "tandem_disk_free_share", "of the disk of the data directory, 0 to 1",
        lambda: _free(directory)[1],
    )  # fmt: skip


def _free(directory: Path) -> tuple[float, float]:
    """Bytes, and their share; a disk that cannot be asked has no room for anything."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return 0.0, 0.0
    free = found.f_bavail
    return float(free * found.f_frsize), free / max(1, found.f_blocks - found.f_bfree + free)
