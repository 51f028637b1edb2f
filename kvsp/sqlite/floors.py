"""The floors of a cluster, in memory: below which version each range of names accepts no insert.

A range begins at its `start` and ends where the next one of its namespace begins.
"""

import sqlite3
from bisect import bisect_right

from tandem.core.version import NO_VERSION, Version


class Floors:
    """Answers for every read that misses and every insert, so it does not ask the file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._starts: dict[str, list[bytes]] = {}
        self._versions: dict[str, list[Version]] = {}
        rows = connection.execute(
            "select namespace, start, version from floor order by namespace, start"
        )
        for namespace, start, version in rows:
            self._starts.setdefault(namespace, []).append(start)
            self._versions.setdefault(namespace, []).append(Version.parse(version))

    def of(self, namespace: str, name: bytes) -> Version:
        """The floor of the range that `name` lies in."""
        starts = self._starts.get(namespace)
        if starts is None:
            return NO_VERSION
        at = bisect_right(starts, name)
        return self._versions[namespace][at - 1] if at else NO_VERSION
