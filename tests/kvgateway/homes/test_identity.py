"""Whose home is this: every combination of what a gateway keeps and what two homes show."""

from itertools import product
from pathlib import Path

import pytest

from kvgateway.homes.home_time import HomeTime
from kvgateway.homes.identity import OwnFile, incarnation, judge, note_life, rebuilt_us
from kvgateway.homes.trust import Trust
from tandem.core.envelope import seal
from tandem.core.removal import Renewal
from tandem.core.reply import Failed, Found, Missing, ReadReply, Reason, Side
from tandem.core.version import Version
from tandem.errors import ConfigurationError
from tandem.runtime.clock import SystemClock
from tests.memory.home import MemoryHome

OURS, OTHER, FRESH = "1" * 32, "2" * 32, "f" * 32


def showing(text: str) -> Found:
    return Found(seal(Version.at(1, b"nonce-01"), text.encode()), 1)


def heard() -> HomeTime:
    """The homes' time as both of them tell it."""
    clock = SystemClock()
    time = HomeTime(clock)
    for side in Side:
        time.observe(side, clock.now_us())
    return time


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


@pytest.mark.parametrize(("kvsp", "s3"), list(product(SHOWN, SHOWN)))
def test_a_new_file_is_made_no_home_of_an_older_store(kvsp: str, s3: str) -> None:
    """It would be that of a second gateway, which KVSP alone has in common with the first."""
    replies = {Side.KVSP: SHOWN[kvsp], Side.S3: SHOWN[s3]}
    own = OwnFile("other-machine/objects.sqlite", Path("data/store-id"))
    if s3 == "empty" and kvsp in ("ours", "other"):
        with pytest.raises(ConfigurationError) as refused:
            judge("", FRESH, replies, own)
        (why,) = refused.value.mistakes
        for named in (own.location, "s3_bucket", {"ours": OURS, "other": OTHER}[kvsp], "store-id"):
            assert named in why
    elif {kvsp, s3} != {"ours", "other"}:
        assert judge("", FRESH, replies, own) == judge("", FRESH, replies)
    assert judge(OURS, FRESH, replies, own) == judge(OURS, FRESH, replies)


@pytest.mark.parametrize("side", Side)
def test_a_new_file_is_a_home_of_the_store_that_begins_with_it(side: Side) -> None:
    """Whichever of the two has shown the new id already."""
    replies = {one: showing(FRESH) if one is side else Missing(1) for one in Side}
    verdict = judge("", FRESH, replies, OwnFile("objects.sqlite", Path("store-id")))
    assert (verdict.store_id, verdict.barred[side]) == (FRESH, "")


def test_an_id_that_was_given_again_shows_since_when() -> None:
    again = Found(seal(Version.at(77, b"nonce-02"), OURS.encode()), 99)
    assert (rebuilt_us(showing(OURS)), rebuilt_us(again)) == (0, 77)


async def test_an_id_that_was_given_again_is_another_incarnation() -> None:
    home = MemoryHome(Side.KVSP, SystemClock())
    again = Found(seal(Version.at(1, b"nonce-02"), OURS.encode()), 1)
    first = await incarnation(home, showing(OURS), 1.0)
    assert first == await incarnation(home, showing(OURS), 1.0)
    assert first != await incarnation(home, again, 1.0)


async def test_a_part_that_begins_a_new_life_is_another_incarnation() -> None:
    home, trust = MemoryHome(Side.KVSP, SystemClock()), Trust()
    await note_life(trust, home, showing(OURS), heard(), 1.0)
    assert trust.behind("n") == ()
    first = await home.clusters(1.0)
    assert not isinstance(first, Failed)
    await home.renew(Renewal(first[0].name, first[0].named, first[0]), 1.0)
    await note_life(trust, home, showing(OURS), heard(), 1.0)
    assert trust.behind("n") == (Side.KVSP,)
    stranger = Trust()
    await note_life(stranger, home, showing(OURS), heard(), 1.0)
    assert stranger.behind("n") == (Side.KVSP,), "a gateway that is new does not know either"


async def test_one_wrong_date_does_not_make_a_life_the_newest() -> None:
    """Else two workers, each with its own view, would take the home for emptied again and again."""
    home, trust, time = MemoryHome(Side.S3, SystemClock()), Trust(), heard()
    ahead_us = time.now_us() + 3_600_000_000
    wrong = Found(showing(OURS).record, ahead_us)
    await note_life(trust, home, wrong, time, 1.0)
    again = Found(seal(Version.at(1, b"nonce-02"), OURS.encode()), time.now_us())
    other = Trust.from_json(trust.to_json())
    await note_life(trust, home, again, time, 1.0)
    assert trust.behind("n") == (Side.S3,)
    trust.merge(other)
    trust.crawled("n", time.now_us() + 1_000_000)
    await note_life(trust, home, again, time, 1.0)
    assert trust.behind("n") == ()


async def test_a_life_is_not_noted_before_the_time_is_known() -> None:
    home, trust = MemoryHome(Side.KVSP, SystemClock()), Trust()
    await note_life(trust, home, showing(OURS), HomeTime(SystemClock()), 1.0)
    assert trust.to_json() == Trust().to_json()


async def test_a_part_that_does_not_tell_changes_nothing() -> None:
    home, trust = MemoryHome(Side.KVSP, SystemClock()), Trust()
    await note_life(trust, home, showing(OURS), heard(), 1.0)
    await home.aclose()
    assert await incarnation(home, showing(OURS), 1.0) is None
    await note_life(trust, home, showing(OURS), heard(), 1.0)
    assert trust.behind("n") == ()
