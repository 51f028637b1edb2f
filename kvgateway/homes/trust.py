"""Which home may lack writes: a home that is *behind* never gives a first answer.

A home misses writes while its writes are switched off, its breaker is open, or dirty marks stand
for it. What counts is the last moment at which it was known to miss some (`missed_us`); it is
trusted again for a namespace once a crawl that began later has found the namespace equal. Both are
times that only grow, so any two views merge by taking the greater: worker processes, and a file
that survives restarts, need no other agreement.
"""

import json
from typing import Final, Self

from tandem.core.reply import Side

ALL: Final = "*"
"""Stands for every namespace."""


class Trust:
    """What is known of missed writes and of completed crawls, in the homes' time."""

    def __init__(self) -> None:
        self._missed: dict[tuple[Side, str], int] = {}
        self._crawled: dict[str, int] = {}
        self._incarnations: dict[Side, tuple[int, str]] = {}

    def saw(self, side: Side, incarnation: str, rebuilt_us: int, now_us: int) -> None:
        """`side` shows this incarnation: another one than before was emptied or replaced meanwhile,
        and lacks everything until a crawl has passed. One that is seen for the first time lacks
        what was there before `rebuilt_us`, unless that is 0."""
        seen_us, known = self._incarnations.get(side, (0, incarnation))
        if known != incarnation:
            self.missed(side, ALL, now_us)
        elif not seen_us and rebuilt_us:
            self.missed(side, ALL, rebuilt_us)
        if known != incarnation or not seen_us:
            self._incarnations[side] = (now_us, incarnation)

    def missed(self, side: Side, namespace: str, now_us: int) -> None:
        """`side` lacks writes of `namespace` (or of ALL) until at least now."""
        at = (side, namespace)
        self._missed[at] = max(now_us, self._missed.get(at, 0))

    def crawled(self, namespace: str, began_us: int) -> None:
        """A crawl that began then found the namespace equal in both homes."""
        self._crawled[namespace] = max(began_us, self._crawled.get(namespace, 0))

    def crawled_us(self, namespace: str) -> int:
        """When the last crawl began that found the namespace equal in both homes; 0 for never."""
        return self._crawled.get(namespace, 0)

    def behind(self, namespace: str) -> tuple[Side, ...]:
        """The homes that may lack writes of `namespace`."""
        if not self._missed:
            return ()
        crawled_us = self._crawled.get(namespace, 0)
        last = {side: self._last_missed(side, namespace) for side in Side}
        return tuple(s for s, missed_us in last.items() if missed_us and missed_us >= crawled_us)

    def _last_missed(self, side: Side, namespace: str) -> int:
        return max(self._missed.get((side, namespace), 0), self._missed.get((side, ALL), 0))

    def open_marks(self, side: Side) -> list[str]:
        """The namespaces (or ALL) for which `side` has a mark that may not be cleared yet."""
        return sorted(
            namespace
            for (marked, namespace), missed_us in self._missed.items()
            if marked is side and missed_us >= self._crawled.get(namespace, 0)
        )

    def settle(self, namespaces: frozenset[str]) -> None:
        """Forgets marks that every one of `namespaces` has outlived, and crawls of others; nothing
        while no namespace is known."""
        if not namespaces:
            return
        for side in Side:
            missed_us = self._missed.get((side, ALL), 0)
            if missed_us and all(self._crawled.get(n, 0) > missed_us for n in namespaces):
                del self._missed[side, ALL]
        for at, missed_us in list(self._missed.items()):
            if at[1] != ALL and self._crawled.get(at[1], 0) > missed_us:
                del self._missed[at]
        for namespace in self._crawled.keys() - namespaces:
            del self._crawled[namespace]

    def merge(self, other: Self) -> None:
        """Takes over what another worker, or the last run, knew."""
        for (side, namespace), missed_us in other._missed.items():
            self.missed(side, namespace, missed_us)
        for namespace, began_us in other._crawled.items():
            self.crawled(namespace, began_us)
        for side, seen in other._incarnations.items():
            self._incarnations[side] = max(seen, self._incarnations.get(side, seen))

    def to_json(self) -> str:
        """The text form for the file."""
        missed = sorted([side.value, name, at] for (side, name), at in self._missed.items())
        homes = {side.value: seen for side, seen in self._incarnations.items()}
        return json.dumps(
            {"missed": missed, "crawled": self._crawled, "incarnations": homes}, sort_keys=True
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The state in `text`; ValueError or KeyError when it is not such a text."""
        trust = cls()
        content = json.loads(text)
        for side, namespace, missed_us in content["missed"]:
            trust.missed(Side(side), str(namespace), int(missed_us))
        for namespace, began_us in content["crawled"].items():
            trust.crawled(str(namespace), int(began_us))
        for side, (seen_us, incarnation) in content["incarnations"].items():
            trust._incarnations[Side(side)] = (int(seen_us), str(incarnation))
        return trust
