"""The log of a part: how it makes room while the part goes on writing, and the part's last words.

The part writes through a descriptor of its own, at the end of the file, and must outlive whoever
keeps it: so nothing reads from a pipe, and the file is copied and emptied in place. A line that is
written between the copy and the emptying is lost.
"""

import json
import os
import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from tandem.core.limits import MIB

LOG_BYTES_MAX: Final = 16 * MIB
EARLIER_MAX: Final = 2
"""How many full logs are kept beside the one that is written, as `NAME.1` (the newest) and on."""
WORDS_MAX: Final = 12
"""Lines that are told of a part that has failed."""
_REFUSED: Final = "cannot_start"


def make_room(log: Path, bytes_max: int = LOG_BYTES_MAX) -> bool:
    """Begins the log anew once it is longer than `bytes_max`; whether it was. Blocking.

    Raises OSError when there is no room for the copy; the log stays as it is then.
    """
    if not log.exists() or log.stat().st_size <= bytes_max:
        return False
    copy = log.with_name(f"{log.name}.new")
    try:
        shutil.copyfile(log, copy)
    except OSError:
        if copy.is_file():
            copy.unlink()
        raise
    earlier = [log.with_name(f"{log.name}.{age}") for age in range(1, EARLIER_MAX + 1)]
    for newer, older in reversed(list(pairwise(earlier))):
        if newer.exists():
            newer.replace(older)
    copy.replace(earlier[0])
    os.truncate(log, 0)
    return True


def last_words(log: Path, began: int) -> Sequence[str]:
    """Why a part that has written to `log` from `began` on does not run: the mistakes that it has
    found at its start, else its last lines. Blocking."""
    if not log.exists():
        return []
    with log.open("rb") as stream:
        stream.seek(began if began <= log.stat().st_size else 0)  # it may have been begun anew
        lines = stream.read().decode(errors="replace").splitlines()
    return _mistakes(lines[-1]) if lines and _REFUSED in lines[-1] else lines[-WORDS_MAX:]


def _mistakes(line: str) -> Sequence[str]:
    try:
        mistakes = json.loads(line)["mistakes"]
    except (ValueError, KeyError, TypeError):  # logs may be kept as text
        return [line]
    return [str(mistake) for mistake in mistakes]
