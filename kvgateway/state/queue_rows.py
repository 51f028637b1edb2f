"""The repair queue's tables, and what may be done to them within one transaction."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from kvgateway.state.ports import (
    QUEUE_COLLAPSE_SHARE,
    DirtyMark,
    QueuedTask,
    QueueStats,
    RepairTask,
    Taken,
)
from tandem.core.key import Key
from tandem.core.reply import Side
from tandem.core.version import NO_VERSION, Version

_BITS: Final = {Side.KVSP: 1, Side.S3: 2}

SCHEMA: Final = """
create table if not exists repair (
    namespace    text    not null,
    name         text    not null,
    version      blob    not null,
    missing      integer not null,  -- sides that may lack it: 1 kvsp, 2 s3
    generation   integer not null,
    due_us       integer not null,
    leased_us    integer not null,  -- taken until then
    attempts     integer not null,
    queued_us    integer not null,  -- when the first report was due
    failure      text    not null,
    needs_person integer not null,
    primary key (namespace, name)
) without rowid;
create index if not exists repair_due on repair (needs_person, due_us);
create index if not exists repair_queued on repair (queued_us);

create table if not exists depth (
    namespace    text    not null,
    missing      integer not null,
    needs_person integer not null,
    tasks        integer not null,
    primary key (namespace, missing, needs_person)
) without rowid;
create trigger if not exists repair_entered after insert on repair begin
    insert into depth values (new.namespace, new.missing, new.needs_person, 1)
        on conflict do update set tasks = tasks + 1;
end;
create trigger if not exists repair_left after delete on repair begin
    update depth set tasks = tasks - 1 where namespace = old.namespace
        and missing = old.missing and needs_person = old.needs_person;
    delete from depth where namespace = old.namespace and missing = old.missing
        and needs_person = old.needs_person and tasks = 0;
end;
create trigger if not exists repair_moved after update of missing, needs_person on repair
when old.missing <> new.missing or old.needs_person <> new.needs_person begin
    update depth set tasks = tasks - 1 where namespace = old.namespace
        and missing = old.missing and needs_person = old.needs_person;
    delete from depth where namespace = old.namespace and missing = old.missing
        and needs_person = old.needs_person and tasks = 0;
    insert into depth values (new.namespace, new.missing, new.needs_person, 1)
        on conflict do update set tasks = tasks + 1;
end;

create table if not exists dirty (
    side      text    not null,
    namespace text    not null,
    marked_us integer not null,
    primary key (side, namespace)
) without rowid;
create table if not exists last_generation (only integer primary key check (only = 1), value);
insert or ignore into last_generation values (1, 0);
"""

# A version that is already queued keeps its time of backoff; only a first try may come sooner.
_ADD: Final = """
insert into repair values (?, ?, ?, ?, ?, ?, 0, 0, ?, '', 0)
on conflict do update set
    needs_person = needs_person and excluded.version <= version,
    version = max(version, excluded.version),
    missing = missing | excluded.missing,
    generation = excluded.generation,
    due_us = case attempts when 0 then min(due_us, excluded.due_us) else due_us end
"""
_TAKE: Final = """
select namespace, name, version, missing, attempts from repair
where needs_person = 0 and due_us <= ? and leased_us <= ? order by due_us, namespace, name limit ?
"""


def add(db: sqlite3.Connection, tasks: Sequence[RepairTask], due_us: int, rows_max: int) -> None:
    """Merges tasks in; at the bound, namespaces collapse into marks first."""
    generation = _new_generations(db, len(tasks))
    db.executemany(
        _ADD,
        (
            (
                t.key.namespace,
                t.key.name,
                t.version,
                _bits(t.missing),
                generation + n,
                due_us,
                due_us,
            )
            for n, t in enumerate(tasks)
        ),
    )
    depth = _depth(db)
    while depth > rows_max:
        depth = _collapse(db, rows_max - rows_max // QUEUE_COLLAPSE_SHARE, due_us)


def take(db: sqlite3.Connection, limit: int, now_us: int, lease_us: int) -> list[Taken]:
    """Leases what is due; a lease is a change, so an earlier holder removes nothing any more."""
    rows = db.execute(_TAKE, (now_us, now_us, limit)).fetchall()
    if not rows:
        return []  # nothing is written then, many times a minute
    generation = _new_generations(db, len(rows))
    db.executemany(
        "update repair set leased_us = ?, generation = ? where namespace = ? and name = ?",
        ((now_us + lease_us, generation + n, row[0], row[1]) for n, row in enumerate(rows)),
    )
    return [Taken(_task(*row[:4]), generation + n, attempts=row[4]) for n, row in enumerate(rows)]


def free(db: sqlite3.Connection) -> None:
    """Ends all leases."""
    db.execute("update repair set leased_us = 0 where leased_us > 0")


def done(db: sqlite3.Connection, taken: Iterable[Taken]) -> None:
    """Removes what has not changed; what has is free to be taken again."""
    for each in taken:
        key = each.task.key
        removed = db.execute(
            "delete from repair where namespace = ? and name = ? and generation = ?",
            (*key, each.generation),
        ).rowcount
        if not removed:
            db.execute("update repair set leased_us = 0 where namespace = ? and name = ?", key)


def later(db: sqlite3.Connection, taken: Taken, due_us: int, failure: str) -> None:
    """Puts a task back, unless another holder has it now."""
    generation, key = _new_generations(db, 1), taken.task.key
    db.execute(
        "update repair set leased_us = 0, due_us = ?, attempts = attempts + 1, failure = ?,"
        " generation = ? where namespace = ? and name = ? and generation >= ? and attempts = ?",
        (due_us, failure, generation, *key, taken.generation, taken.attempts),
    )


def park(db: sqlite3.Connection, taken: Taken, reason: str) -> None:
    """Leaves a task to a person, unless its row has changed."""
    db.execute(
        "update repair set needs_person = 1, leased_us = 0, failure = ?, generation = ?"
        " where namespace = ? and name = ? and generation = ?",
        (reason, _new_generations(db, 1), *taken.task.key, taken.generation),
    )


def wanted(db: sqlite3.Connection, key: Key) -> Version:
    """The version queued under a key."""
    query = "select version from repair where namespace = ? and name = ?"
    row = db.execute(query, key).fetchone()
    return NO_VERSION if row is None else Version(row[0])


def queued(db: sqlite3.Connection, key: Key) -> Taken | None:
    """The task of a key as it stands, taken or parked or neither."""
    query = (
        "select namespace, name, version, missing, generation, attempts from repair"
        " where namespace = ? and name = ?"
    )
    row = db.execute(query, key).fetchone()
    return None if row is None else Taken(_task(*row[:4]), row[4], attempts=row[5])


def sample(db: sqlite3.Connection, limit: int) -> list[QueuedTask]:
    """Tasks in the order in which they are due, those for a person last."""
    rows = db.execute(
        "select namespace, name, version, missing, attempts, queued_us, due_us, failure,"
        " needs_person from repair order by needs_person, due_us, namespace, name limit ?",
        (limit,),
    ).fetchall()
    return [
        QueuedTask(_task(*row[:4]), row[4], row[5], row[6], row[7], bool(row[8])) for row in rows
    ]


def stats(db: sqlite3.Connection) -> QueueStats:
    """Counted by triggers: no table is read whole."""
    rows = db.execute(
        "select missing, needs_person, sum(tasks) from depth group by missing, needs_person"
    ).fetchall()
    return QueueStats(
        depth=sum(tasks for _, _, tasks in rows),
        depth_kvsp=sum(n for bits, parked, n in rows if bits & _BITS[Side.KVSP] and not parked),
        depth_s3=sum(n for bits, parked, n in rows if bits & _BITS[Side.S3] and not parked),
        needs_person=sum(tasks for _, needs_person, tasks in rows if needs_person),
        oldest_us=db.execute("select min(queued_us) from repair").fetchone()[0],
        dirty_marks=db.execute("select count(*) from dirty").fetchone()[0],
    )


def dirty(db: sqlite3.Connection) -> list[DirtyMark]:
    """All marks, in order."""
    rows = db.execute("select side, namespace, marked_us from dirty order by side, namespace")
    return [DirtyMark(Side(side), namespace, marked_us) for side, namespace, marked_us in rows]


def clear_dirty(db: sqlite3.Connection, side: Side, namespace: str, began_us: int) -> None:
    """Removes a mark that is older than `began_us`."""
    db.execute(
        "delete from dirty where side = ? and namespace = ? and marked_us < ?",
        (side.value, namespace, began_us),
    )


def _collapse(db: sqlite3.Connection, down_to: int, now_us: int) -> int:
    """Turns the namespace with the most rows into marks; returns how many rows are left."""
    namespace, bits = db.execute(
        "select namespace, max(missing & 1) | max(missing & 2) from depth"
        " group by namespace order by sum(tasks) desc, namespace limit 1"
    ).fetchone()
    excess = _depth(db) - down_to
    for side, bit in _BITS.items():
        if bits & bit:
            db.execute(
                "insert into dirty values (?, ?, ?)"
                " on conflict do update set marked_us = max(marked_us, excluded.marked_us)",
                (side.value, namespace, now_us),
            )
    db.execute(
        "delete from repair where namespace = ? and name in"
        " (select name from repair where namespace = ? order by queued_us, name limit ?)",
        (namespace, namespace, excess),
    )
    return _depth(db)


def _depth(db: sqlite3.Connection) -> int:
    depth: int = db.execute("select coalesce(sum(tasks), 0) from depth").fetchone()[0]
    return depth


def _new_generations(db: sqlite3.Connection, count: int) -> int:
    """The first of `count` numbers that were never used."""
    last: int = db.execute(
        "update last_generation set value = value + ? returning value", (count,)
    ).fetchone()[0]
    return last - count + 1


def _bits(sides: Iterable[Side]) -> int:
    return sum(_BITS[side] for side in set(sides))


def _task(namespace: str, name: str, version: bytes, bits: int) -> RepairTask:
    missing = tuple(side for side, bit in _BITS.items() if bits & bit)
    return RepairTask(Key(namespace, name), Version(version), missing)
