"""Hints of what the store holds, within their bound."""

from tandem.backends.s3.known import KnownObjects
from tandem.backends.s3.replies import Held
from tandem.core.version import Version


def test_hints_beyond_the_bound_are_forgotten_oldest_use_first() -> None:
    known = KnownObjects(2)
    held = Held(Version.at(1), "e")
    for name in ("a", "b"):
        known.learn(name, held)
    assert known.get("a") == held
    known.learn("c", held)
    assert [known.get(name) for name in "abc"] == [held, None, held]
    known.forget("a")
    known.forget("never known")
    assert known.get("a") is None
