"""Creating, naming, changing and ending namespaces, as one or two gateways do it."""

import asyncio

import pytest

from kvgateway.registry import changes, namespace_changes
from kvgateway.registry.form import NAMESPACES
from tandem.core.envelope import seal
from tandem.core.key import IDENTITY_NAMESPACE, SYSTEM_NAMESPACE
from tandem.core.mode import Mode, Stage
from tandem.core.namespace import (
    Namespace,
    Settings,
    SettingsChange,
    encode_namespace,
)
from tandem.core.reading import ReadMode
from tandem.core.record import Kind
from tandem.core.reply import Failed, Found, Reason, Side
from tandem.core.write_race import AckPolicy
from tandem.errors import (
    InvalidArgument,
    NamespaceExists,
    NamespaceNotFound,
    Overloaded,
    Unavailable,
)
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.registry.administration import Administration

NOTHING = SettingsChange()
UNKNOWN = "cd" * 16


async def test_a_namespace_is_created_in_both_homes_and_found(homes: TwoHomes) -> None:
    one = Administration(homes)
    change = SettingsChange(AckPolicy.FIRST, ReadMode.S3)
    made = await one.namespaces.create("photos", change)
    assert made.settings == Settings(AckPolicy.FIRST, ReadMode.S3, 0)
    assert made.created_at_s == homes.clock.now_us() // 1_000_000
    for home in homes.by_side.values():
        reply = await home.get(NAMESPACES.key_of(made.id), 1.0)
        assert isinstance(reply, Found)
        assert reply.record.value == encode_namespace(made)
    assert one.registry.book.known(made.id)
    assert await one.namespaces.get(made.id) == made
    assert await one.namespaces.find("photos") == made
    assert await one.namespaces.list() == [made]
    assert one.registry.policy_of(made.id) is AckPolicy.FIRST
    assert one.registry.read_mode_of(made.id) is ReadMode.S3


async def test_namespaces_are_listed_by_title(homes: TwoHomes) -> None:
    one = Administration(homes)
    for title in ("b", "a", "c"):
        await one.namespaces.create(title, NOTHING)
    assert await one.titles() == ["a", "b", "c"]


async def test_crawls_compare_the_namespaces_that_are_kept_in_both_homes(homes: TwoHomes) -> None:
    one = Administration(homes)
    modes = [Mode(stage, side) for stage in Stage for side in Side]
    made = {
        mode: await one.namespaces.create(str(mode), SettingsChange(mode=mode))
        for mode in modes[:5]
    }
    both = {namespace.id for mode, namespace in made.items() if mode.stage is not Stage.SINGLE}
    assert one.registry.book.in_both_homes() == both


@pytest.mark.parametrize("title", ["", "x" * 513, "a\nb", "\ud800"])
async def test_bad_titles_are_refused(homes: TwoHomes, title: str) -> None:
    one = Administration(homes)
    with pytest.raises(InvalidArgument, match="title"):
        await one.namespaces.create(title, NOTHING)
    made = await one.namespaces.create("good", NOTHING)
    with pytest.raises(InvalidArgument, match="title"):
        await one.namespaces.rename(made.id, title)


async def test_a_title_is_taken_once(homes: TwoHomes) -> None:
    one = Administration(homes)
    await one.namespaces.create("a", NOTHING)
    b = await one.namespaces.create("b", NOTHING)
    with pytest.raises(NamespaceExists, match="'a'"):
        await one.namespaces.create("a", NOTHING)
    with pytest.raises(NamespaceExists):
        await one.namespaces.rename(b.id, "a")
    both = await asyncio.gather(
        *(one.namespaces.create("c", NOTHING) for _ in range(2)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in both) == ["Namespace", "NamespaceExists"]


async def test_a_title_that_another_gateway_has_just_taken_is_taken(homes: TwoHomes) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    await one.namespaces.create("a", NOTHING)
    with pytest.raises(NamespaceExists):
        await two.namespaces.create("a", NOTHING)


async def test_two_gateways_that_take_one_title_at_once_have_a_visible_conflict(
    homes: TwoHomes,
) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    homes.s3.down = True
    homes.kvsp.held = asyncio.Event()
    for side in (one, two):
        side.a_home_is_out = True
        side.registry.ready = True
    older = asyncio.ensure_future(one.namespaces.create("a", NOTHING))
    younger = asyncio.ensure_future(two.namespaces.create("a", NOTHING))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    homes.kvsp.held.set()
    ids = [(await older).id, (await younger).id]
    for side in (one, two):
        first, second = await side.namespaces.list()
        assert [first.id, second.id] == sorted(ids)
        assert (first.title_conflict, second.title_conflict) == (False, True)
        assert (await side.namespaces.find("a")).id == first.id
    with pytest.raises(NamespaceExists):
        await one.namespaces.rename(second.id, "a")
    renamed = await one.namespaces.rename(second.id, "b")
    assert not renamed.title_conflict
    assert not any(namespace.title_conflict for namespace in await two.namespaces.list())


async def test_the_older_of_two_equal_titles_keeps_it(homes: TwoHomes) -> None:
    old = Namespace("f" * 32, "same", created_at_s=1)
    young = Namespace("1" * 32, "same", created_at_s=2)
    for namespace in (young, old):
        record = seal(homes.version(), encode_namespace(namespace))
        for home in homes.by_side.values():
            await home.put_if_newer(NAMESPACES.key_of(namespace.id), record, 1.0)
    one = Administration(homes)
    assert [(n.id, n.title_conflict) for n in await one.namespaces.list()] == [
        (old.id, False),
        (young.id, True),
    ]
    changed = await one.namespaces.configure(young.id, SettingsChange(AckPolicy.BOTH))
    assert changed.title_conflict
    await one.namespaces.delete(old.id)
    [left] = await one.namespaces.list()
    assert not left.title_conflict


async def test_a_title_is_unique_within_an_account(homes: TwoHomes) -> None:
    one = Administration(homes)
    mine = await one.namespaces.create("same", NOTHING)
    theirs = await one.namespaces.create("same", NOTHING, "acme")
    assert (mine.account, theirs.account) == ("default", "acme")
    assert not (mine.title_conflict or theirs.title_conflict)
    assert await one.namespaces.find("same") == mine
    assert await one.namespaces.find("same", "acme") == theirs
    assert await one.namespaces.list("acme") == [theirs]
    assert len(await one.namespaces.list()) == 2
    other = await one.namespaces.create("other", NOTHING, "acme")
    with pytest.raises(NamespaceExists):
        await one.namespaces.rename(other.id, "same")


async def test_settings_change_by_one_epoch_and_only_if_they_change(homes: TwoHomes) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    made = await one.namespaces.create("a", NOTHING)
    changed = await two.namespaces.configure(made.id, SettingsChange(AckPolicy.BOTH))
    assert changed.settings == Settings(AckPolicy.BOTH, ReadMode.RACE, 1)
    assert await two.namespaces.configure(made.id, SettingsChange(AckPolicy.BOTH)) == changed
    await one.registry.refresh()
    assert one.registry.policy_of(made.id) is AckPolicy.BOTH


async def test_those_with_limits_are_known_for_as_long_as_they_have_any(homes: TwoHomes) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    free = await one.namespaces.create("free", NOTHING)
    made = await one.namespaces.create("limited", SettingsChange(operations_per_s=5))
    again = await one.namespaces.create("interval", SettingsChange(key_write_interval=True))
    limited = two.registry.book.limited
    await two.registry.refresh()
    assert limited == {made.id: made.settings, again.id: again.settings}
    assert free.id not in limited
    changed = await one.namespaces.configure(made.id, SettingsChange(operations_per_s=6))
    await one.namespaces.delete(again.id)
    await two.registry.refresh()
    assert limited == {made.id: changed.settings}
    await one.namespaces.configure(made.id, SettingsChange(operations_per_s=0))
    await two.registry.refresh()
    assert limited == {}


async def test_a_renamed_namespace_is_found_by_its_new_title_only(homes: TwoHomes) -> None:
    one = Administration(homes)
    made = await one.namespaces.create("a", NOTHING)
    await one.namespaces.rename(made.id, "b")
    assert (await one.namespaces.find("b")).id == made.id
    with pytest.raises(NamespaceNotFound):
        await one.namespaces.find("a")


async def test_a_deleted_namespace_leaves_a_tombstone_in_both_homes(homes: TwoHomes) -> None:
    one = Administration(homes)
    made = await one.namespaces.create("a", NOTHING)
    await one.namespaces.delete(made.id)
    assert not one.registry.book.known(made.id)
    for home in homes.by_side.values():
        reply = await home.get(NAMESPACES.key_of(made.id), 1.0)
        assert isinstance(reply, Found)
        assert reply.record.kind is Kind.TOMBSTONE
    for refused in (one.namespaces.get(made.id), one.namespaces.delete(made.id)):
        with pytest.raises(NamespaceNotFound):
            await refused
    again = await one.namespaces.create("a", NOTHING)
    assert again.id != made.id


@pytest.mark.parametrize("down", Side)
async def test_changes_need_both_homes_and_say_which_one_fails(homes: TwoHomes, down: Side) -> None:
    one = Administration(homes)
    made = await one.namespaces.create("a", NOTHING)
    homes.by_side[down].down = True
    with pytest.raises(Unavailable, match=rf"{down.value}: unreachable.*switch it off for writes"):
        await one.namespaces.create("b", NOTHING)
    with pytest.raises(Unavailable):
        await one.namespaces.delete(made.id)
    one.switched_off_elsewhere = True
    await one.namespaces.create("c", NOTHING)
    assert one.registry.book.owner_of("default", "c") is not None


async def test_a_home_that_may_only_be_written_hinders_no_change(
    homes: TwoHomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def switched_off(*_: object, **__: object) -> Failed:
        return Failed(Reason.SWITCHED_OFF)

    monkeypatch.setattr(homes.s3, "scan", switched_off)
    made = await Administration(homes).namespaces.create("a", NOTHING)
    assert isinstance(await homes.s3.get(NAMESPACES.key_of(made.id), 1.0), Found)


async def test_the_reserved_namespaces_need_both_homes_unless_one_is_out(homes: TwoHomes) -> None:
    one = Administration(homes)
    for reserved in (SYSTEM_NAMESPACE, IDENTITY_NAMESPACE):
        one.a_home_is_out = False
        assert one.registry.policy_of(reserved) is AckPolicy.BOTH
        one.a_home_is_out = True
        assert one.registry.policy_of(reserved) is AckPolicy.FIRST_INTENT
        assert one.registry.read_mode_of(reserved) is ReadMode.RACE
        assert not one.registry.book.known(reserved)
        with pytest.raises(NamespaceNotFound):
            await one.registry.resolve(reserved)
    assert one.registry.policy_of(UNKNOWN) is AckPolicy.FIRST_INTENT


async def test_a_malformed_id_is_refused(homes: TwoHomes) -> None:
    with pytest.raises(InvalidArgument, match="namespace id"):
        await Administration(homes).registry.resolve("nonsense")


async def test_the_number_of_namespaces_is_bounded(
    homes: TwoHomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Administration(homes)
    monkeypatch.setattr(namespace_changes, "NAMESPACES_MAX", 2)
    a = await one.namespaces.create("a", NOTHING)
    await one.namespaces.create("b", NOTHING)
    with pytest.raises(Overloaded, match="2 namespaces"):
        await one.namespaces.create("c", NOTHING)
    await one.namespaces.delete(a.id)
    await one.namespaces.create("c", NOTHING)
    monkeypatch.setattr(namespace_changes, "RECORDS_MAX", 3)
    await one.namespaces.delete((await one.namespaces.find("c")).id)
    with pytest.raises(Overloaded, match="3 ids are used up"):
        await one.namespaces.create("d", NOTHING)


async def test_more_changes_than_may_wait_are_refused(
    homes: TwoHomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "CHANGES_MAX", 2)
    one = Administration(homes)
    homes.s3.held = asyncio.Event()
    waiting = [asyncio.ensure_future(one.namespaces.create(title, NOTHING)) for title in "ab"]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="2 changes of namespaces wait"):
        await one.namespaces.create("c", NOTHING)
    homes.s3.held.set()
    await asyncio.gather(*waiting)
    await one.namespaces.create("c", NOTHING)
    assert [namespace.title for namespace in await one.namespaces.list()] == ["a", "b", "c"]


async def test_a_delete_overtaken_by_a_change_is_repeated_above_it(homes: TwoHomes) -> None:
    one = Administration(homes)
    made = await one.namespaces.create("a", NOTHING)
    await one.registry.refresh()
    ahead = homes.clock.now_us() + 400_000
    newer = seal(homes.version(5_400), encode_namespace(made))
    assert newer.version.time_us == ahead
    for home in homes.by_side.values():
        home.memory._namespace(SYSTEM_NAMESPACE).store(NAMESPACES.key_of(made.id).name, newer)
    homes.kvsp.unlisted = homes.s3.unlisted = frozenset({NAMESPACES.key_of(made.id).name})
    await one.namespaces.delete(made.id)
    reply = await homes.kvsp.get(NAMESPACES.key_of(made.id), 1.0)
    assert isinstance(reply, Found)
    assert reply.record.kind is Kind.TOMBSTONE
    assert reply.record.version > newer.version
