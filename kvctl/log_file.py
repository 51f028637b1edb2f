"""The log of a part: how much it holds, and how it makes room while the part goes on writing.

The part writes through a descriptor of its own, at the end of the file, and must outlive whoever
keeps it: so nothing reads from a pipe, and the file is copied and emptied in place. A line that is
written between the copy and the emptying is lost.
"""

import os
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Final

from tandem.core.limits import MIB

LOG_BYTES_MAX: Final = 16 * MIB
EARLIER_MAX: Final = 2
"""How many full logs are kept beside the one that is written, as `NAME.1` (the newest) and on."""


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
