"""The copy of system records that a gateway serves from: looks at both homes, of which one or both
may fail, what is looked for and not found, and the copy on disk. The records are namespaces."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kvgateway.homes.trust import ALL
from kvgateway.registry import records
from kvgateway.registry.book import Kept
from kvgateway.registry.file import DiskCopy
from kvgateway.registry.form import NAMESPACES
from kvgateway.registry.namespace_book import NamespaceBook
from kvgateway.state.ports import Intent
from tandem.backends.port import ScanPage
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.key import SYSTEM_NAMESPACE
from tandem.core.namespace import (
    Namespace,
    Settings,
    SettingsChange,
    encode_namespace,
)
from tandem.core.reply import Failed, Found, Reason, Side
from tandem.core.write_race import AckPolicy
from tandem.errors import (
    NamespaceNotFound,
    Unavailable,
    Unconfirmed,
)
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.registry.administration import Administration

NOTHING = SettingsChange()
UNKNOWN = "cd" * 16


async def test_a_delete_at_another_gateway_counts_from_the_next_look(homes: TwoHomes) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    made = await one.namespaces.create("a", NOTHING)
    await two.registry.refresh()
    assert two.registry.book.known(made.id)
    await one.namespaces.delete(made.id)
    await two.registry.refresh()
    assert not two.registry.book.known(made.id)
    assert two.registry.missing(made.id)


@pytest.mark.parametrize("up", Side)
async def test_a_delete_is_seen_through_either_home(homes: TwoHomes, up: Side) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    made = await one.namespaces.create("a", NOTHING)
    await two.registry.refresh()
    await one.namespaces.delete(made.id)
    homes.by_side[up.other].down = True
    await two.registry.refresh()
    assert not two.registry.book.known(made.id)


async def test_a_look_reads_nothing_that_is_known_already(homes: TwoHomes) -> None:
    one = Administration(homes)
    await one.namespaces.create("a", NOTHING)
    homes.kvsp.calls = homes.s3.calls = 0
    await one.registry.refresh()
    assert (homes.kvsp.calls, homes.s3.calls) == (1, 1)


class CountingBook(NamespaceBook):
    """Counts how often all that is known was gone through."""

    times = 0

    def _served(self, found: Mapping[str, Namespace]) -> Mapping[str, Namespace]:
        self.times += 1
        return super()._served(found)


async def test_many_records_are_learned_in_few_goes(homes: TwoHomes) -> None:
    for number in range(20 * records.READS_MAX):
        namespace = Namespace(f"{number + 100:032x}", f"n{number}")
        record = seal(homes.version(), encode_namespace(namespace))
        await homes.kvsp.memory.put_if_newer(NAMESPACES.key_of(namespace.id), record, 1.0)
    registry = Administration(homes).registry
    book = registry.book = CountingBook()
    await registry.refresh()
    assert len(book.items()) == 20 * records.READS_MAX
    assert book.times <= 7


async def test_a_tombstone_that_kvsp_lists_costs_no_read(homes: TwoHomes) -> None:
    one = Administration(homes)
    tombstone = seal_tombstone(homes.version())
    await homes.kvsp.memory.put_if_newer(NAMESPACES.key_of(UNKNOWN), tombstone, 1.0)
    for _ in range(3):
        await one.registry.refresh()
    assert one.registry.missing(UNKNOWN)
    assert homes.kvsp.calls == 3


async def test_an_old_copy_in_one_home_revives_nothing_and_is_read_once(homes: TwoHomes) -> None:
    one = Administration(homes)
    namespace = Namespace(UNKNOWN, "a")
    old = seal(homes.version(), encode_namespace(namespace))
    await homes.s3.memory.put_if_newer(NAMESPACES.key_of(UNKNOWN), old, 1.0)
    await homes.kvsp.put_if_newer(
        NAMESPACES.key_of(UNKNOWN), seal_tombstone(homes.version(10)), 1.0
    )
    for _ in range(3):
        await one.registry.refresh()
        assert not one.registry.book.known(UNKNOWN)
    scans, gets = 3, 1
    assert homes.s3.calls == scans + gets
    assert one.registry.equal() is False


async def test_a_record_under_a_reserved_or_foreign_name_is_no_namespace(homes: TwoHomes) -> None:
    one = Administration(homes)
    for name in (SYSTEM_NAMESPACE, "short", "ef" * 16):
        value = encode_namespace(Namespace(UNKNOWN, "a"))
        for home in homes.by_side.values():
            await home.put_if_newer(NAMESPACES.key_of(name), seal(homes.version(), value), 1.0)
    assert await one.namespaces.list() == []


async def test_a_damaged_record_is_told_and_hides_no_other(homes: TwoHomes) -> None:
    one = Administration(homes)
    for home in homes.by_side.values():
        await home.put_if_newer(NAMESPACES.key_of(UNKNOWN), seal(homes.version(), b"{}"), 1.0)
    with capture_logs() as told:
        await one.namespaces.create("a", NOTHING)
        assert await one.titles() == ["a"]
    assert [line["id"] for line in told if line["event"] == "bad_record"] == [UNKNOWN] * 2
    with pytest.raises(Unavailable, match="damaged"):
        await one.registry.resolve(UNKNOWN)


async def test_an_unknown_id_is_looked_for_in_both_homes(homes: TwoHomes) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    made = await one.namespaces.create("a", NOTHING)
    assert not two.registry.book.known(made.id)
    assert await two.registry.resolve(made.id) == made
    assert two.registry.book.known(made.id)


async def test_a_deleted_id_that_is_looked_for_is_not_found(homes: TwoHomes) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    made = await one.namespaces.create("a", NOTHING)
    await one.namespaces.delete(made.id)
    homes.s3.down = True
    with pytest.raises(NamespaceNotFound):
        await two.registry.resolve(made.id)
    homes.clock.advance(100)
    assert two.registry.missing(made.id)


@pytest.mark.parametrize("down", Side)
async def test_an_unconfirmed_miss_is_unavailable(homes: TwoHomes, down: Side) -> None:
    one = Administration(homes)
    homes.by_side[down].down = True
    with pytest.raises(Unconfirmed, match="a home that may have it does not answer"):
        await one.registry.resolve(UNKNOWN)
    assert not one.registry.missing(UNKNOWN)
    with pytest.raises(Unconfirmed, match="may know the title"):
        await one.namespaces.find("a")


@pytest.mark.parametrize("down", Side)
async def test_a_miss_of_a_home_that_is_behind_is_none(homes: TwoHomes, down: Side) -> None:
    one = Administration(homes)
    for side in Side:
        one.trust.missed(side, ALL, one.gateway.clock.now_us())
    homes.by_side[down].down = True
    with pytest.raises(Unconfirmed):
        await one.registry.resolve(UNKNOWN)
    assert not one.registry.missing(UNKNOWN)


async def test_a_confirmed_miss_is_remembered_for_a_second(homes: TwoHomes) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    for _ in range(3):
        with pytest.raises(NamespaceNotFound):
            await one.registry.resolve(UNKNOWN)
    assert homes.kvsp.calls == homes.s3.calls == 1
    assert one.registry.missing(UNKNOWN)
    homes.clock.advance(1)
    assert not one.registry.missing(UNKNOWN)
    namespace = Namespace(UNKNOWN, "late")
    await two.gateway.writer.drained()
    for home in homes.by_side.values():
        record = seal(homes.version(), encode_namespace(namespace))
        await home.put_if_newer(NAMESPACES.key_of(UNKNOWN), record, 1.0)
    assert await one.registry.resolve(UNKNOWN) == namespace


async def test_a_gateway_starts_from_its_disk_while_both_homes_are_down(homes: TwoHomes) -> None:
    before = Administration(homes)
    kept = await before.namespaces.create("kept", SettingsChange(AckPolicy.BOTH))
    gone = await before.namespaces.create("gone", NOTHING)
    await before.namespaces.delete(gone.id)
    homes.kvsp.down = homes.s3.down = True
    after = Administration(homes, 2, before.file)
    assert after.registry.ready
    await after.registry.refresh()
    assert await after.namespaces.list() == [kept]
    assert await after.registry.resolve(kept.id) == kept
    assert after.registry.missing(gone.id)
    assert after.registry.policy_of(kept.id) is AckPolicy.BOTH


@pytest.mark.parametrize("down", Side)
async def test_a_gateway_starts_without_a_disk_from_one_home(homes: TwoHomes, down: Side) -> None:
    made = await Administration(homes).namespaces.create("a", NOTHING)
    homes.by_side[down].down = True
    fresh = Administration(homes, 2)
    ready_before = fresh.registry.ready
    await fresh.registry.refresh()
    assert (ready_before, fresh.registry.ready) == (False, True)
    assert await fresh.namespaces.list() == [made]


@pytest.mark.parametrize("hidden", Side)
async def test_a_home_whose_records_cannot_be_read_has_not_shown_them(
    homes: TwoHomes, hidden: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Administration(homes).namespaces.create("a", NOTHING)
    homes.by_side[hidden.other].down = True
    two = Administration(homes, 2)

    async def unread(*_: object) -> Failed:
        return Failed(Reason.TIMEOUT)

    with monkeypatch.context() as patched:
        patched.setattr(homes.by_side[hidden], "get", unread)
        await two.registry.refresh()
    assert (two.registry.ready, two.registry.looked_us) == (False, 0)
    await two.registry.refresh()
    assert two.registry.ready
    assert two.registry.looked_us


async def test_nothing_is_said_while_nothing_is_known(homes: TwoHomes) -> None:
    one = Administration(homes)
    homes.kvsp.down = homes.s3.down = True
    with pytest.raises(Unavailable, match="not known yet"):
        await one.namespaces.list()
    with pytest.raises(Unavailable, match="not known yet"):
        await one.namespaces.create("a", NOTHING)


async def test_a_home_that_hangs_keeps_no_news_of_the_other_back(homes: TwoHomes) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    made = await one.namespaces.create("a", NOTHING)
    homes.s3.held = asyncio.Event()
    running = asyncio.ensure_future(two.registry.run())
    for _ in range(20):
        await asyncio.sleep(0)
    assert two.registry.book.known(made.id)
    assert two.registry.ready
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_namespace_that_no_home_lists_any_more_is_still_served(homes: TwoHomes) -> None:
    one = Administration(homes)
    made = await one.namespaces.create("a", NOTHING)
    for home in homes.by_side.values():
        reply = await home.get(NAMESPACES.key_of(made.id), 1.0)
        assert isinstance(reply, Found)
        home.memory.drop(NAMESPACES.key_of(made.id))
    await one.registry.refresh()
    assert one.registry.book.known(made.id)


async def test_whether_both_copies_are_equal_is_noticed(homes: TwoHomes) -> None:
    one = Administration(homes)
    assert one.registry.equal() is None
    await one.namespaces.create("a", NOTHING)
    await one.registry.refresh()
    assert one.registry.equal() is True
    homes.kvsp.down = True
    await one.registry.refresh()
    assert one.registry.equal() is None
    homes.kvsp.down = False
    homes.kvsp.unlisted = frozenset({"x"})
    await one.registry.refresh()
    assert one.registry.equal() is None


async def test_a_disk_that_refuses_is_tried_again(homes: TwoHomes) -> None:
    one = Administration(homes)
    one.file.refuses = True
    with capture_logs() as told:
        made = await one.namespaces.create("a", NOTHING)
    assert "registry_not_saved" in [line["event"] for line in told]
    one.file.refuses = False
    await one.registry.refresh()
    assert [kept.item for kept in one.file.load()] == [made]
    saves = one.file.saves
    await one.registry.refresh()
    assert one.file.saves == saves


async def test_what_a_caller_that_went_away_did_not_save_is_saved_by_the_next_look(
    homes: TwoHomes,
) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    made = await two.namespaces.create("a", NOTHING)
    one.file.goes_on.clear()
    look = asyncio.create_task(one.registry.refresh())
    while not one.registry.book.known(made.id):
        await asyncio.sleep(0)
    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look
    one.file.goes_on.set()
    await one.registry.refresh()
    assert [kept.item for kept in one.file.load()] == [made]


async def test_a_leftover_intent_for_a_namespace_makes_a_miss_unavailable(homes: TwoHomes) -> None:
    one = Administration(homes)
    one.gateway.machine.pin([Intent(NAMESPACES.key_of(UNKNOWN), homes.version())])
    with pytest.raises(Unavailable):
        await one.registry.resolve(UNKNOWN)


async def test_the_copy_on_disk_is_whole_or_the_old_one(tmp_path: Path) -> None:
    file = DiskCopy(tmp_path / "namespaces.json", NAMESPACES)
    assert file.load() == []
    version = TwoHomes().version()
    namespace = Namespace("1" * 32, "é", Settings(epoch=3), 5)
    digest = seal(version, NAMESPACES.encode(namespace)).digest
    kept = [
        Kept("1" * 32, version, digest, namespace),
        Kept("2" * 32, version, b"e" * 16, None),
    ]
    await file.save(kept)
    assert file.load() == kept
    assert [path.name for path in tmp_path.iterdir()] == ["namespaces.json"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"format": 2}', b'{"format": 1, "records": [{"id": "x"}]}']
)
async def test_a_damaged_copy_on_disk_counts_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "namespaces.json"
    path.write_bytes(content)
    assert DiskCopy(path, NAMESPACES).load() == []


async def test_a_copy_on_disk_that_says_something_else_is_read_in_the_homes(
    homes: TwoHomes,
) -> None:
    before = Administration(homes)
    namespace = await before.namespaces.create("right", NOTHING)
    saved = before.file.content
    before.file.content = saved.replace(b"right", b"rigHt")
    after = Administration(homes, 2, before.file)
    await after.registry.refresh()
    assert await after.namespaces.list() == [namespace]
    assert after.file.content == saved


async def test_a_look_that_meets_a_fault_of_ours_is_not_the_last(
    homes: TwoHomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> ScanPage:
        raise LookupError("nobody thought of this")

    monkeypatch.setattr(records, "REFRESH_S", 0.001)
    one, two = Administration(homes, 1), Administration(homes, 2)
    made = await one.namespaces.create("a", NOTHING)
    homes.kvsp.down = True
    with capture_logs() as told, monkeypatch.context() as faulty:
        faulty.setattr(homes.s3, "scan", broken)
        running = asyncio.ensure_future(two.registry.run())
        async with asyncio.timeout(60):
            while not two.registry.errors:
                await asyncio.sleep(0.001)
    async with asyncio.timeout(60):
        while not two.registry.book.known(made.id):
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert told[0]["event"] == "records_look_broke"
