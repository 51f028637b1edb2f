"""How often the process of each worker was started, and what became of it.

The supervisor writes it beside the shared memory, and the workers show it: in their metrics each
its own, in a status all together.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(slots=True)
class Lives:
    """What happened to the processes in one worker's slot."""

    started: int = 0
    silent: int = 0
    died: int = 0
    not_started: int = 0
    """Replacements that failed: the recovery before them, or the start itself."""
    replaced: int = 0
    """Those that gave way to one with other settings."""


def write(path: Path, lives: Sequence[Lives]) -> None:
    """Replaces what is told of all slots; OSError when it cannot be written."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps([asdict(one) for one in lives]))
    new.replace(path)


class LivesSeen:
    """What the worker in one slot has last read of it."""

    def __init__(self, path: Path, slot: int) -> None:
        self._path = path
        self._slot = slot
        self._lives: Sequence[Lives] = ()

    def look(self) -> None:
        """Reads it anew; blocking. What cannot be read leaves it as it was."""
        try:
            rows = json.loads(self._path.read_bytes())
        except OSError:
            return
        self._lives = [Lives(**row) for row in rows]

    def own(self) -> Lives:
        """Of this worker's slot."""
        return self._lives[self._slot] if self._slot < len(self._lives) else Lives()

    def restarts(self) -> int:
        """How many processes of the machine took the place of another one that had died."""
        return sum(one.died for one in self._lives)
