"""The machine's trust in its homes on disk, shared by all workers and kept over restarts."""

import os
from pathlib import Path

from kvgateway.trust import Trust
from tandem.runtime import logs

_LOG = logs.get("trust_file")


class DiskTrustFile:
    """One small file, replaced whole. What one worker overwrites of another's comes back with the
    other's next exchange, since every worker keeps all it has seen and both views only grow."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = ""

    def exchange(self, mine: Trust, namespaces: frozenset[str] = frozenset()) -> None:
        """Merges what is on disk into `mine`, drops what crawls of all `namespaces` have outlived,
        and writes `mine` where that differs.

        A file that cannot be read is logged and counts as empty: the homes are then trusted until
        something is missed again, as after a first start.
        """
        try:
            text = self._path.read_text()
            mine.merge(Trust.from_json(text))
        except FileNotFoundError:
            text = ""
        except (OSError, ValueError, KeyError, TypeError) as error:
            _LOG.error("trust_file_unreadable", path=str(self._path), error=repr(error))
            text = ""
        mine.settle(namespaces)
        merged = mine.to_json()
        if merged != text:
            temporary = self._path.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(merged)
            temporary.replace(self._path)
