"""Trust in homes: views that only grow, so that they merge in any order; and when it returns."""

import asyncio
import fcntl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvgateway.homes.trust import ALL, Trust
from kvgateway.homes.trust_file import DiskTrustFile
from tandem.core.reply import Side

A, B = "a" * 32, "b" * 32
NAMESPACES = frozenset({A, B})
TIMES = st.integers(1, 9)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("missed"), st.sampled_from(Side), st.sampled_from([A, B, ALL]), TIMES),
        st.tuples(st.just("crawled"), st.just(Side.S3), st.sampled_from([A, B]), TIMES),
        st.tuples(st.just("saw"), st.sampled_from(Side), st.sampled_from(["x", "y"]), TIMES),
    ),
    max_size=8,
)


def told(events: list[tuple[str, Side, str, int]]) -> Trust:
    trust = Trust()
    for what, side, name, at in events:
        match what:
            case "missed":
                trust.missed(side, name, at)
            case "crawled":
                trust.crawled(name, at)
            case _:
                trust.saw(side, name, 0, at)
    return trust


def merged(*views: Trust) -> str:
    whole = Trust()
    for view in views:
        whole.merge(view)
    return whole.to_json()


@given(EVENTS, EVENTS, EVENTS)
def test_views_merge_in_any_order_and_any_number_of_times(
    a: list[tuple[str, Side, str, int]],
    b: list[tuple[str, Side, str, int]],
    c: list[tuple[str, Side, str, int]],
) -> None:
    first, second, third = told(a), told(b), told(c)
    both = Trust.from_json(merged(first, second))
    assert merged(first, second) == merged(second, first)
    assert merged(both, third) == merged(first, Trust.from_json(merged(second, third)))
    assert merged(both, first, both) == merged(both)


@given(EVENTS)
def test_a_home_is_behind_while_no_crawl_began_after_it_missed_a_write(
    events: list[tuple[str, Side, str, int]],
) -> None:
    trust = told([event for event in events if event[0] != "saw"])
    for namespace in (A, B):
        crawled = max((at for what, _, n, at in events if (what, n) == ("crawled", namespace)),
                      default=0)  # fmt: skip
        missed = {
            side: max((at for what, s, n, at in events
                       if what == "missed" and s is side and n in {namespace, ALL}), default=0)
            for side in Side
        }  # fmt: skip
        late = {side for side, at in missed.items() if at and at >= crawled}
        assert set(trust.behind(namespace)) == late


@given(EVENTS)
def test_settling_changes_nothing_that_counts(events: list[tuple[str, Side, str, int]]) -> None:
    trust, settled = told(events), told(events)
    settled.settle(NAMESPACES)
    assert [settled.behind(n) for n in (A, B)] == [trust.behind(n) for n in (A, B)]
    nothing_known = told(events)
    nothing_known.settle(frozenset())
    assert nothing_known.to_json() == trust.to_json()


def test_a_home_that_shows_another_incarnation_lacks_everything() -> None:
    trust = Trust()
    trust.saw(Side.KVSP, "first", 0, 1)
    trust.saw(Side.KVSP, "first", 0, 2)
    assert trust.behind(A) == ()
    trust.saw(Side.KVSP, "second", 3, 3)
    assert trust.behind(A) == (Side.KVSP,)
    trust.crawled(A, 4)
    assert trust.behind(A) == ()
    assert trust.behind(B) == (Side.KVSP,)


def test_a_home_seen_for_the_first_time_lacks_what_was_there_before_it_was_rebuilt() -> None:
    trust = Trust()
    trust.saw(Side.S3, "first", 0, 9)
    trust.saw(Side.KVSP, "second", 5, 9)
    assert trust.behind(A) == (Side.KVSP,)
    trust.crawled(A, 5)
    assert trust.behind(A) == (Side.KVSP,), "a crawl that began no later proves nothing"
    trust.crawled(A, 6)
    assert trust.behind(A) == ()
    trust.saw(Side.KVSP, "second", 5, 10)
    assert trust.behind(A) == ()


async def test_workers_share_what_they_know_through_the_file(tmp_path: Path) -> None:
    file = DiskTrustFile(tmp_path / "trust.json")
    one, two = Trust(), Trust()
    one.missed(Side.S3, ALL, 5)
    await file.exchange(one, NAMESPACES)
    await file.exchange(two, NAMESPACES)
    assert two.behind(A) == (Side.S3,)
    two.crawled(A, 6)
    two.crawled(B, 6)
    await file.exchange(two, NAMESPACES)
    await file.exchange(one, NAMESPACES)
    assert one.behind(A) == ()
    assert one.open_marks(Side.S3) == two.open_marks(Side.S3) == []


@pytest.mark.parametrize(
    ("text", "damaged"),
    [
        (None, False), (Trust().to_json(), False),
        ("", True), ("{", True), ('{"missed": 3}', True), ("[" * 100_000, True), ("\x00" * 9, True),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_told_from_none(
    tmp_path: Path, text: str | None, *, damaged: bool
) -> None:
    path = tmp_path / "trust.json"
    if text is not None:
        path.write_text(text)
    assert DiskTrustFile(path).is_damaged() is damaged


async def test_a_damaged_file_is_replaced_by_what_this_worker_knows(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    path.write_text('{"missed": 3}')
    mine = Trust()
    mine.missed(Side.KVSP, A, 7)
    await DiskTrustFile(path).exchange(mine, NAMESPACES)
    assert Trust.from_json(path.read_text()).behind(A) == (Side.KVSP,)


async def test_while_another_worker_writes_its_news_are_taken_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "trust.json"
    theirs, mine = Trust(), Trust()
    theirs.missed(Side.S3, A, 5)
    await DiskTrustFile(path).exchange(theirs, NAMESPACES)
    mine.missed(Side.KVSP, B, 7)
    with path.with_suffix(".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = path.read_text()
        await DiskTrustFile(path).exchange(mine, NAMESPACES)
        assert path.read_text() == before
    assert mine.behind(A) == (Side.S3,)
    await DiskTrustFile(path).exchange(mine, NAMESPACES)
    assert Trust.from_json(path.read_text()).behind(B) == (Side.KVSP,)


async def test_a_disk_that_refuses_still_tells_what_is_on_it(tmp_path: Path) -> None:
    """As one that became read-only."""
    path = tmp_path / "trust.json"
    theirs, mine = Trust(), Trust()
    theirs.missed(Side.S3, A, 5)
    await DiskTrustFile(path).exchange(theirs, NAMESPACES)
    path.with_suffix(".lock").unlink()
    path.with_suffix(".lock").mkdir()
    await DiskTrustFile(path).exchange(mine, NAMESPACES)
    assert mine.behind(A) == (Side.S3,)
    mine.missed(Side.KVSP, B, 7)
    with pytest.raises(IsADirectoryError):
        await DiskTrustFile(path).exchange(mine, NAMESPACES)


async def test_what_must_be_entered_is_in_the_file_however_long_another_is_at_it(
    tmp_path: Path,
) -> None:
    file, mine = DiskTrustFile(tmp_path / "trust.json"), Trust()
    mine.missed(Side.S3, A, 5)
    with (tmp_path / "trust.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        entering = asyncio.create_task(file.enter(mine))
        await asyncio.sleep(0.05)
        assert not entering.done()
        fcntl.flock(lock, fcntl.LOCK_UN)
        await entering
        assert (tmp_path / "trust.json").read_text() == mine.to_json()
        fcntl.flock(lock, fcntl.LOCK_EX)
        await file.enter(mine)  # it has all of it already


async def test_many_workers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    views = [Trust() for _ in range(8)]
    for number, view in enumerate(views):
        view.missed(Side.S3, f"{number:032}", 5 + number)
    for _ in range(20):
        await asyncio.gather(*(DiskTrustFile(path).exchange(view) for view in views))
    await asyncio.gather(*(DiskTrustFile(path).exchange(view) for view in views))
    assert {view.to_json() for view in views} == {path.read_text()}
    assert len(views[0].open_marks(Side.S3)) == 8
    assert sorted(p.name for p in tmp_path.iterdir()) == ["trust.json", "trust.lock"]
