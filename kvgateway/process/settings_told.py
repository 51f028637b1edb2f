"""Which settings are in force: the supervisor writes it beside the shared memory, and the workers
show it."""

import json
from dataclasses import asdict
from pathlib import Path

from tandem.core.settings_in_force import NOT_TOLD, SettingsInForce


def write(path: Path, in_force: SettingsInForce) -> None:
    """Replaces what is told; OSError when it cannot be written."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(asdict(in_force)))
    new.replace(path)


class SettingsSeen:
    """What a worker has last read of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.in_force = NOT_TOLD

    def look(self) -> None:
        """Reads it anew; blocking. What cannot be read leaves it as it was."""
        try:
            told = json.loads(self._path.read_bytes())
        except OSError:
            return
        self.in_force = SettingsInForce(
            told["read_us"], tuple(told["mistakes"]), tuple(told["waiting"])
        )
