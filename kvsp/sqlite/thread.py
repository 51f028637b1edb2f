"""How a cluster's file is opened."""

from pathlib import Path
from urllib.parse import quote

import aiosqlite

from tandem.backends.sqlite_rows import STATEMENTS

BUSY_TIMEOUT_S = 5.0
_STATEMENTS_CACHED = STATEMENTS + 64


async def connect(path: Path) -> aiosqlite.Connection:
    """Opens an existing file; transactions are begun and committed by hand."""
    return await aiosqlite.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        isolation_level=None,
        timeout=BUSY_TIMEOUT_S,
        cached_statements=_STATEMENTS_CACHED,
    )
