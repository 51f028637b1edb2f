"""The directory for everything that must survive a restart, before anything is looked for in it."""

import os
from pathlib import Path
from typing import Final

from tandem.errors import ConfigurationError
from tandem.runtime.passing import may_pass

_OWN: Final = 0o700


def prepare(data: Path) -> None:
    """Makes the directory, for the eyes of this user alone: all values lie in it. One that is there
    stays as it is. Raises ConfigurationError when it cannot be made or written."""
    try:
        data.mkdir(_OWN, parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(data, str(error.strerror), passes=may_pass(error)) from None
    if not os.access(data, os.W_OK | os.X_OK):
        read_only = os.statvfs(data).f_flag & os.ST_RDONLY
        raise _refused(
            data, "its disk is read-only" if read_only else "this user may not write there"
        )


def _refused(data: Path, why: str, *, passes: bool = False) -> ConfigurationError:
    advice = "choose another one with --data or TANDEM_DATA"
    return ConfigurationError([f"{data}: no directory for data: {why}; {advice}"], passes=passes)
