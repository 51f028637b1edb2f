"""The crawler's file: checkpoints, history with its bounds, breakers, and what is no such file."""

from pathlib import Path

import pytest

from crawler.book import CRAWLS_OF_NAMESPACE_MAX, Book
from crawler.report import Checkpoint
from tandem.core.crawl_status import Crawled, HistoryPage, Place, Stop
from tandem.core.drift import Drift, Sighting
from tandem.core.tally import Tally
from tandem.errors import ConfigurationError

DAY_US = 86_400 * 1_000_000
A, B = "a" * 32, "b" * 32


def checkpoint(after: str) -> Checkpoint:
    tally = Tally(equal=3)
    tally.saw(Sighting(Drift.ZOMBIE, 1, 2))
    return Checkpoint(1, 2, after, ("x", "é\x00"), ("s",), 7, tally.document())


def crawled(namespace: str, began_us: int, *, plan: str = "p", failure: str = "") -> Crawled:
    return Crawled(namespace, plan, 1, began_us, began_us + 5, 2, True, 3, failure, "", Tally(4))


def test_a_checkpoint_is_what_was_saved_last_and_goes_with_its_range(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "book.sqlite"
    book = Book(path)
    assert book.checkpoint("p", 0) is None
    for after in ("a", "b"):
        book.save("p", 0, checkpoint(after))
    book.save("p", 1, checkpoint("c"))
    book.close()
    book = Book(path)
    assert book.checkpoint("p", 0) == checkpoint("b")
    book.drop("p", 0)
    assert (book.checkpoint("p", 0), book.checkpoint("p", 1)) == (None, checkpoint("c"))


def test_a_crawl_enters_the_history_once_and_its_checkpoints_go(tmp_path: Path) -> None:
    book = Book(tmp_path / "book")
    book.save("p", 0, checkpoint("a"))
    book.enter(crawled(A, 10, failure="s3: timeout"))
    assert book.checkpoint("p", 0) is not None, "it goes on from there"
    for _ in range(2):
        book.enter(crawled(A, 10))
    book.enter(crawled(B, 20))
    assert book.history(HistoryPage()) == [crawled(B, 20), crawled(A, 10)]
    assert book.history(HistoryPage(A)) == [crawled(A, 10)]
    assert book.history(HistoryPage(since_us=11, limit=1)) == book.history(HistoryPage(B))
    assert book.checkpoint("p", 0) is None


def test_history_is_bounded_by_time_and_by_number(tmp_path: Path) -> None:
    book = Book(tmp_path / "book", history_days=2)
    for began_us in (1 * DAY_US, 2 * DAY_US, int(3.5 * DAY_US)):
        book.enter(crawled(A, began_us))
        book.enter(crawled(B, 1 * DAY_US))
    assert [one.began_us for one in book.history(HistoryPage(A))] == [int(3.5 * DAY_US), 2 * DAY_US]
    for number in range(CRAWLS_OF_NAMESPACE_MAX + 3):
        book.enter(crawled(B, 2 * DAY_US + number))
    assert len(book.history(HistoryPage(B, limit=10_000))) == CRAWLS_OF_NAMESPACE_MAX
    assert [one.namespace for one in book.latest()] == [A, B]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("namespace", ["", A, B])
def test_pages_of_the_history_are_the_whole_cut_up(
    tmp_path: Path, limit: int, namespace: str
) -> None:
    """Crawls that began at once stand in order of namespace and plan, whatever the page."""
    book = Book(tmp_path / "book")
    entered = [crawled(n, at, plan=plan) for at in (10, 20) for n in (A, B) for plan in ("p", "q")]
    for one in entered:
        book.enter(one)
    whole = [one for one in sorted(entered, key=_newest_first) if namespace in {"", one.namespace}]
    seen: list[Crawled] = []
    after: Place | None = None
    while page := book.history(HistoryPage(namespace, limit=limit, after=after)):
        assert len(page) <= limit
        seen += page
        after = page[-1].place
        book.enter(crawled(A, 30 + len(seen)))  # what is newer does not move the pages
    assert seen == whole


def _newest_first(one: Crawled) -> tuple[int, str, str]:
    return -one.began_us, one.namespace, one.plan


def test_a_breaker_stays_open_until_a_person_accepts_just_what_it_named(tmp_path: Path) -> None:
    path = tmp_path / "book"
    Book(path).stop(Stop(A, 1, 5000, "too much"))
    book = Book(path)
    assert book.stops() == {A: Stop(A, 1, 5000, "too much")}
    assert book.accept() == [Stop(A, 1, 5000, "too much")]
    assert book.stops()[A].accepted == 5000
    assert book.accept() == []
    book.passed(A)
    assert book.stops() == {}


def test_words_are_kept(tmp_path: Path) -> None:
    book = Book(tmp_path / "book")
    assert book.word("paused") == ""
    book.keep("paused", "yes")
    assert Book(tmp_path / "book").word("paused") == "yes"


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "book"
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(ConfigurationError, match="not the crawler's file"):
        Book(path)
