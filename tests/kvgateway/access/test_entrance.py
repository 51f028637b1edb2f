"""Who is let in at one or two gateways: by tokens of the store, of the configuration, or none."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from kvgateway.access import entrance as bounds
from kvgateway.access.caller import GatewayCaller
from kvgateway.access.policy import Policy
from kvgateway.registry import records
from tandem.core.access import Permission
from tandem.core.key import Key
from tandem.core.mode import Mode, Stage
from tandem.core.namespace import SettingsChange
from tandem.core.operations import CrawlReport
from tandem.core.reply import Side
from tandem.core.request import Listing, Put, Read
from tandem.core.token import TokenWish, token_text
from tandem.errors import Overloaded, TandemError, Unauthenticated, Unavailable
from tests.kvgateway.access.entered import ADMIN_TOKEN, Entered
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.kvgateway.served import heard

NOTHING = SettingsChange()
SHADOW = Mode(Stage.SHADOW, Side.KVSP)
FOREIGN = token_text("cd" * 8, "ab" * 32)


@pytest.fixture
def homes() -> TwoHomes:
    return TwoHomes()


async def test_a_token_made_at_one_gateway_opens_the_other_at_once(homes: TwoHomes) -> None:
    one, two = Entered(homes, 1), Entered(homes, 2)
    made = await one.token(Permission.READ, "acme")
    assert one.entrance.known(made.text) is not None
    assert two.entrance.known(made.text) is None
    caller = await two.entrance.find(made.text)
    assert caller.grant == made.token.grant()
    assert two.entrance.known(made.text) is caller
    assert await two.entrance.find(made.text) is caller


@pytest.mark.parametrize("down", Side)
async def test_a_token_opens_with_one_home_down(homes: TwoHomes, down: Side) -> None:
    one, two = Entered(homes, 1), Entered(homes, 2)
    made = await one.token()
    homes.by_side[down].down = True
    assert (await two.entrance.find(made.text)).grant == made.token.grant()
    with pytest.raises(Unavailable):
        await two.entrance.find(FOREIGN)


async def test_the_admin_token_opens_when_no_token_can_be_read(homes: TwoHomes) -> None:
    one = Entered(homes)
    homes.kvsp.down = homes.s3.down = True
    caller = one.entrance.known(ADMIN_TOKEN)
    assert caller is not None
    assert caller.grant.permission is Permission.ADMIN
    await caller.operations.status()


WRONG: dict[str, Callable[[str], str]] = {
    "another form": lambda _: "secret",
    "almost the admin token": lambda _: ADMIN_TOKEN[:-1],
    "a longer admin token": lambda _: ADMIN_TOKEN + "x",
    "another secret": lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"),
    "another prefix": lambda text: "tdx" + text[3:],
    "in capitals": lambda text: text.upper(),
    "cut off": lambda text: text[:-1],
    "not ASCII": lambda text: text[:-1] + "é",
    "half a character": lambda text: text[:-1] + "\udcff",
    "spaces": lambda _: " ",
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_is_wrong_is_answered_at_once_and_always_alike(
    homes: TwoHomes, wrong: str
) -> None:
    for policy in (Policy(open=True), None):
        one = Entered(homes, policy=policy) if policy else Entered(homes)
        made = await one.token()
        homes.kvsp.calls = homes.s3.calls = 0
        with pytest.raises(Unauthenticated, match=r"^the token is not valid$"):
            one.entrance.known(WRONG[wrong](made.text))
        assert homes.kvsp.calls == homes.s3.calls == 0
        assert one.entrance.counters.invalid == 1


async def test_an_unknown_token_is_looked_for_once_in_a_while(homes: TwoHomes) -> None:
    one = Entered(homes)
    homes.kvsp.calls = homes.s3.calls = 0
    for _ in range(3):
        with pytest.raises(Unauthenticated, match=r"^the token is not valid$"):
            await one.entrance.find(FOREIGN)
    assert (homes.kvsp.calls, homes.s3.calls) == (1, 1)
    homes.clock.advance(1.1)
    with pytest.raises(Unauthenticated):
        await one.entrance.find(FOREIGN)
    assert one.entrance.counters.looked_for == 2


async def test_guesses_do_not_become_load_on_the_homes(homes: TwoHomes) -> None:
    one = Entered(homes)
    known = await one.token()
    guesses = [token_text(f"{number:016x}", "ab" * 32) for number in range(2000)]
    answers = await asyncio.gather(
        *(one.entrance.find(guess) for guess in guesses), return_exceptions=True
    )
    looked_for = [answer for answer in answers if isinstance(answer, Unauthenticated)]
    assert len(looked_for) == bounds.LOOKUPS_PER_S_MAX
    assert {type(answer) for answer in answers} == {Unauthenticated, Overloaded}
    assert homes.s3.calls < 2 * bounds.LOOKUPS_PER_S_MAX
    assert one.entrance.counters.not_looked_for == 2000 - bounds.LOOKUPS_PER_S_MAX
    assert one.entrance.known(known.text) is not None
    homes.clock.advance(1.1)
    with pytest.raises(Unauthenticated):
        await one.entrance.find(guesses[-1])


async def test_guesses_do_not_pile_up_while_the_homes_are_slow(
    homes: TwoHomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LOOKUPS_MAX", 2)
    monkeypatch.setattr(records, "LOOKUP_S", 60.0)
    one = Entered(homes)
    first, second, third = (token_text(f"{number:016x}", "ab" * 32) for number in range(3))
    homes.kvsp.gets_held = homes.s3.gets_held = held = asyncio.Event()
    looking = [asyncio.ensure_future(one.entrance.find(guess)) for guess in (first, second)]
    await asyncio.sleep(0)
    homes.clock.advance(1.1)
    with pytest.raises(Overloaded, match="too many unknown tokens"):
        await one.entrance.find(third)
    held.set()
    for refusal in await asyncio.gather(*looking, return_exceptions=True):
        assert isinstance(refusal, Unauthenticated)
    with pytest.raises(Unauthenticated):
        await one.entrance.find(third)


async def test_without_a_credential_only_an_open_door_opens(homes: TwoHomes) -> None:
    closed = Entered(homes)
    with pytest.raises(Unauthenticated, match="a token is needed"):
        closed.entrance.known("")
    assert closed.entrance.counters.missing == 1
    opened = Entered(homes, policy=Policy(open=True))
    caller = opened.entrance.known("")
    assert caller is not None
    assert (caller.grant.permission, caller.grant.account) == (Permission.ADMIN, None)


async def _one(answers: object) -> object:
    [answer] = await heard(answers)  # type: ignore[arg-type]
    if isinstance(answer, TandemError):
        raise answer
    return answer


EVERYTHING: dict[str, Callable[[GatewayCaller, str], Awaitable[object]]] = {
    "read": lambda c, n: _one(c.keyvalues.read([Read(Key(n, "k"))])),
    "write": lambda c, n: _one(c.keyvalues.write([Put(Key(n, "k"), b"v")])),
    "list": lambda c, n: c.keyvalues.list(Listing(n)),
    "namespaces": lambda c, n: c.namespaces.list(),
    "namespace": lambda c, n: c.namespaces.get(n),
    "title": lambda c, n: c.namespaces.find("a"),
    "rename": lambda c, n: c.namespaces.rename(n, "a"),
    "configure": lambda c, n: c.namespaces.configure(n, NOTHING),
    "tokens": lambda c, n: c.tokens.list(),
    "token": lambda c, n: c.tokens.create(TokenWish("x", Permission.READ, None)),
    "status": lambda c, n: c.operations.status(),
    "inspect": lambda c, n: c.operations.inspect(Key(n, "k")),
    "heal": lambda c, n: c.operations.heal(Key(n, "k")),
    "compare": lambda c, n: c.operations.compare(n, "", ""),
    "switch": lambda c, n: c.operations.switch(Side.S3, reads_enabled=True, writes_enabled=True),
    "mark_behind": lambda c, n: c.operations.mark_behind(Side.S3),
    "queue": lambda c, n: c.operations.queue(1),
    "mode": lambda c, n: c.operations.mode(NAMESPACE, None),
    "step": lambda c, n: c.operations.step(NAMESPACE, SHADOW, 0, force=True),
    "crawled": lambda c, n: c.operations.crawled(CrawlReport(n, 1, equal=True)),
    "create": lambda c, n: c.namespaces.create("b", NOTHING),
    "delete": lambda c, n: c.namespaces.delete(n),
}


@pytest.mark.parametrize("ask", EVERYTHING)
@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_the_end_of_a_token_ends_its_callers(homes: TwoHomes, ask: str, end: str) -> None:
    one, two = Entered(homes, 1), Entered(homes, 2)
    namespace = await one.namespaces.create("a", NOTHING)
    made = await one.token(Permission.ADMIN, ttl_s=60 if end == "expired" else 0)
    callers = [one.entrance.known(made.text), await two.entrance.find(made.text)]
    if end == "revoked":
        await one.tokens.revoke(made.token.id)
        await two.token_records.refresh()
    else:
        homes.clock.advance(60)
    for caller in callers:
        assert caller is not None
        with pytest.raises(Unauthenticated, match=f"the token has (been )?{end}"):
            await EVERYTHING[ask](caller, namespace.id)
    for entrance in (one.entrance, two.entrance):
        with pytest.raises(Unauthenticated, match=f"the token has (been )?{end}"):
            entrance.known(made.text)
        with pytest.raises(Unauthenticated):
            await entrance.find(made.text)


@pytest.mark.parametrize("ask", EVERYTHING)
async def test_everything_is_done_while_it_lasts(homes: TwoHomes, ask: str) -> None:
    one = Entered(homes)
    namespace = await one.namespaces.create("a", NOTHING)
    made = await one.token(Permission.ADMIN, ttl_s=60)
    caller = one.entrance.known(made.text)
    assert caller is not None
    await EVERYTHING[ask](caller, namespace.id)


async def test_an_expired_token_is_told_so_only_to_whoever_has_its_secret(homes: TwoHomes) -> None:
    one = Entered(homes)
    made = await one.token(ttl_s=60)
    homes.clock.advance(61)
    with pytest.raises(Unauthenticated, match="has expired"):
        one.entrance.known(made.text)
    with pytest.raises(Unauthenticated, match="is not valid"):
        one.entrance.known(token_text(made.token.id, "0" * 64))


async def test_callers_are_remembered_up_to_a_bound(
    homes: TwoHomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "CALLERS_MAX", 2)
    one = Entered(homes)
    texts = [(await one.token()).text for _ in range(3)]
    first = one.entrance.known(texts[0])
    for text in texts[1:]:
        one.entrance.known(text)
    again = one.entrance.known(texts[0])
    assert again is not first
    assert again is not None
    assert again.grant == (first.grant if first else None)


@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_a_caller_of_the_latest_requests_ends_like_any_other(
    homes: TwoHomes, end: str
) -> None:
    one = Entered(homes)
    made = await one.token(ttl_s=60)
    callers = {id(one.entrance.known(made.text)) for _ in range(4)}
    assert len(callers) == 1
    if end == "revoked":
        await one.tokens.revoke(made.token.id)
    else:
        homes.clock.advance(60)
    for why in (f"the token has (been )?{end}", ".", "."):
        with pytest.raises(Unauthenticated, match=why):
            one.entrance.known(made.text)


async def test_credentials_of_the_latest_requests_are_remembered_up_to_a_bound(
    homes: TwoHomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "LATEST_MAX", 2)
    one = Entered(homes)
    texts = [(await one.token()).text for _ in range(5)]
    first = [one.entrance.known(text) for text in texts]
    for _ in range(3):
        assert [one.entrance.known(text) for text in texts] == first
        assert len(one.entrance._latest) <= 2
