"""What becomes of the writes of one transaction that meet each other."""

import pytest

from kvsp.postgres.deciding import Standing, decide
from kvsp.rules import Held, LargeRow
from tandem.core.key import NAMESPACE_RECORD, SYSTEM_NAMESPACE
from tandem.core.reply import Failed, Refusal, Refused, Stored, Superseded
from tandem.core.version import NO_VERSION, Version
from tandem.wire.storage_codec import Put
from tests.kvsp.records import NAMESPACE, START_US, put, tombstone, value

STORED = Stored(0)
OLD, MIDDLE, NEW = (put("key", value(at_us=START_US + n)) for n in range(3))
KEY = (NAMESPACE, b"key")


def absent() -> Standing:
    return Standing(None, NO_VERSION, deleted=False)


def large(of: Put, blob: str) -> LargeRow:
    return LargeRow(of.without_envelope(), blob)


def versions(rows: list[tuple[bytes | str | int | None, ...]]) -> list[object]:
    return [row[2] for row in rows]


@pytest.mark.parametrize(
    ("order", "outcomes"),
    [
        ([OLD, MIDDLE, NEW], [STORED, STORED, STORED]),
        ([NEW, OLD], [STORED, Superseded(NEW.record.version, 0)]),
        ([NEW, NEW], [STORED, STORED]),
        ([OLD, NEW, MIDDLE], [STORED, STORED, Superseded(NEW.record.version, 0)]),
    ],
)
def test_writes_of_one_key_meet_each_other_and_the_newest_is_written_once(
    order: list[Put], outcomes: list[object]
) -> None:
    decided = decide(order, {KEY: absent()}, (), START_US)
    assert decided.outcomes == outcomes
    assert versions(decided.rows) == [NEW.record.version]


def test_nothing_is_written_over_what_is_newer() -> None:
    held = Standing(Held(NEW.record.version, NEW.record.digest), NO_VERSION, deleted=False)
    decided = decide([OLD, NEW], {KEY: held}, (), START_US)
    assert decided.outcomes == [Superseded(NEW.record.version, 0), STORED]
    assert decided.rows == []


def test_a_blob_that_no_row_names_in_the_end_is_unused() -> None:
    writes = [large(OLD, "first"), large(NEW, "second"), large(MIDDLE, "third")]
    decided = decide(writes, {KEY: absent()}, {"first", "second", "third"}, START_US)
    assert decided.outcomes == [STORED, STORED, Superseded(NEW.record.version, 0)]
    assert [row[7] for row in decided.rows] == ["second"]
    assert decided.unused == ["first", "third"]


def test_a_row_whose_entry_was_taken_by_the_collector_is_not_written() -> None:
    decided = decide([large(NEW, "late"), OLD], {KEY: absent()}, (), START_US)
    assert isinstance(decided.outcomes[0], Failed)
    assert decided.outcomes[1] == STORED
    assert versions(decided.rows) == [OLD.record.version]


def test_a_refused_write_changes_nothing() -> None:
    gone = Standing(None, NO_VERSION, deleted=True)
    floored = Standing(None, Version.at(START_US + 1), deleted=False)
    for standing, why in ((gone, Refusal.DELETED_NAMESPACE), (floored, Refusal.FLOOR)):
        decided = decide([OLD], {KEY: standing}, (), START_US)
        assert decided == ([Refused(why, 0)], [], [], [])


def test_a_deletion_counts_from_the_next_transaction_on() -> None:
    record = put(f"{NAMESPACE_RECORD}{NAMESPACE}", tombstone(), namespace=SYSTEM_NAMESPACE)
    standings = {(SYSTEM_NAMESPACE, record.raw_name): absent(), KEY: absent()}
    decided = decide([record, OLD], standings, (), START_US)
    assert decided.outcomes == [STORED, STORED]
    assert decided.deleted == [NAMESPACE]


def test_a_number_beyond_those_of_sql_fails_alone() -> None:
    beyond = put("key", value(expires_at_s=2**63))
    decided = decide([beyond, OLD], {KEY: absent()}, (), START_US)
    assert isinstance(decided.outcomes[0], Failed)
    assert decided.outcomes[1] == STORED
