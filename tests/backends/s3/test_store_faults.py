"""The S3 home behind a network and a store that lose and falsify answers."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tandem.backends.port import Heal
from tandem.backends.s3.store import S3Home
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.limits import LEG_DEADLINE_S
from tandem.core.record import Record
from tandem.core.reply import (
    Failed,
    Found,
    Glimpsed,
    Missing,
    Reason,
    Refusal,
    Refused,
    Stored,
    Superseded,
    WriteReply,
)
from tandem.core.version import Version
from tandem.runtime.clock import SystemClock
from tests.backends.s3.opened import opened, options, through, use_keys_of, value, values
from tests.servers.fault_proxy import (
    NEVER_ARRIVES,
    NO_ANSWER,
    NO_STORE,
    PASS,
    Fault,
    FaultProxy,
    faults_before,
    status,
)
from tests.servers.ministack import Ministack
from tests.servers.rgw import Rgw

KEY = Key("ab" * 16, "key")
DEADLINE_S = 20.0
SERVER_ERROR = Fault(answer=status(500, "InternalError"))
CONFLICT = Fault(forward=False, answer=status(409, "ConditionalRequestConflict"))
PRECONDITION_LIE = Fault(forward=False, answer=status(412, "PreconditionFailed"))
SLOW_DOWN = Fault(forward=False, answer=status(503, "SlowDown"))


@dataclass
class Scene:
    """One store seen by two processes: `home` behind the proxy, `other` beside it."""

    home: S3Home
    other: S3Home
    proxy: FaultProxy

    async def put(self, record: Record, heal: Heal | None = None) -> WriteReply:
        self.proxy.seen.clear()
        return await self.home.put_if_newer(KEY, record, DEADLINE_S, heal)

    async def other_stores(self, record: Record) -> None:
        reply = await self.other.put_if_newer(KEY, record, DEADLINE_S)
        assert isinstance(reply, Stored)

    async def held(self) -> Record | None:
        reply = await self.other.get(KEY, DEADLINE_S)
        assert isinstance(reply, Found | Missing), reply
        return reply.record if isinstance(reply, Found) else None


@pytest.fixture(params=["rgw", "ministack"])
async def scene(
    request: pytest.FixtureRequest, verdicts: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    server: Rgw | Ministack = request.getfixturevalue(request.param)
    use_keys_of(server, monkeypatch)
    chosen = options(server.endpoint, verdicts)
    async with (
        faults_before(server.endpoint) as proxy,
        opened(chosen) as other,
        through(other, chosen, proxy.endpoint) as home,
    ):
        yield Scene(home, other, proxy)


LOST = {
    "reset": NO_ANSWER,
    "500": SERVER_ERROR,
    "cut": Fault(cut_to=20),
    "no ETag": Fault(answer=status(200)),
}


@pytest.mark.parametrize("lost", LOST)
async def test_a_create_whose_answer_is_lost_is_stored(scene: Scene, lost: str) -> None:
    scene.proxy.next("PUT", LOST[lost])
    record = value()
    assert isinstance(await scene.put(record), Stored)
    assert scene.proxy.methods() == ["PUT", "HEAD"]
    assert await scene.held() == record


@pytest.mark.parametrize("lost", LOST)
async def test_an_update_whose_answer_is_lost_is_stored(scene: Scene, lost: str) -> None:
    older, record = values(b"older", b"newer")
    assert isinstance(await scene.put(older), Stored)
    scene.proxy.next("PUT", LOST[lost])
    assert isinstance(await scene.put(record), Stored)
    assert scene.proxy.methods() == ["PUT", "HEAD"]
    assert await scene.held() == record


async def test_a_write_that_never_arrived_is_failed_and_sent_once(scene: Scene) -> None:
    scene.proxy.next("PUT", NEVER_ARRIVES)
    reply = await scene.put(value())
    assert isinstance(reply, Failed)
    assert reply.reason is Reason.UNREACHABLE
    assert scene.proxy.methods() == ["PUT", "HEAD"]
    assert await scene.held() is None


async def test_a_200_that_is_not_the_stores_stores_nothing(scene: Scene) -> None:
    older, record = values(b"older", b"newer")
    await scene.other_stores(older)
    scene.proxy.plan = lambda _: NO_STORE
    reply = await scene.put(record)
    assert isinstance(reply, Failed)
    assert "200 without a store's sign" in reply.detail
    scene.proxy.plan = lambda _: PASS
    assert await scene.held() == older
    assert isinstance(await scene.put(record), Stored)
    assert await scene.held() == record


async def test_a_silent_store_is_read_back_before_the_deadline(scene: Scene) -> None:
    scene.proxy.next("PUT", Fault(silent=True))
    record = value()
    assert isinstance(await scene.home.put_if_newer(KEY, record, 4.0), Stored)


async def test_a_store_that_stays_silent_is_a_timeout(scene: Scene) -> None:
    scene.proxy.plan = lambda _: Fault(forward=False, silent=True)
    for reply in (
        await scene.home.put_if_newer(KEY, value(), 0.3),
        await scene.home.get(KEY, 0.1),
        await scene.home.scan(KEY.namespace, after="", prefix="", limit=9, deadline_s=0.1),
    ):
        assert isinstance(reply, Failed)
        assert reply.reason is Reason.TIMEOUT


async def test_a_lost_answer_is_superseded_when_a_newer_write_came_after(scene: Scene) -> None:
    late = asyncio.Event()
    scene.proxy.next("HEAD", Fault(wait=late))
    before = scene.proxy.plan
    scene.proxy.plan = lambda request: NO_ANSWER if request.method == "PUT" else before(request)
    older, newer = values(b"older", b"newer")
    writing = asyncio.ensure_future(scene.put(older))
    while "HEAD" not in scene.proxy.methods():
        await asyncio.sleep(0.01)
    await scene.other_stores(newer)
    late.set()
    reply = await writing
    assert isinstance(reply, Superseded)
    assert reply.newest == newer.version


async def test_a_lost_answer_goes_on_when_an_older_write_came_first(scene: Scene) -> None:
    """The first request can land no more, so another may be sent: nothing is ambiguous."""
    older, record = values(b"older", b"ours")
    passed = itertools.count()

    def plan(request: object) -> Fault:
        put = getattr(request, "method", "") == "PUT" and next(passed) == 0
        return Fault(forward=False, answer=status(500), wait=ready) if put else Fault()

    ready = asyncio.Event()
    scene.proxy.plan = plan
    writing = asyncio.ensure_future(scene.put(record))
    while not scene.proxy.seen:
        await asyncio.sleep(0.01)
    await scene.other_stores(older)
    ready.set()
    assert isinstance(await writing, Stored)
    assert scene.proxy.methods() == ["PUT", "HEAD", "PUT"]
    assert await scene.held() == record


async def test_an_overloaded_store_is_not_pressed(scene: Scene) -> None:
    scene.proxy.next("PUT", SLOW_DOWN)
    reply = await scene.put(value())
    assert isinstance(reply, Failed)
    assert reply.reason is Reason.OVERLOADED
    assert scene.proxy.methods() == ["PUT", "HEAD"]


@pytest.mark.parametrize("fault", [CONFLICT, PRECONDITION_LIE])
async def test_a_refusal_is_looked_into_and_tried_again(scene: Scene, fault: Fault) -> None:
    scene.proxy.next("PUT", fault)
    record = value()
    assert isinstance(await scene.put(record), Stored)
    assert scene.proxy.methods() == ["PUT", "HEAD", "PUT"]
    assert await scene.held() == record


async def test_a_store_that_always_refuses_is_left_alone_after_three_rounds(scene: Scene) -> None:
    scene.proxy.next("PUT", *[PRECONDITION_LIE] * 9)
    reply = await scene.put(value())
    assert isinstance(reply, Failed)
    assert reply.reason is Reason.CONTENDED
    assert scene.proxy.methods().count("PUT") == 3


async def test_what_seems_ahead_of_the_store_is_judged_by_a_fresh_look(scene: Scene) -> None:
    """After a few replies, each late and cut to seconds, the store's time is known so roughly."""
    now_us = SystemClock().now_us()
    scene.home._bucket.clock.step_to(now_us - 1_400_000)
    assert isinstance(await scene.put(seal(Version.at(now_us + 300_000), b"a")), Stored)
    assert [seen.method for seen in scene.proxy.seen] == ["HEAD", "PUT"]


async def test_what_is_ahead_of_the_store_is_never_sent(scene: Scene) -> None:
    ahead = Version.at(SystemClock().now_us() + 30_000_000)
    assert await scene.put(seal(ahead, b"a")) == Refused(Refusal.FUTURE, 0)
    assert [seen.method for seen in scene.proxy.seen] == ["HEAD"]


async def test_a_write_that_gets_late_between_two_tries_is_not_signed_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a pause of the process: what is sent then could land long after the leg's time."""
    clock, late_us = scene.home._bucket.clock, int(LEG_DEADLINE_S * 1e6) + 2_000_000
    now_us = clock.now_us
    monkeypatch.setattr(clock, "now_us", lambda: now_us() + late_us * bool(scene.proxy.seen))
    scene.proxy.next("PUT", PRECONDITION_LIE)
    assert await scene.put(value()) == Refused(Refusal.LATE, 0)
    assert scene.proxy.methods() == ["PUT", "HEAD"]


async def test_every_write_is_conditional(scene: Scene) -> None:
    first, second = values(b"first", b"second")
    await scene.put(first)
    assert scene.proxy.seen[0].header("if-none-match") == "*"
    await scene.put(second)
    (update,) = scene.proxy.seen
    quotes = '"' if scene.home.verdict.etag_quotes else ""
    assert update.header("if-match") == f"{quotes}{first.digest.hex()}{quotes}"
    assert update.header("if-none-match") is None


async def test_an_etag_that_is_out_of_date_destroys_nothing(scene: Scene) -> None:
    oldest, between, newest = values(b"oldest", b"between", b"newest")
    await scene.put(oldest)
    await scene.other_stores(newest)
    reply = await scene.put(between)
    assert isinstance(reply, Superseded)
    assert reply.newest == newest.version
    assert scene.proxy.methods() == ["PUT", "HEAD"]
    assert await scene.held() == newest


async def test_an_etag_that_is_out_of_date_is_learned_again(scene: Scene) -> None:
    oldest, between, newest = values(b"oldest", b"between", b"newest")
    await scene.put(oldest)
    await scene.other_stores(between)
    assert isinstance(await scene.put(newest), Stored)
    assert scene.proxy.methods() == ["PUT", "HEAD", "PUT"]
    assert await scene.held() == newest


async def test_a_newer_version_that_is_known_is_confirmed_before_it_is_told(scene: Scene) -> None:
    older, newer = values(b"older", b"newer")
    await scene.other_stores(newer)
    assert isinstance(await scene.home.get(KEY, DEADLINE_S), Found)
    reply = await scene.put(older)
    assert isinstance(reply, Superseded)
    assert scene.proxy.methods() == ["HEAD"]


async def test_bytes_damaged_on_their_way_are_corrupt(scene: Scene) -> None:
    record = value(b"x" * 1000)
    await scene.put(record)
    scene.proxy.next("GET", Fault(mangle=lambda answer: answer[:-1] + b"!"))
    reply = await scene.home.get(KEY, DEADLINE_S)
    assert isinstance(reply, Failed)
    assert reply.reason is Reason.CORRUPT
    assert reply.home_time_us > 0


async def test_a_body_that_ends_early_is_no_answer(scene: Scene) -> None:
    await scene.put(value(b"x" * 1000))
    scene.proxy.next("GET", Fault(cut_to=600))
    reply = await scene.home.get(KEY, DEADLINE_S)
    assert isinstance(reply, Failed)
    assert reply.reason is Reason.UNREACHABLE


async def test_damage_behind_the_same_etag_is_written_over(scene: Scene) -> None:
    """Bit rot: the store still shows the ETag of the bytes that it once had."""
    record = value()
    await scene.put(record)
    over = Heal(SystemClock().now_us(), over_corrupt=True)
    assert isinstance(await scene.put(record, over), Stored)
    assert scene.proxy.methods() == ["PUT"]
    scene.proxy.next("PUT", NEVER_ARRIVES)
    assert isinstance(await scene.put(record, over), Failed), "the ETag does not tell which it is"


async def test_only_the_headers_are_awaited_of_a_body_nobody_needs(scene: Scene) -> None:
    record = value(b"x" * 4_000_000)
    await scene.put(record)
    reply = await scene.home.get(KEY, DEADLINE_S, lambda: False)
    assert isinstance(reply, Glimpsed)
    assert (reply.version, reply.digest) == (record.version, record.digest)


async def test_a_404_that_is_not_the_stores_is_no_miss(scene: Scene) -> None:
    page = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello"
    scene.proxy.next("GET", Fault(forward=False, answer=page))
    assert isinstance(await scene.home.get(KEY, DEADLINE_S), Failed)
    scene.proxy.next("GET", Fault(forward=False, answer=status(404, "NoSuchBucket")))
    assert isinstance(await scene.home.get(KEY, DEADLINE_S), Failed)


LISTINGS = {
    "not XML": b"<html>",
    "another document": b"<Other/>",
    "entities": b'<!DOCTYPE x [<!ENTITY a "b">]><ListBucketResult>&a;</ListBucketResult>',
    "no size": b"<ListBucketResult><Contents><Key>k</Key></Contents></ListBucketResult>",
    "no end": b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
}


@pytest.mark.parametrize("listing", LISTINGS)
async def test_a_listing_that_cannot_be_understood_is_a_failure(scene: Scene, listing: str) -> None:
    body = LISTINGS[listing]
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    scene.proxy.next("GET", Fault(forward=False, answer=answer))
    page = await scene.home.scan(KEY.namespace, after="", prefix="", limit=9, deadline_s=DEADLINE_S)
    assert isinstance(page, Failed)
    assert page.reason is Reason.ERROR
