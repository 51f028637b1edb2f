"""The wall clock of a process as a test sets it, by libfaketime; its monotonic clock stays true."""

from collections.abc import Mapping
from pathlib import Path

PACKAGE = "libfaketime"
_PLACES = "/usr/lib/*/faketime/libfaketime.so.1"


def library() -> Path | None:
    """The library, if it is installed."""
    found = sorted(Path("/").glob(_PLACES.removeprefix("/")))
    return found[0] if found else None


def why_missing() -> str | None:
    """What keeps it from being used here, or None."""
    return None if library() else f"not installed: {PACKAGE}"


class WallClock:
    """How far the wall clock is ahead, as a file says that the library reads again and again."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set_ahead(0)

    def set_ahead(self, ahead_s: int) -> None:
        """Within a second; negative is behind."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead_s:+d}\n")
        new.replace(self._file)

    def environment(self, library: Path) -> Mapping[str, str]:
        """What a process needs to live by this clock."""
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }
