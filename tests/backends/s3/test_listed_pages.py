"""What a listing asks of the store, and where it ends."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tandem.backends.port import ScanPage
from tandem.backends.s3.listing import ENDLESS
from tandem.backends.s3.store import S3Home
from tandem.core.key import Key
from tandem.core.limits import LIST_PAGE_MAX
from tandem.core.reply import Failed, Reason
from tests.backends.home_under_test import DEADLINE_S, NAMESPACE
from tests.backends.s3.opened import opened, options, through, use_keys_of, value
from tests.servers.fault_proxy import Fault, FaultProxy, faults_before
from tests.servers.ministack import Ministack


@pytest.fixture
async def asked(
    ministack: Ministack, verdicts: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[S3Home, FaultProxy]]:
    """A home, and what is asked of its store."""
    use_keys_of(ministack, monkeypatch)
    chosen = options(ministack.endpoint, verdicts)
    async with (
        faults_before(ministack.endpoint) as proxy,
        opened(chosen) as home,
        through(home, chosen, proxy.endpoint) as behind,
    ):
        yield behind, proxy


async def test_a_listing_ends_with_its_prefix(asked: tuple[S3Home, FaultProxy]) -> None:
    """Names beyond it, of which the store shows some in one page with it, need no other page."""
    home, _ = asked
    for name in ("a1", "b1", "b2", "b3"):
        await home.put_if_newer(Key(NAMESPACE, name), value(), DEADLINE_S)
    page = await home.scan(NAMESPACE, after="", prefix="a", limit=2, deadline_s=DEADLINE_S)
    assert isinstance(page, ScanPage)
    assert ([entry.name for entry in page.entries], page.next_after) == (["a1"], None)


async def test_no_more_is_asked_for_than_a_page_may_have(
    asked: tuple[S3Home, FaultProxy],
) -> None:
    home, proxy = asked
    await home.scan(NAMESPACE, after="", prefix="", limit=10 * LIST_PAGE_MAX, deadline_s=DEADLINE_S)
    assert f"max-keys={LIST_PAGE_MAX}&" in proxy.seen[-1].target


async def test_a_listing_begins_with_its_prefix(asked: tuple[S3Home, FaultProxy]) -> None:
    """Names before it have an object's name that begins alike: five bits make a character."""
    home, proxy = asked
    for name in ("a1", "a2", "a3", "b1"):
        await home.put_if_newer(Key(NAMESPACE, name), value(), DEADLINE_S)
    proxy.seen.clear()
    page = await home.scan(NAMESPACE, after="", prefix="b", limit=2, deadline_s=DEADLINE_S)
    assert isinstance(page, ScanPage)
    assert [entry.name for entry in page.entries] == ["b1"]
    assert proxy.methods() == ["GET"]


async def test_a_page_that_promises_more_and_shows_nothing_is_a_failure(
    asked: tuple[S3Home, FaultProxy],
) -> None:
    home, proxy = asked
    body = b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    proxy.next("GET", Fault(answer=head + body))
    page = await home.scan(NAMESPACE, after="", prefix="", limit=10, deadline_s=DEADLINE_S)
    assert page == Failed(Reason.ERROR, ENDLESS)
