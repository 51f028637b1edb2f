"""What the probe finds out of real servers, and whom it turns away."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tandem.backends.s3.opening import S3Options
from tandem.backends.s3.verdict import VALID_US, Verdict, VerdictFile
from tandem.core.key import Key
from tandem.core.reply import Failed, Found, Stored
from tandem.errors import ConfigurationError, Unavailable
from tandem.runtime.clock import SystemClock
from tests.backends.s3.opened import opened, options, use_keys_of, value
from tests.servers.fault_proxy import Fault, Request, faults_before, status
from tests.servers.ministack import Ministack
from tests.servers.rgw import Rgw

pytestmark = pytest.mark.one_loop  # a probe is many requests, each of a kind that others test

KEY = Key("ab" * 16, "key")


async def objects_below(chosen: S3Options, prefix: str) -> int:
    """How many objects the bucket holds below a prefix, by its own listing."""
    async with opened(chosen) as home:
        page = await home.scan(prefix, after="", prefix="", limit=10, deadline_s=10.0)
        assert not isinstance(page, Failed)
        return len(page.entries) + page.foreign


async def test_rgw_wants_bare_etags_and_ignores_conditions_of_deletes(
    rgw: Rgw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keys_of(rgw, monkeypatch)
    async with opened(options(rgw.endpoint, tmp_path)) as home:
        verdict = home.verdict
    assert (verdict.etag_quotes, verdict.conditional_delete) == (False, False)
    assert verdict.refuses_old_signatures
    assert abs(verdict.ahead_of_machine_us) < 60_000_000


async def test_ministack_wants_quoted_etags_and_obeys_conditions_of_deletes(
    ministack: Ministack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keys_of(ministack, monkeypatch)
    async with opened(options(ministack.endpoint, tmp_path)) as home:
        verdict = home.verdict
        assert home.describe().endswith(verdict.describe())
    assert (verdict.etag_quotes, verdict.conditional_delete) == (True, True)
    assert not verdict.refuses_old_signatures


async def test_nothing_is_left_of_a_probe(
    ministack: Ministack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keys_of(ministack, monkeypatch)
    async with faults_before(ministack.endpoint) as proxy:
        chosen = options(proxy.endpoint, tmp_path)
        async with opened(chosen):
            written = {seen.target for seen in proxy.seen if "/probe-" in seen.target}
            below = next(iter(written)).split("/")[3]
        assert written
        assert await objects_below(chosen, below) == 0


async def test_what_a_probe_leaves_is_told(
    ministack: Ministack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keys_of(ministack, monkeypatch)
    async with faults_before(ministack.endpoint) as proxy:
        forbidden = Fault(forward=False, answer=status(403, "AccessDenied"))
        proxy.plan = lambda request: forbidden if request.method == "DELETE" else Fault()
        with capture_logs() as told:
            async with opened(options(proxy.endpoint, tmp_path)) as home:
                assert not home.verdict.conditional_delete
        written = {seen.target for seen in proxy.seen if "/probe-" in seen.target}
    [left] = [entry for entry in told if entry["event"] == "s3_probe_left_objects"]
    assert left["error"] == "DELETE is answered 403"
    assert 0 < left["count"] <= len(written)


async def test_a_probe_that_took_too_long_still_removes_what_it_wrote(
    ministack: Ministack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keys_of(ministack, monkeypatch)
    monkeypatch.setattr("tandem.backends.s3.probe._PROBE_S", 2.0)
    async with faults_before(ministack.endpoint) as proxy:
        chosen = options(proxy.endpoint, tmp_path)
        proxy.plan = for_puts_in("/order/", Fault(silent=True))
        with pytest.raises(Unavailable):
            async with opened(chosen):
                pass
        removed = [seen for seen in proxy.seen if seen.method == "DELETE"]
    assert any(seen.target.endswith("/one") for seen in removed)


def without(*headers: str) -> Callable[[Request], Request]:
    """Takes headers away, as a store does that does not know them."""

    def strip(request: Request) -> Request:
        kept = [
            line
            for line in request.head.split(b"\r\n")
            if line.split(b":")[0].decode().lower() not in headers
        ]
        return replace(request, head=b"\r\n".join(kept))

    return strip


def dropping(header: bytes) -> Callable[[bytes], bytes]:
    """Takes a header out of every answer."""

    def drop(answer: bytes) -> bytes:
        head, end, body = answer.partition(b"\r\n\r\n")
        kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(header)]
        return b"\r\n".join(kept) + end + body

    return drop


def asking(parameter: bytes) -> Callable[[Request], Request]:
    """Takes a parameter out of what is asked for, as a store does that does not know it."""

    def ask(request: Request) -> Request:
        return replace(request, head=re.sub(parameter, b"", request.head, count=1))

    return ask


def ignored_by_half(header: str) -> Callable[[Request], Fault]:
    """Ignores the condition of half the racers: a store that checks first and writes later."""
    passed: dict[str, int] = {}

    def plan(request: Request) -> Fault:
        if "race-" not in request.target or not request.header(header):
            return Fault()
        passed[request.target] = passed.get(request.target, 0) + 1
        return Fault(rewrite=without(header)) if passed[request.target] > 8 else Fault()

    return plan


def for_puts_in(place: str, fault: Fault) -> Callable[[Request], Fault]:
    def plan(request: Request) -> Fault:
        return fault if request.method == "PUT" and place in request.target else Fault()

    return plan


def for_puts_with(header: str, fault: Fault) -> Callable[[Request], Fault]:
    def plan(request: Request) -> Fault:
        return fault if request.method == "PUT" and request.header(header) else Fault()

    return plan


UNFIT: Mapping[str, tuple[Callable[[Request], Fault], str]] = {
    "ignores creates": (
        for_puts_with("if-none-match", Fault(rewrite=without("if-none-match"))),
        "replaced an object that was there: it ignores conditions",
    ),
    "ignores replaces": (
        for_puts_with("if-match", Fault(rewrite=without("if-match"))),
        "replaced a newer one: it ignores conditions",
    ),
    "refuses creates": (
        for_puts_with("if-none-match", Fault(forward=False, answer=status(501, "NotImplemented"))),
        "If-None-Match: 501 NotImplemented",
    ),
    "refuses replaces": (
        for_puts_with("if-match", Fault(forward=False, answer=status(501, "NotImplemented"))),
        "If-Match: 501 NotImplemented",
    ),
    "creates in two steps": (ignored_by_half("if-none-match"), "writers won a race creating"),
    "replaces in two steps": (ignored_by_half("if-match"), "writers won a race replacing"),
    "has other ETags": (
        lambda request: Fault(mangle=lambda answer: answer.replace(b"8b04d5e3", b"00000000")),
        "is not the MD5",
    ),
    "has no time": (lambda request: Fault(mangle=dropping(b"date:")), "no Date header"),
    "loses metadata": (
        lambda request: Fault(mangle=dropping(b"x-amz-meta")),
        "does not keep user metadata",
    ),
    "lists all from the beginning": (
        lambda request: Fault(rewrite=asking(rb"start-after=[^& ]*")),
        "start-after, max-keys",
    ),
    "lists more than is asked for": (
        lambda request: Fault(rewrite=asking(rb"max-keys=[^& ]*")),
        "start-after, max-keys",
    ),
    "may not be written": (
        lambda request: (
            Fault(forward=False, answer=status(403, "AccessDenied"))
            if request.method == "PUT"
            else Fault()
        ),
        "403 AccessDenied",
    ),
}


@pytest.mark.parametrize("kind", UNFIT)
async def test_a_store_that_cannot_be_trusted_is_refused(
    kind: str,
    ministack: Ministack,
    verdicts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_keys_of(ministack, monkeypatch)
    plan, reason = UNFIT[kind]
    async with opened(options(ministack.endpoint, verdicts)):  # makes the bucket
        pass
    async with faults_before(ministack.endpoint) as proxy:
        proxy.plan = plan
        chosen = options(proxy.endpoint, tmp_path)
        with pytest.raises(ConfigurationError) as refusal:
            async with opened(chosen):
                pass
    assert reason in str(refusal.value)
    assert VerdictFile(chosen.verdict_file).load(f"{proxy.endpoint}/store/") is None


async def test_a_store_that_is_down_and_was_never_probed_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ministack: Ministack
) -> None:
    use_keys_of(ministack, monkeypatch)
    async with faults_before(ministack.endpoint) as proxy:
        proxy.plan = lambda request: Fault(forward=False, reset=True)
        with pytest.raises(Unavailable, match="does not answer"):
            async with opened(options(proxy.endpoint, tmp_path)):
                pass
        proxy.plan = lambda request: Fault(forward=False, answer=status(503, "SlowDown"))
        with pytest.raises(Unavailable, match="503 SlowDown"):
            async with opened(options(proxy.endpoint, tmp_path)):
                pass


async def test_a_store_that_is_down_is_opened_by_its_stored_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ministack: Ministack
) -> None:
    use_keys_of(ministack, monkeypatch)
    async with faults_before(ministack.endpoint) as proxy:
        chosen = options(proxy.endpoint, tmp_path)
        async with opened(chosen) as probed:
            pass
        proxy.plan = lambda request: Fault(forward=False, reset=True)
        async with opened(chosen) as home:
            assert home.verdict == probed.verdict
            assert isinstance(await home.get(KEY, 1.0), Failed)
            proxy.plan = lambda request: Fault()
            record = value()
            assert isinstance(await home.put_if_newer(KEY, record, 10.0), Stored)
            assert isinstance(await home.get(KEY, 10.0), Found)


# That a store was probed again shows in the time of it, which need not be later: it goes by the
# whole seconds of its `Date`.
async def test_a_verdict_is_used_again_until_it_is_old_or_the_server_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ministack: Ministack
) -> None:
    use_keys_of(ministack, monkeypatch)
    chosen = options(ministack.endpoint, tmp_path)
    async with opened(chosen) as home:
        first = home.verdict
    async with opened(chosen) as home:
        assert home.verdict == first
    file, url = VerdictFile(chosen.verdict_file), f"{ministack.endpoint}/store/"
    for outdated in (
        replace(first, probed_at_us=first.probed_at_us - VALID_US),
        replace(first, server="another"),
    ):
        file.save(url, outdated)
        async with opened(chosen) as home:
            assert home.verdict.probed_at_us != first.probed_at_us
            assert home.verdict.server == first.server


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 9}', '{"format": 1}', "\0"])
def test_a_verdict_file_that_cannot_be_read_counts_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "verdicts.json"
    path.write_text(content)
    file = VerdictFile(path)
    verdict = Verdict(True, True, True, 0, "server", SystemClock().now_us())
    assert file.load("http://one/") is None
    file.save("http://one/", verdict)
    file.save("http://two/", replace(verdict, server="two"))
    assert file.load("http://one/") == verdict
    assert json.loads(path.read_text())["format"] == 1


@pytest.mark.parametrize(
    ("header", "code", "forward"),
    [("if-none-match", 500, True), ("if-none-match", 429, False), ("if-match", 500, False)],
)
async def test_a_store_in_trouble_is_no_unfit_one(
    header: str, code: int, forward: bool, ministack: Ministack, verdicts: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The start waits for it, instead of ending with advice to take another store."""
    use_keys_of(ministack, monkeypatch)
    async with opened(options(ministack.endpoint, verdicts)):  # makes the bucket
        pass
    async with faults_before(ministack.endpoint) as proxy:
        proxy.plan = for_puts_with(header, Fault(forward=forward, answer=status(code)))
        with pytest.raises(Unavailable, match=f"{code} while probing"):
            async with opened(options(proxy.endpoint, tmp_path)):
                pass
