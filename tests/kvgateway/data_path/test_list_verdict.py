"""What one name of a listing is taken for, for each way in which homes list it."""

import pytest

from kvgateway.data_path.list_verdict import Dead, Doubt, Verdict, entry_of, judge
from kvgateway.state.ports import Known
from tandem.core.envelope import TOMBSTONE_BYTES, seal, seal_tombstone
from tandem.core.record import Record
from tandem.core.request import ListedName
from tandem.core.scan_diff import Entry
from tandem.core.version import NO_VERSION, Version

NOW_S = 100.0


def value(at_us: int, expires_at_s: int = 0) -> Record:
    return seal(Version.at(at_us), b"v", metadata=b"1", expires_at_s=expires_at_s)


OLD, NEW, EXPIRED = value(1), value(2), value(3, expires_at_s=99)
DELETED = seal_tombstone(Version.at(4))
LISTED = ListedName("k", 0, b"1")


def kvsp(record: Record) -> Entry:
    """As KVSP lists it, with everything."""
    return entry_of("k", record)


def file(record: Record) -> Entry:
    """As the embedded file lists it."""
    return kvsp(record)._replace(expires_at_s=None, metadata=None)


def s3(record: Record) -> Entry:
    """As a bucket lists it."""
    return Entry("k", record.digest, len(record.envelope))


def doubt(record: Record, wanted: Version) -> Doubt:
    return Doubt("k", wanted, record.digest, len(record.envelope))


@pytest.mark.parametrize(
    ("listed", "pinned", "verdict"),
    [
        ([kvsp(NEW)], None, LISTED),
        ([kvsp(EXPIRED)], None, Dead("k")),
        ([kvsp(DELETED)], None, Dead("k")),
        ([file(NEW)], None, doubt(NEW, NEW.version)),
        ([file(EXPIRED)], None, doubt(EXPIRED, EXPIRED.version)),
        ([file(DELETED)], None, Dead("k")),
        ([s3(NEW)], None, doubt(NEW, NO_VERSION)),
        ([s3(DELETED)], None, Dead("k")),
        ([kvsp(NEW), file(NEW)], None, LISTED),
        ([file(NEW), kvsp(NEW)], None, LISTED),
        ([kvsp(OLD), file(NEW)], None, doubt(NEW, NEW.version)),
        ([kvsp(NEW), file(OLD)], None, LISTED),
        ([kvsp(NEW), file(DELETED)], None, Dead("k")),
        ([kvsp(NEW), s3(NEW)], None, LISTED),
        ([file(NEW)], NEW, LISTED),
        ([file(OLD)], NEW, LISTED),
        ([file(NEW)], DELETED, Dead("k")),
        ([], NEW, LISTED),
    ],
)
def test_verdicts(listed: list[Entry], pinned: Record | None, verdict: Verdict) -> None:
    known = None if pinned is None else Known(pinned.version, True, pinned, 0)
    assert judge("k", listed, known, NOW_S) == verdict


def test_a_version_without_a_record_in_hand_is_read() -> None:
    known = Known(NEW.version, True, None, 0)
    assert judge("k", [kvsp(OLD)], known, NOW_S) == Doubt("k", NEW.version, None, len(OLD.envelope))
    assert len(DELETED.envelope) == TOMBSTONE_BYTES
