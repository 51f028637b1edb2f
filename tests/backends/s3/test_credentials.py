"""Whose key signs: looked up, exchanged while requests go on, refused, and not to be had."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tandem.backends.s3.credentials import NoCredentials, SessionCredentials
from tandem.core.key import Key
from tandem.core.reply import Failed, Found, Missing, Stored
from tandem.errors import Unavailable
from tandem.runtime.clock import SystemClock
from tests.backends.s3.opened import opened, options, refusal_of, use_keys_of, value
from tests.backends.s3.scripted_server import HangUp, Say, Take, scripted
from tests.servers.fault_proxy import Fault, faults_before, status
from tests.servers.ministack import Ministack
from tests.servers.rgw import Rgw

pytestmark = pytest.mark.one_loop  # keys are looked up in a thread, whatever the loop

KEY = Key("ab" * 16, "key")
DEADLINE_S = 20.0


class SteppingClock:
    """The real clocks, moved on at will."""

    ahead_us = 0

    def now_us(self) -> int:
        return SystemClock().now_us()

    def monotonic_us(self) -> int:
        return SystemClock().monotonic_us() + self.ahead_us


async def test_an_expired_token_has_the_key_looked_up_again(
    ministack: Ministack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS says so with 400, which is no failure of the home when a new key is there."""
    use_keys_of(ministack, monkeypatch)
    expired = Fault(forward=False, answer=status(400, "ExpiredToken"))
    chosen, clock = options(ministack.endpoint, tmp_path), SteppingClock()
    async with faults_before(ministack.endpoint) as proxy, opened(chosen):
        detour = replace(chosen, location=replace(chosen.location, endpoint=proxy.endpoint))
        async with opened(detour, clock) as home:
            for operation in ("GET", "PUT"):
                monkeypatch.setenv("AWS_ACCESS_KEY_ID", f"fresh for {operation}")
                clock.ahead_us += 3_000_000
                proxy.next(operation, expired)
                if operation == "GET":
                    assert isinstance(await home.get(KEY, DEADLINE_S), Missing)
                else:
                    assert isinstance(await home.put_if_newer(KEY, value(), DEADLINE_S), Stored)
                assert f"fresh for {operation}" in (proxy.seen[-1].header("authorization") or "")
            proxy.next("GET", expired)
            assert isinstance(await home.get(KEY, DEADLINE_S), Failed), "not twice in two seconds"


async def test_rotated_keys_are_taken_up_without_a_restart(
    rgw: Rgw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)

    def write(secret: str) -> None:
        file.write_text(
            f"[default]\naws_access_key_id = {rgw.access_key}\naws_secret_access_key = {secret}\n"
        )

    write(rgw.secret_key)
    chosen = options(rgw.endpoint, tmp_path)
    clock = SteppingClock()
    async with opened(chosen, clock) as home:
        write("revoked")
        clock.ahead_us += 61_000_000
        assert isinstance(await home.get(KEY, DEADLINE_S), Missing), "the old key still signs"
        while not isinstance(await home.get(KEY, DEADLINE_S), Failed):
            await asyncio.sleep(0.01)
        reply = await home.put_if_newer(KEY, value(), DEADLINE_S)
        assert isinstance(reply, Failed)
        assert "SignatureDoesNotMatch" in reply.detail
        assert "...test" in home.describe()
        write(rgw.secret_key)
        clock.ahead_us += 3_000_000
        assert isinstance(await home.put_if_newer(KEY, value(), DEADLINE_S), Stored)


async def test_a_wrong_secret_is_told_from_an_unknown_key_and_a_missing_bucket(
    rgw: Rgw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keys_of(rgw, monkeypatch)
    absent = replace(options(rgw.endpoint, tmp_path, bucket="absent"), create_bucket=False)
    assert "create the bucket" in await refusal_of(absent)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    text = await refusal_of(options(rgw.endpoint, tmp_path, bucket="secret"))
    assert "the secret does not belong to the access key ...test" in text
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "unknown")
    text = await refusal_of(options(rgw.endpoint, tmp_path, bucket="unknown"))
    assert "does not know the access key ...nown" in text


async def test_no_key_at_all_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    assert "AWS_ACCESS_KEY_ID" in await refusal_of(options("http://127.0.0.1:9", tmp_path))
    monkeypatch.setenv("AWS_PROFILE", "absent")
    assert "absent" in await refusal_of(options("http://127.0.0.1:9", tmp_path))


@pytest.mark.parametrize(
    ("answer", "may_pass"),
    [(status(503), True), (status(403, "AccessDenied"), False), (status(403, "<!"), True)],
    ids=["down", "refused", "a proxy's"],
)
async def test_a_role_whose_keys_cannot_be_had_may_be_had_later_unless_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, may_pass: bool
) -> None:
    (tmp_path / "token").write_text("of a pod")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    async with scripted([Take(), Say(answer), HangUp()]) as sts:
        for name, setting in {
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/tandem",
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
            "AWS_ENDPOINT_URL_STS": f"http://127.0.0.1:{sts.port}",
            "AWS_MAX_ATTEMPTS": "1",
        }.items():
            monkeypatch.setenv(name, setting)
        with pytest.raises(NoCredentials) as refusal:
            await asyncio.to_thread(SessionCredentials(), True)
    assert refusal.value.may_pass is may_pass


async def test_while_nobody_gives_out_keys_the_store_counts_as_down(
    ministack: Ministack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps nobody from starting that was probed before; a person is asked for what stays so."""
    key = tmp_path / "key.json"
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = cat {key}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    chosen, clock = options(ministack.endpoint, tmp_path), SteppingClock()
    with pytest.raises(Unavailable, match="no access key"):
        async with opened(chosen):
            pass
    given = '{"Version": 1, "AccessKeyId": "one", "SecretAccessKey": "secret"}'
    key.write_text(given)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "one")  # to make the bucket
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    async with opened(chosen):
        pass
    key.unlink()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with opened(chosen, clock) as home:
        assert "no access key" in home.describe()
        key.write_text(given)
        clock.ahead_us += 61_000_000
        async with asyncio.timeout(60):
            while "...one" not in home.describe():
                await home.get(KEY, DEADLINE_S)
                await asyncio.sleep(0.01)
        assert isinstance(await home.put_if_newer(KEY, value(), DEADLINE_S), Stored)
        assert isinstance(await home.get(KEY, DEADLINE_S), Found)
