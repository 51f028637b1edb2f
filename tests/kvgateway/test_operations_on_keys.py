"""What an operator sees of single keys, and does to them: inspects, heals, compares."""

import pytest

from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import Key, object_name
from tandem.core.operations import Compared, Copy, Healed
from tandem.core.record import Record
from tandem.core.reply import Failed, Found, Reason, Side
from tandem.errors import Unavailable
from tests.kvgateway.operated import KEY, PREFIX, Operated
from tests.kvgateway.two_homes import NAMESPACE


@pytest.fixture
def here() -> Operated:
    return Operated()


async def test_an_inspection_shows_both_copies_and_what_a_heal_would_do(here: Operated) -> None:
    older = await here.hold(seal(here.version(9_000_000), b"old", metadata=b'{"a":1}'), Side.KVSP)
    newer = await here.hold(seal_tombstone(here.version(1_000_000)), Side.S3)
    shown = await here.operations.inspect(KEY)
    assert shown.copies == (
        Copy(Side.KVSP, True, older.version, older.digest, False, 0, 3, b'{"a":1}'),
        Copy(Side.S3, True, newer.version, newer.digest, True),
    )
    assert not shown.equal
    assert shown.object_name == object_name(PREFIX, KEY)
    await here.operations.heal(KEY)
    assert (await here.operations.inspect(KEY)).equal


async def test_an_inspection_looks_at_homes_that_are_switched_off_or_down(here: Operated) -> None:
    await here.hold(seal(here.version(1_000_000), b"value"))
    await here.operations.switch(Side.KVSP, reads_enabled=False, writes_enabled=False)
    here.pair.s3.down(Failed(Reason.TIMEOUT, "too slow"))
    shown = await here.operations.inspect(KEY)
    assert [copy.found for copy in shown.copies] == [True, False]
    assert "too slow" in shown.copies[1].failure
    assert not shown.equal


async def test_two_homes_without_the_key_are_equal(here: Operated) -> None:
    shown = await here.operations.inspect(KEY)
    assert shown.copies == (Copy(Side.KVSP), Copy(Side.S3))
    assert shown.equal


async def test_a_heal_copies_and_says_where_to(here: Operated) -> None:
    record = await here.hold(seal(here.version(1_000_000), b"value"), Side.KVSP)
    await here.queued(KEY.name, 1_000_000)
    assert await here.operations.heal(KEY) == Healed(True, (Side.S3,))
    reply = (await here.pair.held(KEY))[Side.S3]
    assert isinstance(reply, Found)
    assert reply.record == record
    assert (await here.queue.stats()).depth == 0


async def test_a_heal_that_cannot_be_says_why_and_leaves_the_repair_queued(here: Operated) -> None:
    await here.hold(seal(here.version(1_000_000), b"value"), Side.KVSP)
    await here.queued(KEY.name, 1_000_000)
    here.pair.s3.down()
    healed = await here.operations.heal(KEY)
    assert not healed.equal
    assert "it is down" in " ".join(healed.reasons)
    assert (await here.queue.stats()).depth == 1


async def place(here: Operated, name: str, record: Record, *sides: Side) -> None:
    for side in sides or tuple(Side):
        here.pair.homes[side].memory.place(Key(NAMESPACE, name), record)


async def test_a_comparison_finds_what_no_listing_of_live_keys_shows(here: Operated) -> None:
    live, gone = seal(here.version(9_000_000), b"v"), seal_tombstone(here.version(8_000_000))
    for name in ("a equal", "b equal"):
        await place(here, name, live)
    await place(here, "b deleted in both", gone)
    await place(here, "b only in s3", live, Side.S3)
    await place(here, "b only in kvsp", live, Side.KVSP)
    await place(here, "b deleted in one", live, Side.S3)
    await place(here, "b deleted in one", gone, Side.KVSP)
    await place(here, "c only in s3", live, Side.S3)
    compared = await here.operations.compare(NAMESPACE, "b", "")
    assert compared == Compared(2, ("b deleted in one", "b only in kvsp", "b only in s3"), None)
    for name in compared.differing:
        assert (await here.operations.heal(Key(NAMESPACE, name))).equal
    assert await here.operations.compare(NAMESPACE, "b", "") == Compared(5, (), None)
    assert (await here.operations.compare(NAMESPACE, "", "")).differing == ("c only in s3",)
    assert (await here.operations.compare(NAMESPACE, "", "c only in s3")) == Compared(0, (), None)


async def test_a_comparison_goes_on_page_by_page_to_the_end(
    here: Operated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The homes' pages end at other names; what one is ahead is listed again."""
    monkeypatch.setattr("kvgateway.operations.LIST_PAGE_MAX", 3)
    record, differing = seal(here.version(9_000_000), b"v"), []
    for number in range(40):
        only = {0: (Side.KVSP,), 3: (Side.S3,), 5: (Side.S3,)}.get(number % 7, ())
        await place(here, f"{number:02}", record, *only)
        differing += [f"{number:02}"] * bool(only)
    found: list[str] = []
    equal, after = 0, ""
    while True:
        page = await here.operations.compare(NAMESPACE, "", after)
        found += page.differing
        equal += page.equal
        if page.next_after is None:
            break
        assert page.next_after > after
        after = page.next_after
    assert (found, equal) == (differing, 40 - len(differing))


@pytest.mark.parametrize("side", list(Side))
async def test_a_comparison_needs_both_homes(here: Operated, side: Side) -> None:
    here.pair.homes[side].down()
    with pytest.raises(Unavailable, match=f"{side.value}: unreachable: it is down"):
        await here.operations.compare(NAMESPACE, "", "")
