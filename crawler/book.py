"""The crawler's own SQLite file: checkpoints, history, breakers, whether it is paused.

Small transactions in the loop's own thread: one takes about 0.1 ms, there is one for each page at
most, and a crawler serves nobody. `synchronous=NORMAL` in WAL mode: a killed process loses nothing,
a machine without power may lose the last moments, which the next run then does again.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from crawler.report import CHECKPOINT_AGE_MAX_US, Checkpoint
from tandem.core.crawl_status import Crawled, HistoryPage, Place, Stop
from tandem.core.drift import Drift, Sighting
from tandem.core.mass_change import NeedsPerson
from tandem.core.reply import Side
from tandem.core.tally import Tally
from tandem.errors import ConfigurationError
from tandem.runtime import logs
from tandem.runtime.passing import may_pass

_LOG = logs.get("crawler")
_SCHEMA: Final = """
create table if not exists checkpoint (
    plan text not null, range integer not null, saved_at_us integer not null,
    content text not null, checksum integer not null, primary key (plan, range)
) without rowid;
create table if not exists crawl (
    namespace text not null, plan text not null, number integer not null, began_us integer not null,
    ended_us integer not null, deep_parts integer not null, dry_run integer not null,
    ranges integer not null, failure text not null, stopped text not null, tally text not null,
    withheld text not null, alone text not null default '',
    primary key (namespace, began_us, plan)
) without rowid;
create index if not exists crawl_by_time on crawl (began_us, namespace, plan);
create table if not exists stop (
    namespace text primary key, at_us integer not null, changes integer not null,
    why text not null, accepted integer not null
) without rowid;
create table if not exists ended (namespace text primary key, at_us integer not null) without rowid;
create table if not exists word (name text primary key, value text not null) without rowid;
"""
CRAWLS_OF_NAMESPACE_MAX: Final = 2_000
_UNREADABLE: Final = (ValueError, KeyError, TypeError, AttributeError)
_NOT_OURS: Final = (
    "not the crawler's file, or damaged (put aside, it takes history, breakers and pause along)"
)
_NEVER_US: Final = 2**63 - 1
DAY_US: Final = 86_400 * 1_000_000
QUIET_US: Final = 3_600 * 1_000_000
FORMAT: Final = 2
_WITH_CHECKSUMS: Final = 2
"""From this format on checkpoints have them."""


class Book:
    """Opened by one crawler at a time; ConfigurationError when the file cannot be used."""

    def __init__(self, path: Path, *, history_days: float = 30.0) -> None:
        self.remember(history_days)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # The metrics page asks from a thread of its own; SQLite lets one at a time in.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
                self._read()
            except BaseException:
                self._db.close()
                raise
        except (OSError, sqlite3.Error, *_UNREADABLE) as error:
            why = "cannot be used now" if may_pass(error) else _NOT_OURS
            raise ConfigurationError([f"{path}: {why}: {error}"], passes=may_pass(error)) from error

    def remember(self, history_days: float) -> None:
        """How long ended crawls are, from now on."""
        self._history_us = int(history_days * DAY_US)

    def _prepare(self) -> None:
        (form,) = self._db.execute("pragma user_version").fetchone()
        if form > FORMAT:
            raise ValueError(f"it has format {form}; this program knows format {FORMAT}")
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = normal")
        if form < _WITH_CHECKSUMS:  # a checkpoint lost costs no more than an old one does
            self._db.execute("drop table if exists checkpoint")
        self._db.executescript(_SCHEMA)
        self._widen()
        self._db.execute(f"pragma user_version = {FORMAT}")

    def _read(self) -> None:
        """What a crawler goes by from its start on; raises what is in _UNREADABLE."""
        self.latest()
        self.stops()
        self.ended()
        self.word("")
        self._db.execute("select count(*) from checkpoint").fetchone()

    def _widen(self) -> None:
        """Gives the file of an earlier release the column that it lacks."""
        columns = {row[1] for row in self._db.execute("pragma table_info(crawl)")}
        if "alone" not in columns:
            self._db.execute("alter table crawl add column alone text not null default ''")

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()

    def save(self, plan: str, number: int, at: Checkpoint) -> None:
        """How far the crawl of a range has come."""
        content = _json({
            "began_at_us": at.began_at_us, "saved_at_us": at.saved_at_us, "after": at.after,
            "suspects": {name: seen and _seen_document(seen) for name, seen in at.suspects.items()},
            "splits": at.splits, "since_split": at.since_split, "tally": at.tally,
            "changes": at.changes, "stopped": at.stopped.document() if at.stopped else None,
        })  # fmt: skip
        self._db.execute(
            "insert or replace into checkpoint values (?, ?, ?, ?, ?)",
            (plan, number, at.saved_at_us, content, crc32(content.encode())),
        )

    def checkpoint(self, plan: str, number: int) -> Checkpoint | None:
        """What was saved last; None too where that is damaged, which costs a range anew."""
        row = self._db.execute(
            "select cast(content as blob), checksum from checkpoint where plan = ? and range = ?",
            (plan, number),
        ).fetchone()
        if row is None:
            return None
        text, checksum = row
        if crc32(text) != checksum:
            _LOG.error("checkpoint_damaged", plan=plan, range=number, effect="it counts as none")
            return None
        content = json.loads(text)
        suspects, stopped = content.pop("suspects"), content.pop("stopped")
        return Checkpoint(
            **{**content, "splits": tuple(content["splits"])},
            suspects={name: seen and _seen_of(seen) for name, seen in suspects.items()},
            stopped=stopped and NeedsPerson.of(stopped),
        )

    def enter(self, crawled: Crawled) -> None:
        """A crawl has ended: in one transaction it enters the history, what belonged to it goes,
        and so do crawls and checkpoints that are too old. Entering it again changes nothing."""
        with self._transaction():
            self._thin_out(crawled)
            self._db.execute(
                "insert or replace into crawl values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    crawled.namespace, crawled.plan, crawled.number, crawled.began_us,
                    crawled.ended_us, crawled.deep_parts, crawled.dry_run, crawled.ranges,
                    crawled.failure, crawled.stopped, _json(crawled.tally.document()),
                    crawled.withheld, crawled.alone.value if crawled.alone else "",
                ),
            )  # fmt: skip
            if not crawled.failure:
                self._db.execute("delete from checkpoint where plan = ?", (crawled.plan,))
            # Of plans that nobody ended: another one took their place.
            self._db.execute(
                "delete from checkpoint where saved_at_us < ?",
                (crawled.ended_us - CHECKPOINT_AGE_MAX_US,),
            )
            self._db.execute(
                "delete from crawl where namespace = ?1 and (began_us < ?2 or began_us <= (select"
                " began_us from crawl where namespace = ?1 order by began_us desc limit 1"
                " offset ?3))",
                (crawled.namespace, crawled.began_us - self._history_us, CRAWLS_OF_NAMESPACE_MAX),
            )

    def _thin_out(self, following: Crawled) -> None:
        """Of quiet crawls one an hour is kept, and the last one: a round comes every few seconds,
        and those of a month are many more than what is worth a look."""
        page = HistoryPage(following.namespace, limit=2)
        match self.history(page):
            case [last, before] if (
                last.quiet
                and before.quiet
                and last.deep_parts == before.deep_parts
                and last.began_us < following.began_us
                and last.began_us - before.began_us < QUIET_US
            ):
                self._db.execute(
                    "delete from crawl where (namespace, began_us, plan) = (?, ?, ?)",
                    (last.namespace, last.began_us, last.plan),
                )

    def has_entered(self, namespace: str, plan: str) -> bool:
        """Whether a crawl by this plan has entered the history."""
        return (
            self._db.execute(
                "select 1 from crawl where namespace = ? and plan = ?", (namespace, plan)
            ).fetchone()
            is not None
        )

    def history(self, page: HistoryPage) -> list[Crawled]:
        """The last crawls, the newest first."""
        after = page.after or Place(_NEVER_US, "", "")
        rows = self._db.execute(
            "select * from crawl where (?1 = '' or namespace = ?1) and began_us between ?2 and ?3"
            " and (began_us < ?3 or (namespace, plan) > (?4, ?5))"
            " order by began_us desc, namespace, plan limit ?6",
            (page.namespace, page.since_us, *after, page.limit),
        )
        return [_crawled(row) for row in rows]

    def latest(self) -> list[Crawled]:
        """The last crawl of each namespace."""
        rows = self._db.execute("select namespace, max(began_us) from crawl group by namespace")
        pages = [HistoryPage(namespace, began_us, 1) for namespace, began_us in rows.fetchall()]
        return [self.history(page)[0] for page in pages]

    def stop(self, stop: Stop) -> None:
        """A breaker has opened, and stays so until a person says otherwise."""
        self._db.execute(
            "insert or replace into stop values (?, ?, ?, ?, ?)",
            (stop.namespace, stop.at_us, stop.changes, stop.why, stop.accepted),
        )

    def stops(self) -> Mapping[str, Stop]:
        """The breakers by namespace. Any thread may ask."""
        return {row[0]: Stop(*row) for row in self._db.execute("select * from stop")}

    def accept(self) -> list[Stop]:
        """A person allows as many changes as each breaker has named; which were open."""
        opened = [stop for stop in self.stops().values() if not stop.accepted]
        with self._transaction():
            self._db.execute("update stop set accepted = changes where accepted = 0")
        return opened

    def passed(self, namespace: str) -> None:
        """A crawl has ended without being stopped."""
        self._db.execute("delete from stop where namespace = ?", (namespace,))

    def forget(self, namespace: str, at_us: int) -> None:
        """A deleted namespace has ended: nothing is kept but when that was."""
        with self._transaction():
            self._db.execute(
                "delete from checkpoint where plan in (select plan from crawl where namespace = ?)",
                (namespace,),
            )
            for table in ("crawl", "stop"):
                self._db.execute(f"delete from {table} where namespace = ?", (namespace,))
            self._db.execute("insert or replace into ended values (?, ?)", (namespace, at_us))

    def ended(self) -> Mapping[str, int]:
        """When the namespaces were last looked at that have ended."""
        return dict(self._db.execute("select namespace, at_us from ended"))

    def word(self, name: str) -> str:
        """What was kept under a name; "" for nothing."""
        row = self._db.execute("select value from word where name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def keep(self, name: str, value: str) -> None:
        """Keeps a text under a name."""
        self._db.execute("insert or replace into word values (?, ?)", (name, value))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("begin immediate")
        try:
            yield
            self._db.execute("commit")
        except BaseException:
            if self._db.in_transaction:  # SQLite has ended it itself when the disk is full
                self._db.execute("rollback")
            raise


def _crawled(row: tuple[Any, ...]) -> Crawled:
    namespace, plan, number, began_us, ended_us, deep, dry_run, ranges, *words = row
    failure, stopped, tally, withheld, alone = words
    return Crawled(
        namespace, plan, number, began_us, ended_us, deep, bool(dry_run), ranges, failure, stopped,
        Tally.of(json.loads(tally)), withheld, Side(alone) if alone else None,
    )  # fmt: skip


def _seen_document(seen: Sighting) -> list[object]:
    return [seen.drift.name, seen.bytes, seen.since_us, seen.seen_us]


def _seen_of(document: list[Any]) -> Sighting:
    drift, size, since_us, seen_us = document
    return Sighting(Drift[drift], size, since_us, seen_us)


def _json(content: object) -> str:
    return json.dumps(content, separators=(",", ":"))
