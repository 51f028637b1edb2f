"""Whose home is this: every combination of what a gateway keeps and what two homes show."""

from itertools import product

import pytest

from kvgateway.identity import incarnation, judge, rebuilt_us
from tandem.core.envelope import seal
from tandem.core.reply import Failed, Found, Missing, ReadReply, Reason, Side
from tandem.core.version import Version
from tandem.errors import ConfigurationError

OURS, OTHER, FRESH = "1" * 32, "2" * 32, "f" * 32


def showing(text: str) -> Found:
    return Found(seal(Version.at(1, b"nonce-01"), text.encode()), 1)


SHOWN: dict[str, ReadReply] = {
    "ours": showing(OURS),
    "other": showing(OTHER),
    "empty": Missing(1),
    "silent": Failed(Reason.TIMEOUT),
}


@pytest.mark.parametrize(("kvsp", "s3"), list(product(SHOWN, SHOWN)))
def test_a_gateway_that_knows_its_store_bars_what_does_not_show_it(kvsp: str, s3: str) -> None:
    verdict = judge(OURS, FRESH, {Side.KVSP: SHOWN[kvsp], Side.S3: SHOWN[s3]})
    assert verdict.store_id == OURS
    for side, what in ((Side.KVSP, kvsp), (Side.S3, s3)):
        assert (verdict.barred[side] == "") == (what == "ours")
        assert (side in verdict.empty) == (what == "empty")
        assert ("another store" in verdict.barred[side]) == (what == "other")


@pytest.mark.parametrize(("kvsp", "s3"), list(product(SHOWN, SHOWN)))
def test_a_first_start_takes_the_one_id_there_is_or_makes_one(kvsp: str, s3: str) -> None:
    replies = {Side.KVSP: SHOWN[kvsp], Side.S3: SHOWN[s3]}
    if {kvsp, s3} == {"ours", "other"}:
        with pytest.raises(ConfigurationError, match="different stores"):
            judge("", FRESH, replies)
        return
    verdict = judge("", FRESH, replies)
    if "silent" in (kvsp, s3):
        assert verdict.store_id == ""
        assert all("needs both homes" in why for why in verdict.barred.values())
        assert verdict.empty == ()
        return
    ids = {"ours": OURS, "other": OTHER}
    found = {ids[what] for what in (kvsp, s3) if what in ids}
    assert verdict.store_id == (found.pop() if found else FRESH)
    assert set(verdict.empty) == {
        side for side, what in ((Side.KVSP, kvsp), (Side.S3, s3)) if what == "empty"
    }


def test_an_id_that_was_given_again_shows_since_when() -> None:
    again = Found(seal(Version.at(77, b"nonce-02"), OURS.encode()), 99)
    assert (rebuilt_us(showing(OURS)), rebuilt_us(again)) == (0, 77)


def test_an_id_that_was_given_again_is_another_incarnation() -> None:
    again = Found(seal(Version.at(1, b"nonce-02"), OURS.encode()), 1)
    assert incarnation(showing(OURS)) != incarnation(again)
