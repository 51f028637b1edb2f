"""The crawler's book in its file: checkpoints, history with its bounds, breakers; and what is no
such file."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from crawler.book import CRAWLS_OF_NAMESPACE_MAX, FORMAT, QUIET_US, Book
from crawler.report import CHECKPOINT_AGE_MAX_US, Checkpoint
from tandem.core.crawl_status import Crawled, HistoryPage, Place, Stop
from tandem.core.drift import Drift, Sighting
from tandem.core.mass_change import MassWork, NeedsPerson
from tandem.core.reply import Side
from tandem.core.tally import Tally
from tandem.errors import ConfigurationError
from tests.servers.damage import damage_pages

DAY_US = 86_400 * 1_000_000
A, B = "a" * 32, "b" * 32


def checkpoint(after: str) -> Checkpoint:
    tally = Tally(equal=3)
    tally.saw(Sighting(Drift.ZOMBIE, 1, 2))
    stopped = NeedsPerson(MassWork.REPAIR, 8, 9)
    suspects = {"x": None, "é\x00": Sighting(Drift.OLDER_IN_S3, 3, 4, 5)}
    return Checkpoint(1, 2, after, suspects, ("s",), 7, tally.document(), 8, stopped)


def crawled(namespace: str, began_us: int, *, plan: str = "p", failure: str = "") -> Crawled:
    return Crawled(namespace, plan, 1, began_us, began_us + 5, 2, True, 3, failure, "", Tally(4))


Opening = Callable[[], Book]
"""Opens the one book of a test, again after whoever had it open has died."""


@pytest.fixture
def opening(tmp_path: Path) -> Iterator[Opening]:
    opened: list[Book] = []

    def open_book() -> Book:
        opened.append(Book(tmp_path / "deep" / "book.sqlite", history_days=2))
        return opened[-1]

    yield open_book
    for book in opened:
        book.close()


def test_a_checkpoint_is_what_was_saved_last(opening: Opening) -> None:
    book = opening()
    assert book.checkpoint("p", 0) is None
    for after in ("a", "b"):
        book.save("p", 0, checkpoint(after))
    book.save("p", 1, checkpoint("c"))
    book = opening()
    assert book.checkpoint("p", 0) == checkpoint("b")
    assert book.checkpoint("p", 1) == checkpoint("c")


@pytest.mark.parametrize(
    "damaged",
    ["substr(content, 9)", "replace(content, '\"equal\":3', '\"equal\":7')", "''",
     "cast(x'ff' || cast(content as blob) as text)", "zeroblob(length(content))"],
)  # fmt: skip
def test_a_damaged_checkpoint_counts_as_none_and_harms_no_other_crawl(
    opening: Opening, damaged: str
) -> None:
    book = opening()
    book.save("p", 0, checkpoint("a"))
    book.save("q", 0, checkpoint("b"))
    assert book._db.execute(f"update checkpoint set content = {damaged} where plan = 'p'").rowcount
    with capture_logs() as said:
        assert book.checkpoint("p", 0) is None
    assert [one["event"] for one in said] == ["checkpoint_damaged"]
    book.enter(crawled(B, 10, plan="r"))
    assert book.checkpoint("q", 0) == checkpoint("b")
    book.save("p", 0, checkpoint("c"))
    assert book.checkpoint("p", 0) == checkpoint("c")


def test_a_crawl_enters_the_history_once_and_its_checkpoints_go(opening: Opening) -> None:
    book = opening()
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


def test_checkpoints_that_nobody_would_go_on_from_go_when_any_crawl_ends(
    opening: Opening,
) -> None:
    """Of a plan in whose place another crawler has begun another one, none is entered."""
    book = opening()
    saved_us = CHECKPOINT_AGE_MAX_US
    for plan, at_us in (("old", saved_us - 1), ("young", saved_us)):
        book.save(plan, 0, replace(checkpoint("a"), saved_at_us=at_us))
    ended_us = saved_us + CHECKPOINT_AGE_MAX_US
    book.enter(replace(crawled(A, 10, failure="s3: timeout"), ended_us=ended_us))
    assert book.checkpoint("old", 0) is None
    assert book.checkpoint("young", 0) is not None


def test_history_is_bounded_by_time_and_by_number(opening: Opening) -> None:
    book = opening()
    for began_us in (1 * DAY_US, 2 * DAY_US, int(3.5 * DAY_US)):
        book.enter(crawled(A, began_us))
        book.enter(crawled(B, 1 * DAY_US))
    assert [one.began_us for one in book.history(HistoryPage(A))] == [int(3.5 * DAY_US), 2 * DAY_US]
    for number in range(CRAWLS_OF_NAMESPACE_MAX + 3):
        book.enter(crawled(B, 2 * DAY_US + number))
    assert len(book.history(HistoryPage(B, limit=10_000))) == CRAWLS_OF_NAMESPACE_MAX
    assert [one.namespace for one in book.latest()] == [A, B]


def test_of_quiet_crawls_one_an_hour_is_kept_and_the_last_one(opening: Opening) -> None:
    """A round every ten seconds would leave no more than the last hours of the history."""
    book = opening()
    quiet = replace(crawled(A, 0), dry_run=False)
    drift = Tally(equal=3)
    drift.saw(Sighting(Drift.MISSING_IN_S3))
    minute_us, at_us = QUIET_US // 60, 2 * DAY_US
    for minute in range(200):
        found = drift if minute in {75, 78} else quiet.tally
        book.enter(replace(quiet, began_us=at_us + minute * minute_us, tally=found))
        if minute == 90:
            book.enter(replace(quiet, began_us=at_us + minute * minute_us + 1, deep_parts=1))
        book.enter(replace(quiet, namespace=B, began_us=at_us))
    minutes = [(one.began_us - at_us) // minute_us for one in book.history(HistoryPage(A))]
    assert minutes == [199, 151, 91, 90, 79, 78, 76, 75, 60, 0]
    assert len(book.history(HistoryPage(B))) == 1


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("namespace", ["", A, B])
def test_pages_of_the_history_are_the_whole_cut_up(
    opening: Opening, limit: int, namespace: str
) -> None:
    """Crawls that began at once stand in order of namespace and plan, whatever the page."""
    book = opening()
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


def test_a_breaker_stays_open_until_a_person_accepts_just_what_it_named(opening: Opening) -> None:
    opening().stop(Stop(A, 1, 5000, "too much"))
    book = opening()
    assert book.stops() == {A: Stop(A, 1, 5000, "too much")}
    assert book.accept() == [Stop(A, 1, 5000, "too much")]
    assert book.stops()[A].accepted == 5000
    assert book.accept() == []
    book = opening()
    assert book.stops()[A].accepted == 5000
    book.passed(A)
    assert book.stops() == {} == opening().stops()


def test_of_what_has_ended_only_the_time_is_kept(opening: Opening) -> None:
    book = opening()
    for namespace, plan in ((A, "p"), (B, "q")):
        book.enter(crawled(namespace, 10, plan=plan, failure="s3: timeout"))
        book.save(plan, 0, checkpoint("a"))
        book.stop(Stop(namespace, 1, 5000, "too much"))
    book.forget(A, 70)
    book.forget(A, 80)
    book = opening()
    assert book.ended() == {A: 80}
    assert [one.namespace for one in book.latest()] == [B] == list(book.stops())
    assert book.checkpoint("p", 0) is None
    assert book.checkpoint("q", 0) is not None


def test_words_are_kept(opening: Opening) -> None:
    book = opening()
    assert book.word("paused") == ""
    book.keep("paused", "yes")
    assert opening().word("paused") == "yes"


def test_what_entered_the_history_does_not_change_with_what_was_entered(opening: Opening) -> None:
    book, one = opening(), crawled(A, 10)
    book.enter(one)
    one.tally.saw(Sighting(Drift.ZOMBIE, 1, 2))
    assert opening().history(HistoryPage()) == [crawled(A, 10)]


def test_the_file_of_an_earlier_release_gets_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite"
    book = Book(path)
    book.enter(crawled(A, DAY_US))
    book.close()
    with closing(sqlite3.connect(path)) as earlier:
        earlier.execute("alter table crawl drop column alone")
        earlier.execute("alter table checkpoint drop column checksum")
        earlier.execute("pragma user_version = 1")
        earlier.commit()
    book = Book(path)
    alone = replace(crawled(B, DAY_US), alone=Side.KVSP)
    book.enter(alone)
    assert book.history(HistoryPage(limit=5)) == [crawled(A, DAY_US), alone]
    book.save("p", 0, checkpoint("a"))
    assert book.checkpoint("p", 0) == checkpoint("a")
    book.close()


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "book"
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(ConfigurationError, match="not the crawler's file"):
        Book(path)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        (f"pragma user_version = {FORMAT + 1}", f"format {FORMAT + 1}"),
        ("update crawl set tally = '{'", "damaged"),
        ("update crawl set tally = '[]'", "damaged"),
    ],
)
def test_a_file_of_a_later_release_or_with_damaged_rows_is_refused(
    tmp_path: Path, statement: str, why: str
) -> None:
    path = tmp_path / "book"
    with closing(Book(path)) as book:
        book.enter(crawled(A, DAY_US))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(statement)
    with pytest.raises(ConfigurationError, match=why):
        Book(path)


@pytest.mark.parametrize("table", ["crawl", "checkpoint", "word"])
def test_a_file_of_which_pages_are_damaged_is_refused(tmp_path: Path, table: str) -> None:
    path = tmp_path / "book"
    with closing(Book(path)) as book:
        book.enter(crawled(A, DAY_US))
        book.save("p", 0, checkpoint("a"))
        book.keep("paused", "yes")
    damage_pages(path, table)
    with pytest.raises(ConfigurationError, match="damaged"):
        Book(path)


def test_a_commit_that_fails_leaves_the_book_usable(tmp_path: Path) -> None:
    def refuse_to_commit(action: int, what: str | None, *_: object) -> int:
        commits = action == sqlite3.SQLITE_TRANSACTION and what == "COMMIT"
        return sqlite3.SQLITE_DENY if commits else sqlite3.SQLITE_OK

    with closing(Book(tmp_path / "book.sqlite")) as book:
        book._db.set_authorizer(refuse_to_commit)
        with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
            book.enter(crawled(A, 10))
        book._db.set_authorizer(None)
        assert book.latest() == []
        book.enter(crawled(A, 20))
        assert [one.began_us for one in book.latest()] == [20]
