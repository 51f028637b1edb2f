"""What came of each crawl, counted and told: drift loudly, that all was equal once."""

from collections.abc import Collection
from typing import Final

from crawler.board import Board
from tandem.core.crawl_status import Crawled
from tandem.core.reply import Side
from tandem.runtime import logs

_LOG = logs.get("crawler")
UNHEALED_SHOWN: Final = 5


class Outcomes:
    """Of all crawls of one crawler."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._equal: set[str] = set()
        """Namespaces whose last crawl found no difference, which is no news in every round."""

    def keep(self, namespaces: Collection[str]) -> None:
        """Forgets all but these."""
        self._equal.intersection_update(namespaces)

    def note(self, crawled: Crawled) -> None:
        """A crawl of a namespace has ended."""
        self._board.note(crawled)
        self._board.counters.crawls += 1
        self._board.counters.incomplete += bool(crawled.failure)
        was_equal = crawled.namespace in self._equal
        self._equal.discard(crawled.namespace)
        if not self._told(crawled):
            log = _LOG.debug if was_equal else _LOG.info
            log("crawl_equal", namespace=crawled.namespace, keys=crawled.tally.equal)
            self._equal.add(crawled.namespace)

    def _told(self, crawled: Crawled) -> bool:
        """Tells what somebody may want to know; False when that is nothing."""
        namespace, tally = crawled.namespace, crawled.tally
        if crawled.failure:
            _LOG.warning("crawl_incomplete", namespace=namespace, why=crawled.failure)
        elif crawled.stopped:
            _LOG.error("crawl_stopped", namespace=namespace, why=crawled.stopped)
        elif any(tally.copied.values()) or tally.unhealed_keys or tally.drifted:
            _LOG.warning(
                "drift_found",
                namespace=namespace,
                equal=tally.equal,
                copied_to_kvsp=tally.copied[Side.KVSP],
                copied_to_s3=tally.copied[Side.S3],
                drift={drift.value: count for drift, count in tally.keys.items() if count},
                unhealed=tally.unhealed[:UNHEALED_SHOWN],
            )
        else:
            return False
        return True
