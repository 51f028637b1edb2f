"""What the ledger calls broken, and what it lets pass."""

from collections.abc import Set

import pytest

from tandem.core.key import Key
from tandem.core.reply import Side
from tandem.core.version import Version
from tests.sim.ledger import Ledger

KEY = Key("a" * 32, "name")
OTHER = Key("a" * 32, "other")
ONE, TWO, THREE = (Version.at(at) for at in (1, 2, 3))


class _Case:
    def __init__(self, owed: set[Version], alive: Set[Version] = frozenset()) -> None:
        self.failed: list[str] = []
        self.ledger = Ledger(
            self.failed.append,
            _is_write,
            owed.__contains__,
            (owed | alive).__contains__,
        )


def _is_write(key: Key, version: Version) -> bool:
    return (key, version) in {(KEY, ONE), (KEY, TWO), (OTHER, THREE)}


def test_versions_of_a_home_do_not_go_back() -> None:
    case = _Case(set())
    case.ledger.stored(Side.S3, KEY, TWO)
    case.ledger.stored(Side.KVSP, KEY, ONE)
    assert not case.failed
    case.ledger.stored(Side.S3, KEY, ONE)
    assert case.failed == ["s3: name goes back in version"]


@pytest.mark.parametrize("side", list(Side))
def test_what_was_deleted_for_good_is_taken_by_no_home(side: Side) -> None:
    case = _Case(set())
    case.ledger.stored(side, KEY, TWO)
    case.ledger.removed(side, KEY, TWO)
    case.ledger.forgot(side.other, [KEY])
    case.ledger.stored(side.other, KEY, ONE)
    assert not case.failed
    case.ledger.stored(side, KEY, THREE)
    assert not case.failed
    case.ledger._held.clear()
    case.ledger.stored(side, KEY, ONE)
    assert case.failed == [f"{side.value} takes what name was before it was deleted for good"]


def test_s3_alone_may_be_given_back_a_dead_record_itself() -> None:
    for side, owed, alive, broken in [
        (Side.S3, set(), set(), False),
        (Side.KVSP, set(), set(), True),
        (Side.S3, {TWO}, {TWO}, True),
        (Side.S3, set(), {TWO}, True),
    ]:
        case = _Case(set(owed), set(alive))
        case.ledger.stored(side, KEY, TWO)
        case.ledger.removed(side, KEY, TWO)
        case.failed.clear()
        case.ledger.stored(side, KEY, TWO)
        assert bool(case.failed) is broken


def test_nothing_leaves_kvsp_above_its_floor() -> None:
    case = _Case(set())
    case.ledger.purged(KEY, ONE, ONE)
    assert not case.failed
    case.ledger.purged(KEY, TWO, ONE)
    assert case.failed == ["kvsp: name goes above its floor"]


@pytest.mark.parametrize("side", list(Side))
def test_no_home_lets_go_what_was_acknowledged_and_is_alive(side: Side) -> None:
    case = _Case({ONE})
    case.ledger.stored(side, KEY, ONE)
    case.ledger.removed(side, KEY, ONE)
    assert case.failed == [f"{side.value} lets name go, which was acknowledged and is alive"]


def test_what_something_newer_has_overwritten_in_any_home_may_go() -> None:
    case = _Case({ONE})
    case.ledger.stored(Side.S3, KEY, ONE)
    case.ledger.stored(Side.KVSP, KEY, TWO)
    case.ledger.removed(Side.S3, KEY, ONE)
    assert not case.failed
    assert not case.ledger.owes(KEY, ONE)


def test_a_gravestone_takes_the_place_of_nothing_that_is_owed() -> None:
    case = _Case({ONE})
    case.ledger.stored(Side.S3, KEY, ONE)
    case.ledger.stored(Side.S3, KEY, THREE)
    assert case.failed == ["s3 lets name go, which was acknowledged and is alive"]
    case.failed.clear()
    case.ledger.replaced(KEY, ONE, THREE)
    assert case.failed == ["s3 lets name go, which was acknowledged and is alive"]


def test_only_what_was_deleted_for_good_is_gone() -> None:
    case = _Case(set())
    assert not case.ledger.gone(KEY, ONE)
    case.ledger.removed(Side.KVSP, KEY, ONE)
    assert case.ledger.gone(KEY, ONE)
    assert not case.ledger.gone(KEY, TWO)


@pytest.mark.parametrize("as_put", [False, True])
def test_a_value_that_a_gravestone_replaces_on_s3_is_gone_for_good(as_put: bool) -> None:
    case = _Case(set())
    case.ledger.stored(Side.S3, KEY, ONE)
    assert not case.ledger.gone(KEY, ONE)
    if as_put:
        case.ledger.stored(Side.S3, KEY, THREE)
    else:
        case.ledger.replaced(KEY, ONE, THREE)
    assert case.ledger.gone(KEY, ONE)
    assert not case.ledger.gone(KEY, TWO)
