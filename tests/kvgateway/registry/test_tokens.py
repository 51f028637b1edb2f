"""Tokens over two homes, of which one or both may fail, as one or two gateways see them."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kvgateway.registry import tokens as changes
from kvgateway.registry.book import Kept
from kvgateway.registry.file import DiskCopy
from kvgateway.registry.form import NAMESPACES, TOKENS
from tandem.core.access import Permission
from tandem.core.envelope import seal
from tandem.core.namespace import SettingsChange
from tandem.core.record import Kind
from tandem.core.reply import Found, Side
from tandem.core.token import Token, TokenWish, encode_token, hash_of, parse_credential
from tandem.errors import Overloaded, TokenNotFound, Unavailable
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.registry.administration import Administration
from tests.kvgateway.registry.memory_copy import MemoryCopy

WISH = TokenWish("ci", Permission.WRITE, "acme")
UNKNOWN = "cd" * 8


async def test_a_token_is_created_in_both_homes_and_its_secret_in_none(homes: TwoHomes) -> None:
    one = Administration(homes)
    wish = TokenWish("ci", Permission.READ, "acme", frozenset({"ab" * 16}), ttl_s=60)
    token, text = (made := await one.tokens.create(wish)).token, made.text
    now_s = homes.clock.now_us() // 1_000_000
    assert token == Token(
        token.id, "ci", Permission.READ, token.secret_hash, "acme", frozenset({"ab" * 16}),
        now_s, now_s + 60,
    )  # fmt: skip
    credential = parse_credential(text)
    assert credential is not None
    assert credential.id == token.id
    assert token.opened_by(credential.secret)
    for home in homes.by_side.values():
        reply = await home.get(TOKENS.key_of(token.id), 1.0)
        assert isinstance(reply, Found)
        assert reply.record.value == encode_token(token)
        assert reply.record.expires_at_s == 0
        assert credential.secret.encode() not in reply.record.value
    assert credential.secret.encode() not in one.token_file.content
    assert one.token_records.book.get(token.id) == token
    assert await one.tokens.get(token.id) == token


async def test_tokens_are_listed_by_name_of_one_account_or_all(homes: TwoHomes) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    for name, account in (("b", "acme"), ("a", None), ("c", "other")):
        await one.tokens.create(TokenWish(name, Permission.READ, account))
    assert [token.name for token in await two.tokens.list()] == ["a", "b", "c"]
    assert [token.name for token in await two.tokens.list("acme")] == ["b"]
    assert await two.tokens.list("nobody") == []


async def test_a_token_made_at_one_gateway_is_found_at_the_other_at_once(homes: TwoHomes) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    token = (await one.tokens.create(WISH)).token
    assert two.token_records.book.get(token.id) is None
    assert await two.token_records.find(token.id) == token
    assert two.token_records.book.get(token.id) == token


async def test_a_revoked_token_leaves_a_tombstone_and_ends_everywhere(homes: TwoHomes) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    token = (await one.tokens.create(WISH)).token
    await two.token_records.refresh()
    await one.tokens.revoke(token.id)
    assert one.token_records.book.get(token.id) is None
    assert one.token_records.missing(token.id)
    for home in homes.by_side.values():
        reply = await home.get(TOKENS.key_of(token.id), 1.0)
        assert isinstance(reply, Found)
        assert reply.record.kind is Kind.TOMBSTONE
    assert two.token_records.book.get(token.id) == token
    await two.token_records.refresh()
    assert two.token_records.missing(token.id)
    for one_of in (one, two):
        for refused in (one_of.tokens.get(token.id), one_of.tokens.revoke(token.id)):
            with pytest.raises(TokenNotFound, match=token.id):
                await refused


@pytest.mark.parametrize("up", Side)
async def test_a_revocation_is_seen_through_either_home(homes: TwoHomes, up: Side) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    token = (await one.tokens.create(WISH)).token
    await two.token_records.refresh()
    await one.tokens.revoke(token.id)
    homes.by_side[up.other].down = True
    await two.token_records.refresh()
    assert two.token_records.missing(token.id)


@pytest.mark.parametrize("down", Side)
async def test_with_one_home_down_tokens_are_known_and_not_made(
    homes: TwoHomes, down: Side
) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    token = (await one.tokens.create(WISH)).token
    homes.by_side[down].down = True
    assert await two.token_records.find(token.id) == token
    assert await two.tokens.list() == [token]
    with pytest.raises(Unavailable, match=r"Tokens change only when both homes.*switch it off"):
        await one.tokens.create(WISH)
    one.switched_off_elsewhere = True
    made = (await one.tokens.create(TokenWish("x", Permission.READ, None))).token
    assert await one.tokens.get(made.id) == made


@pytest.mark.parametrize("down", Side)
async def test_a_revocation_that_one_home_has_confirmed_counts_wherever_that_one_is_seen(
    homes: TwoHomes, down: Side
) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    token = (await one.tokens.create(WISH)).token
    await two.token_records.refresh()
    homes.by_side[down].down = True
    with pytest.raises(Unavailable):
        await one.tokens.revoke(token.id)
    assert one.token_records.missing(token.id)
    await two.token_records.refresh()
    assert two.token_records.missing(token.id)


async def test_with_both_homes_down_the_disk_has_the_tokens(homes: TwoHomes) -> None:
    one = Administration(homes)
    kept, gone = [(await one.tokens.create(WISH)).token for _ in range(2)]
    await one.tokens.revoke(gone.id)
    homes.kvsp.down = homes.s3.down = True
    started = Administration(homes, 2, token_file=one.token_file)
    await started.token_records.refresh()
    assert started.token_records.ready
    assert await started.token_records.find(kept.id) == kept
    assert started.token_records.missing(gone.id)
    with pytest.raises(Unavailable, match="it is down"):
        await started.token_records.find(UNKNOWN)


async def test_a_damaged_record_lets_nobody_in_and_hides_no_other(homes: TwoHomes) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    other = Token("ab" * 8, "x", Permission.ADMIN, hash_of("x"))
    for token_id, value in ((UNKNOWN, b"{}"), ("ef" * 8, encode_token(other))):
        for home in homes.by_side.values():
            await home.put_if_newer(TOKENS.key_of(token_id), seal(homes.version(), value), 1.0)
    made = (await one.tokens.create(WISH)).token
    with capture_logs() as told:
        assert await two.tokens.list() == [made]
    assert [line["event"] for line in told] == ["bad_record"] * 4
    for token_id in (UNKNOWN, "ef" * 8):
        with pytest.raises(Unavailable, match="damaged"):
            await two.token_records.find(token_id)


async def test_tokens_and_namespaces_are_no_news_for_each_other(homes: TwoHomes) -> None:
    one, two = Administration(homes, 1), Administration(homes, 2)
    token = (await one.tokens.create(WISH)).token
    namespace = await one.namespaces.create("a", SettingsChange())
    assert await two.tokens.list() == [token]
    assert await two.namespaces.list() == [namespace]
    assert len(two.token_records.book) == len(two.registry.book) == 1
    assert TOKENS.key_of(token.id).namespace == NAMESPACES.key_of(namespace.id).namespace


async def test_the_number_of_tokens_is_bounded(
    homes: TwoHomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Administration(homes)
    monkeypatch.setattr(changes, "TOKENS_MAX", 2)
    first = (await one.tokens.create(WISH)).token
    await one.tokens.create(WISH)
    with pytest.raises(Overloaded, match="there are 2 tokens"):
        await one.tokens.create(WISH)
    await one.tokens.revoke(first.id)
    monkeypatch.setattr(changes, "RECORDS_MAX", 2)
    with pytest.raises(Overloaded, match="2 ids are used up"):
        await one.tokens.create(WISH)


async def test_the_copy_on_disk_is_for_the_owner_alone(homes: TwoHomes, tmp_path: Path) -> None:
    file = DiskCopy(tmp_path / "tokens.json", TOKENS)
    token = Token("ab" * 8, "é", Permission.ADMIN, hash_of("x"), None, frozenset({"ab" * 16}), 1, 2)
    version = homes.version()
    kept = [
        Kept("ab" * 8, version, seal(version, TOKENS.encode(token)).digest, token),
        Kept("cd" * 8, homes.version(), b"e" * 16, None),
    ]
    await file.save(kept)
    assert file.load() == kept
    assert (tmp_path / "tokens.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "tokens.json").write_bytes(MemoryCopy(NAMESPACES).content.replace(b"[]", b"[{}]"))
    assert file.load() == []
