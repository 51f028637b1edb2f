"""Removing and replacing exactly one object, behind a network that loses and falsifies answers."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tandem.backends.s3.bucket import Call
from tandem.backends.s3.listing import ENDLESS
from tandem.backends.s3.looking import condition, headers_of
from tandem.backends.s3.replies import Held
from tandem.backends.s3.sigv4 import payload_hash
from tandem.backends.s3.store import S3Home
from tandem.core.envelope import seal_tombstone
from tandem.core.key import Key, encode_name, object_name
from tandem.core.record import Record, Stamp
from tandem.core.removal import NamespacePurge, Removal
from tandem.core.reply import Failed, Found, Missing, Reason, Stored
from tandem.core.version import Version
from tandem.runtime.clock import SystemClock
from tests.backends.s3.opened import opened, options, through, use_keys_of, value, values
from tests.servers.fault_proxy import (
    NEVER_ARRIVES,
    NO_ANSWER,
    PASS,
    Fault,
    FaultProxy,
    faults_before,
    status,
)
from tests.servers.ministack import Ministack
from tests.servers.rgw import Rgw

NAMESPACE = "ab" * 16
KEY = Key(NAMESPACE, "key")
DEADLINE_S = 20.0
SERVER_ERROR = Fault(answer=status(500, "InternalError"))
TWENTY_MINUTES_US = 20 * 60 * 1_000_000
LEG_LIFE_US = 16 * 60 * 1_000_000
"""A leg's deadline and the 15 minutes after which S3 refuses a signature."""


@dataclass
class Scene:
    """One store seen by two processes: `home` behind the proxy, `other` beside it."""

    home: S3Home
    other: S3Home
    proxy: FaultProxy
    prefix: str

    async def stores(self, record: Record) -> None:
        assert isinstance(await self.other.put_if_newer(KEY, record, DEADLINE_S), Stored)

    async def held(self) -> Record | None:
        reply = await self.other.get(KEY, DEADLINE_S)
        assert isinstance(reply, Found | Missing), reply
        return reply.record if isinstance(reply, Found) else None

    async def removes(self, record: Record, deadline_s: float = DEADLINE_S) -> Removal | Failed:
        self.proxy.seen.clear()
        return await self.home.remove(KEY, Stamp(record.version, record.digest), deadline_s)

    async def replaces(self, old: Record, new: Record) -> Removal | Failed:
        self.proxy.seen.clear()
        stamp = Stamp(old.version, old.digest)
        now_us = SystemClock().now_us()
        return await self.home.replace(KEY, stamp, new, now_us, DEADLINE_S)


@pytest.fixture
async def scene(
    ministack: Ministack, verdicts: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    """A store that obeys conditions of DELETE, taken for one that refuses old signatures too."""
    use_keys_of(ministack, monkeypatch)
    chosen = options(ministack.endpoint, verdicts)
    async with (
        faults_before(ministack.endpoint) as proxy,
        opened(chosen) as other,
        through(other, chosen, proxy.endpoint) as home,
    ):
        home.verdict = replace(home.verdict, refuses_old_signatures=True)
        assert home.removes
        yield Scene(home, other, proxy, chosen.prefix)


def grave() -> Record:
    return seal_tombstone(Version.at(SystemClock().now_us() - 6_000_000))


PAGE = Fault(forward=False, answer=status(200))
"""A proxy's own."""
LOST = {"reset": NO_ANSWER, "500": SERVER_ERROR, "cut": Fault(cut_to=10)}


@pytest.mark.parametrize("lost", LOST)
async def test_a_removal_whose_answer_is_lost_is_read_back(scene: Scene, lost: str) -> None:
    gone = grave()
    await scene.stores(gone)
    scene.proxy.next("DELETE", LOST[lost])
    assert await scene.removes(gone) is Removal.DONE
    assert scene.proxy.methods() == ["DELETE", "HEAD"]
    assert await scene.held() is None


@pytest.mark.parametrize("lost", [*LOST, "no ETag"])
async def test_a_replacement_whose_answer_is_lost_is_read_back(scene: Scene, lost: str) -> None:
    old, new = values(b"old", b"new")
    await scene.stores(old)
    scene.proxy.next("PUT", LOST.get(lost, Fault(answer=status(200))))
    assert await scene.replaces(old, new) is Removal.DONE
    assert scene.proxy.methods() == ["PUT", "HEAD"]
    assert await scene.held() == new


async def test_a_removal_that_never_arrived_has_failed(scene: Scene) -> None:
    gone = grave()
    await scene.stores(gone)
    scene.proxy.next("DELETE", NEVER_ARRIVES)
    assert isinstance(await scene.removes(gone), Failed)
    assert scene.proxy.methods() == ["DELETE", "HEAD"]
    assert await scene.held() == gone
    assert await scene.removes(gone) is Removal.DONE


async def test_a_proxys_page_in_the_place_of_an_answer_removes_nothing(scene: Scene) -> None:
    gone = grave()
    await scene.stores(gone)
    scene.proxy.next("DELETE", PAGE)
    assert isinstance(await scene.removes(gone), Failed)
    assert await scene.held() == gone
    scene.proxy.next("DELETE", replace(PAGE, forward=True))
    assert await scene.removes(gone) is Removal.DONE, "some stores answer 200"


async def test_a_silent_store_is_read_back_before_the_deadline(scene: Scene) -> None:
    gone = grave()
    await scene.stores(gone)
    scene.proxy.next("DELETE", Fault(silent=True))
    assert await scene.removes(gone, 4.0) is Removal.DONE


async def test_every_removal_names_the_object(scene: Scene) -> None:
    gone = grave()
    await scene.stores(gone)
    assert await scene.removes(gone) is Removal.DONE
    [delete] = [request for request in scene.proxy.seen if request.method == "DELETE"]
    assert delete.header("if-match") == f'"{gone.digest.hex()}"'
    newer = value()
    await scene.stores(newer)
    assert await scene.removes(gone) is Removal.DIFFERENT
    assert await scene.held() == newer


async def test_a_conflict_is_looked_at_and_tried_once_more(scene: Scene) -> None:
    gone = grave()
    await scene.stores(gone)
    conflict = Fault(forward=False, answer=status(409, "ConditionalRequestConflict"))
    scene.proxy.next("DELETE", conflict)
    assert await scene.removes(gone) is Removal.DONE
    assert scene.proxy.methods() == ["DELETE", "HEAD", "DELETE"]
    await scene.stores(gone)
    scene.proxy.next("DELETE", conflict, conflict)
    assert isinstance(await scene.removes(gone), Failed)
    assert await scene.held() == gone


async def test_a_store_that_would_take_any_delete_gets_none(
    rgw: Rgw, verdicts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keys_of(rgw, monkeypatch)
    chosen = options(rgw.endpoint, verdicts)
    async with (
        faults_before(rgw.endpoint) as proxy,
        opened(chosen) as other,
        through(other, chosen, proxy.endpoint) as home,
    ):
        gone = grave()
        await other.put_if_newer(KEY, gone, DEADLINE_S)
        assert not home.removes
        stamp = Stamp(gone.version, gone.digest)
        assert isinstance(await home.remove(KEY, stamp, DEADLINE_S), Failed)
        assert "DELETE" not in proxy.methods()
        assert isinstance(await other.get(KEY, DEADLINE_S), Found)


async def test_foreign_objects_below_a_deleted_namespace_stay(scene: Scene) -> None:
    await scene.stores(value())
    foreign = f"{scene.prefix}{NAMESPACE}/{'0' * 3}"
    ours = f"{scene.prefix}{NAMESPACE}/{encode_name('zzz')}"
    until_s = scene.other._loop.time() + DEADLINE_S
    for name in (foreign, ours):
        body = b"somebody's"
        sha256 = payload_hash(body, encrypted=False)
        now_us = SystemClock().now_us()
        await scene.other._bucket.send(Call("PUT", name, {}, body, sha256), until_s, now_us)
    steps = [await scene.home.purge_namespace(NAMESPACE, 1, DEADLINE_S) for _ in range(4)]
    assert sum(step.removed for step in steps if isinstance(step, NamespacePurge)) == 2
    assert steps[-1] == NamespacePurge(0, more=False)
    left = await scene.other._bucket.ask(Call("HEAD", foreign), until_s)
    assert left.http.status == 200


async def test_a_purge_that_fails_goes_on_next_time(scene: Scene) -> None:
    for number in range(5):
        key = Key(NAMESPACE, f"key {number}")
        assert isinstance(await scene.other.put_if_newer(key, value(), DEADLINE_S), Stored)
    scene.proxy.next("DELETE", SERVER_ERROR, Fault(forward=False, answer=status(503)))
    assert isinstance(await scene.home.purge_namespace(NAMESPACE, 100, DEADLINE_S), Failed)
    step = await scene.home.purge_namespace(NAMESPACE, 100, DEADLINE_S)
    assert isinstance(step, NamespacePurge)
    assert not step.more
    page = await scene.other.scan(NAMESPACE, after="", prefix="", limit=10, deadline_s=DEADLINE_S)
    assert not isinstance(page, Failed)
    assert page.entries == ()


@pytest.mark.parametrize("code", [200, 404])
async def test_a_purge_is_not_done_for_a_proxys_page(scene: Scene, code: int) -> None:
    await scene.stores(value())
    page = Fault(forward=False, answer=status(code))
    scene.proxy.next("DELETE", page, replace(page, forward=True))
    failure = await scene.home.purge_namespace(NAMESPACE, 100, DEADLINE_S)
    assert isinstance(failure, Failed)
    assert failure.detail == f"DELETE is answered {code}, and nothing is deleted"
    assert await scene.home.purge_namespace(NAMESPACE, 100, DEADLINE_S) == NamespacePurge(1, False)
    assert await scene.held() is None


async def test_what_another_one_has_just_removed_is_gone(scene: Scene) -> None:
    await scene.stores(value())
    scene.proxy.next("DELETE", Fault(answer=status(404, "NoSuchKey")))
    step = await scene.home.purge_namespace(NAMESPACE, 100, DEADLINE_S)
    assert step == NamespacePurge(1, more=False)


async def test_a_purge_does_not_go_on_for_ever(scene: Scene) -> None:
    """A store that promises more and shows nothing."""
    body = b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    scene.proxy.next("GET", Fault(answer=head + body))
    step = await scene.home.purge_namespace(NAMESPACE, 100, DEADLINE_S)
    assert step == Failed(Reason.ERROR, ENDLESS)


@pytest.mark.parametrize("code", ["", "NoSuchBucket"])
async def test_a_404_that_is_not_of_the_key_proves_nothing(scene: Scene, code: str) -> None:
    gone = grave()
    await scene.stores(gone)
    scene.proxy.plan = lambda _: Fault(forward=False, answer=status(404, code))
    assert isinstance(await scene.removes(gone), Failed)
    scene.proxy.plan = lambda _: PASS
    assert await scene.held() == gone


@pytest.mark.parametrize("age_us", [LEG_LIFE_US, TWENTY_MINUTES_US])
@pytest.mark.parametrize("method", ["create", "replace"])
async def test_a_request_signed_long_ago_does_not_land(
    rgw: Rgw, verdicts: Path, monkeypatch: pytest.MonkeyPatch, method: str, age_us: int
) -> None:
    """The bound on which removal rests, on a real server: what a paused gateway sends at last."""
    use_keys_of(rgw, monkeypatch)
    old, late = values(b"old", b"late")
    async with opened(options(rgw.endpoint, verdicts)) as home:
        held = Held(old.version, old.digest.hex()) if method == "replace" else None
        if held is not None:
            assert isinstance(await home.put_if_newer(KEY, old, DEADLINE_S), Stored)
        headers = {**headers_of(late), **condition(held, etag_quotes=home.verdict.etag_quotes)}
        sha256 = payload_hash(late.envelope, encrypted=False)
        name = object_name(home._prefix, KEY)
        call = Call("PUT", name, headers, late.envelope, sha256)
        until_s = home._loop.time() + DEADLINE_S
        signed_at_us = SystemClock().now_us() - age_us
        answer = await home._bucket.send(call, until_s, signed_at_us)
        assert answer.http.status == 403
        reply = await home.get(KEY, DEADLINE_S)
        assert isinstance(reply, Found) == (held is not None)
        assert not isinstance(reply, Found) or reply.record == old
        fresh = await home._bucket.send(call, until_s, SystemClock().now_us())
        assert fresh.http.status == 200, "it was refused for something else"
