"""The check of a history finds what it is there to find."""

from tandem.core.version import NO_VERSION, Version
from tests.e2e.history import Held, History, Kind, Outcome, digest_of, losses, violations

_OLD, _NEW, _NEWEST = (Version.at(time_us) for time_us in (1, 2, 3))


def _put(history: History, version: Version, value: bytes, client: int = 0) -> None:
    history.end(history.begin(client, Kind.PUT, "k", value), Outcome.ANSWERED, version)


def _delete(history: History, version: Version) -> None:
    history.end(history.begin(0, Kind.DELETE, "k"), Outcome.ANSWERED, version)


def _read(history: History, version: Version, value: bytes = b"", client: int = 0) -> None:
    event = history.begin(client, Kind.GET, "k")
    event.digest = digest_of(value) if value else b""
    history.end(event, Outcome.ANSWERED, version)


def _two_puts() -> History:
    history = History()
    _put(history, _OLD, b"old")
    _put(history, _NEW, b"new")
    return history


def test_a_history_in_order_has_no_violation() -> None:
    history = _two_puts()
    _read(history, _NEW, b"new", client=1)
    _delete(history, _NEWEST)
    _read(history, NO_VERSION)
    assert violations(history) == []
    assert losses(history, {"k": Held(_NEWEST, b"")}) == []


def test_a_read_below_an_acknowledged_write_is_found() -> None:
    history = _two_puts()
    _read(history, _OLD, b"old", client=1)
    [found] = violations(history)
    assert "is older than" in found


def test_a_miss_that_no_deletion_explains_is_found() -> None:
    history = _two_puts()
    _read(history, NO_VERSION)
    [found] = violations(history)
    assert "a miss" in found


def test_a_read_that_goes_back_is_found_though_nothing_was_acknowledged() -> None:
    history = History()
    for value in (b"old", b"new"):
        history.end(history.begin(0, Kind.PUT, "k", value), Outcome.AMBIGUOUS)
    _read(history, _NEW, b"new")
    _read(history, _OLD, b"old", client=1)
    assert violations(history) == []
    _read(history, _OLD, b"old")
    assert len(violations(history)) == 1


def test_a_write_below_an_acknowledged_one_is_found() -> None:
    history = History()
    _put(history, _NEW, b"new")
    _put(history, _OLD, b"old")
    [found] = violations(history)
    assert "is not above" in found


def test_a_value_that_nobody_wrote_is_found() -> None:
    history = _two_puts()
    _read(history, _NEW, b"other")
    [found] = violations(history)
    assert "nobody wrote" in found


def test_a_lost_write_and_a_key_that_is_back_are_found() -> None:
    history = _two_puts()
    assert losses(history, {}) != []
    assert losses(history, {"k": Held(_OLD, digest_of(b"old"))}) != []
    assert losses(history, {"k": Held(_NEW, digest_of(b"old"))}) != []
    assert losses(history, {"k": Held(_NEWEST, digest_of(b"old"))}) != []
    _delete(history, _NEWEST)
    assert losses(history, {"k": Held(_NEW, digest_of(b"new"))}) != []


def test_a_newer_write_of_unknown_outcome_may_stand() -> None:
    history = _two_puts()
    history.end(history.begin(0, Kind.PUT, "k", b"newest"), Outcome.AMBIGUOUS)
    assert losses(history, {"k": Held(_NEWEST, digest_of(b"newest"))}) == []
    assert losses(history, {"k": Held(_NEWEST, digest_of(b"other"))}) != []
