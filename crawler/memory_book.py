"""The crawler's book without a file: for a crawler whose disk is simulated."""

import json
from collections.abc import Mapping
from dataclasses import replace

from crawler.book import CRAWLS_OF_NAMESPACE_MAX, DAY_US
from crawler.report import CHECKPOINT_AGE_MAX_US, Checkpoint
from tandem.core.crawl_status import Crawled, HistoryPage, Place, Stop
from tandem.core.tally import Tally


class MemoryBook:
    """As `crawler.book.Book`, and as long as the object lives."""

    def __init__(self, *, history_days: float = 30.0) -> None:
        self._history_us = int(history_days * DAY_US)
        self._checkpoints: dict[tuple[str, int], Checkpoint] = {}
        self._crawls: dict[tuple[str, int, str], Crawled] = {}
        self._stops: dict[str, Stop] = {}
        self._ended: dict[str, int] = {}
        self._words: dict[str, str] = {}

    def save(self, plan: str, number: int, at: Checkpoint) -> None:
        self._checkpoints[plan, number] = at

    def checkpoint(self, plan: str, number: int) -> Checkpoint | None:
        return self._checkpoints.get((plan, number))

    def drop(self, plan: str, number: int) -> None:
        self._checkpoints.pop((plan, number), None)

    def enter(self, crawled: Crawled) -> None:
        kept = replace(crawled, tally=Tally.of(json.loads(json.dumps(crawled.tally.document()))))
        self._crawls[crawled.namespace, crawled.began_us, crawled.plan] = kept
        too_old_us = crawled.ended_us - CHECKPOINT_AGE_MAX_US
        for (plan, number), saved in list(self._checkpoints.items()):
            ended = plan == crawled.plan and not crawled.failure
            if ended or saved.saved_at_us < too_old_us:
                del self._checkpoints[plan, number]
        of_namespace = sorted(at for at in self._crawls if at[0] == crawled.namespace)
        oldest_us = crawled.began_us - self._history_us
        if len(of_namespace) > CRAWLS_OF_NAMESPACE_MAX:
            oldest_us = max(oldest_us, of_namespace[-CRAWLS_OF_NAMESPACE_MAX][1])
        for at in of_namespace:
            if at[1] < oldest_us:
                del self._crawls[at]

    def history(self, page: HistoryPage) -> list[Crawled]:
        found = [
            crawled
            for at, crawled in self._crawls.items()
            if page.namespace in {"", at[0]}
            and crawled.began_us >= page.since_us
            and (page.after is None or _order(crawled.place) > _order(page.after))
        ]
        return sorted(found, key=lambda one: _order(one.place))[: page.limit]

    def latest(self) -> list[Crawled]:
        newest_last = reversed(self.history(HistoryPage(limit=len(self._crawls))))
        latest = {one.namespace: one for one in newest_last}
        return [latest[namespace] for namespace in sorted(latest)]

    def stop(self, stop: Stop) -> None:
        self._stops[stop.namespace] = stop

    def stops(self) -> Mapping[str, Stop]:
        return dict(self._stops)

    def accept(self) -> list[Stop]:
        opened = [stop for stop in self._stops.values() if not stop.accepted]
        for stop in opened:
            self._stops[stop.namespace] = replace(stop, accepted=stop.changes)
        return opened

    def passed(self, namespace: str) -> None:
        self._stops.pop(namespace, None)

    def forget(self, namespace: str, at_us: int) -> None:
        for crawl in [crawl for crawl in self._crawls if crawl[0] == namespace]:
            del self._crawls[crawl]
            for at in [at for at in self._checkpoints if at[0] == crawl[2]]:
                del self._checkpoints[at]
        self._stops.pop(namespace, None)
        self._ended[namespace] = at_us

    def ended(self) -> Mapping[str, int]:
        return dict(self._ended)

    def word(self, name: str) -> str:
        return self._words.get(name, "")

    def keep(self, name: str, value: str) -> None:
        self._words[name] = value


def _order(place: Place) -> tuple[int, str, str]:
    return -place.began_us, place.namespace, place.plan
