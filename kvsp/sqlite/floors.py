"""The floors of a cluster, in memory: below which version each range of names accepts no insert.

The writer stages what a transaction changes and publishes it after the commit. Readers take what
is published *before* their snapshot begins: a miss then never carries a floor that rose after it,
which would call a record deleted that had come in between.
"""

import sqlite3
from collections.abc import Mapping

from kvsp.rules import floor_of
from tandem.core.cluster_life import floors_by_namespace
from tandem.core.floors import RangeFloors
from tandem.core.version import Version


class Floors:
    """Answers for every read that misses and every insert, so it does not ask the file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute(
            "select namespace, start, version from floor order by namespace, start"
        )
        self._published: Mapping[str, RangeFloors] = floors_by_namespace(
            [(namespace, start, Version.parse(version)) for namespace, start, version in rows]
        )
        self._staged: Mapping[str, RangeFloors] | None = None

    def of(self, namespace: str, name: bytes) -> Version:
        """The writer's view: the floor of the range that `name` lies in."""
        return floor_of(self.current(), namespace, name)

    def current(self) -> Mapping[str, RangeFloors]:
        """The writer's view of all floors."""
        return self._published if self._staged is None else self._staged

    def published(self) -> Mapping[str, RangeFloors]:
        """All floors as of the last commit; never changes once it is handed out."""
        return self._published

    def stage(self, floors: Mapping[str, RangeFloors]) -> None:
        """These are the floors if the transaction commits."""
        self._staged = floors

    def discard(self) -> None:
        """The transaction came to nothing."""
        self._staged = None

    def publish(self) -> None:
        """The transaction is committed."""
        self._published, self._staged = self.current(), None
