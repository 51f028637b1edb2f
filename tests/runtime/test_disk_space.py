"""What is shown of a disk is what the system says of it."""

import shutil
from pathlib import Path

import pytest

from tandem.runtime.clock import SystemClock
from tandem.runtime.disk_space import show_disk
from tandem.runtime.telemetry import Metrics


def _shown(directory: Path) -> dict[str, float]:
    metrics = Metrics("test", SystemClock())
    show_disk(metrics, directory)
    lines = metrics.prometheus().decode().splitlines()
    metrics.close(1.0)
    pairs = (line.split(" ") for line in lines if line.startswith("tandem_disk"))
    return {name: float(value) for name, value in pairs}


def test_what_is_free_is_shown_in_bytes_and_as_a_share(tmp_path: Path) -> None:
    shown = _shown(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    share = usage.free / (usage.free + usage.used)
    assert shown["tandem_disk_free_bytes"] == pytest.approx(usage.free, rel=0.1)
    assert shown["tandem_disk_free_share"] == pytest.approx(share, rel=0.1)


def test_a_disk_that_cannot_be_asked_has_no_room(tmp_path: Path) -> None:
    shown = _shown(tmp_path / "gone")
    assert shown == {"tandem_disk_free_bytes": 0.0, "tandem_disk_free_share": 0.0}
