"""What callers may do: every grant against everything that can be asked of a gateway."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import product

import pytest

from kvgateway.access.caller import GatewayCaller
from tandem.core.access import Grant, Permission
from tandem.core.key import Key
from tandem.core.namespace import Namespace, SettingsChange
from tandem.core.operations import CrawlReport
from tandem.core.reply import Side
from tandem.core.request import Listing, Put, Read
from tandem.core.token import TokenWish
from tandem.core.version import Version
from tandem.errors import (
    NamespaceNotFound,
    PermissionDenied,
    TandemError,
    TokenNotFound,
    Unavailable,
)
from tests.kvgateway.access.entered import Entered
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.served import heard

NOTHING = SettingsChange()
UNKNOWN = "ef" * 16
READ, WRITE, ADMIN = Permission
ACCOUNTS = (None, "mine", "theirs")


@pytest.fixture
def homes() -> TwoHomes:
    return TwoHomes()


async def _kind_of(work: Awaitable[object]) -> str:
    try:
        await work
    except TandemError as error:
        return type(error).__name__
    return "done"


async def _read(caller: GatewayCaller, *namespaces: str) -> list[str]:
    answers = await heard(caller.keyvalues.read([Read(Key(n, "k")) for n in namespaces]))
    return [type(answer).__name__ for answer in answers]


async def _write(caller: GatewayCaller, *namespaces: str) -> list[str]:
    answers = await heard(caller.keyvalues.write([Put(Key(n, "k"), b"v") for n in namespaces]))
    return [type(answer).__name__ for answer in answers]


def _expected(grant: Grant, permission: Permission, namespace: Namespace) -> str:
    """Said of a data operation: which names are not mine is a refusal, whose account is not mine
    does not exist."""
    if grant.permission < permission:
        return "PermissionDenied"
    if grant.namespaces is not None and namespace.id not in grant.namespaces:
        return "PermissionDenied"
    return "done" if grant.account in (None, namespace.account) else "NamespaceNotFound"


async def test_the_data_path_of_every_grant(homes: TwoHomes) -> None:
    one = Entered(homes)
    mine = await one.namespaces.create("a", NOTHING, "mine")
    other = await one.namespaces.create("b", NOTHING, "mine")
    theirs = await one.namespaces.create("a", NOTHING, "theirs")
    reaches = (None, frozenset({mine.id}), frozenset({mine.id, theirs.id}))
    for permission, account, reach in product(Permission, ACCOUNTS, reaches):
        grant = Grant("t", permission, account, reach)
        caller = one.caller(grant)
        for namespace in (mine, other, theirs):
            reading = _expected(grant, READ, namespace)
            listing = caller.keyvalues.list(Listing(namespace.id))
            assert await _kind_of(listing) == reading, grant
            assert await _read(caller, namespace.id) == [reading.replace("done", "ReadResult")]
            writing = _expected(grant, WRITE, namespace).replace("done", "Written")
            assert await _write(caller, namespace.id) == [writing], grant
            assert _admitted(caller, namespace.id) == writing.replace("Written", "done"), grant
        could_be = permission >= WRITE and reach is None
        assert _admitted(caller, UNKNOWN) == ("done" if could_be else "PermissionDenied"), grant


def _admitted(caller: GatewayCaller, namespace: str) -> str:
    """What becomes of a body, before a byte of it is read."""
    try:
        with caller.keyvalues.admit_body(namespace, None):
            return "done"
    except TandemError as error:
        return type(error).__name__


async def test_what_is_allowed_of_a_group_stays_one_group(homes: TwoHomes) -> None:
    one = Entered(homes)
    mine = await one.namespaces.create("a", NOTHING, "mine")
    theirs = await one.namespaces.create("a", NOTHING, "theirs")
    caller = one.caller(Grant("t", WRITE, "mine"))
    groups: list[int] = []
    mint = one.gateway.machine.mint

    def noted(wanted: Sequence[tuple[Key, Version]], now_us: int) -> list[Version]:
        groups.append(len(wanted))
        return mint(wanted, now_us)

    one.gateway.machine.mint = noted  # type: ignore[method-assign]
    kinds = await _write(caller, mine.id, theirs.id, mine.id, UNKNOWN, "0" * 32, mine.id)
    assert kinds == [
        "Written", "NamespaceNotFound", "Written", "NamespaceNotFound", "NamespaceNotFound",
        "Written",
    ]  # fmt: skip
    assert groups == [3]


async def test_a_namespace_that_is_not_known_here_is_looked_for_and_then_judged(
    homes: TwoHomes,
) -> None:
    one, two = Entered(homes, 1), Entered(homes, 2)
    mine = await one.namespaces.create("a", NOTHING, "mine")
    theirs = await one.namespaces.create("a", NOTHING, "theirs")
    caller = two.caller(Grant("t", WRITE, "mine"))
    assert await _write(caller, theirs.id, mine.id) == ["NamespaceNotFound", "Written"]
    assert await _read(caller, mine.id, UNKNOWN) == ["ReadResult", "NamespaceNotFound"]


async def test_no_home_is_asked_for_a_namespace_that_a_grant_does_not_name(
    homes: TwoHomes,
) -> None:
    one, two = Entered(homes, 1), Entered(homes, 2)
    mine = await one.namespaces.create("a", NOTHING)
    secret = await one.namespaces.create("b", NOTHING)
    caller = two.caller(Grant("t", READ, None, frozenset({mine.id})))
    homes.kvsp.calls = homes.s3.calls = 0
    for namespace in (secret.id, UNKNOWN):
        assert await _read(caller, namespace) == ["PermissionDenied"]
        for asked in (
            caller.keyvalues.list(Listing(namespace)),
            caller.namespaces.get(namespace),
        ):
            with pytest.raises(PermissionDenied, match=f"does not reach namespace {namespace}"):
                await asked
    assert homes.kvsp.calls == homes.s3.calls == 0


@pytest.mark.parametrize("down", Side)
async def test_an_unknown_namespace_is_no_refusal_while_a_home_is_down(
    homes: TwoHomes, down: Side
) -> None:
    one = Entered(homes)
    homes.by_side[down].down = True
    caller = one.caller(Grant("t", READ, "mine"))
    [answer] = await heard(caller.keyvalues.read([Read(Key(UNKNOWN, "k"))]))
    assert isinstance(answer, Unavailable)


async def test_the_namespaces_that_every_grant_sees_and_may_change(homes: TwoHomes) -> None:
    one = Entered(homes)
    mine = await one.namespaces.create("a", NOTHING, "mine")
    other = await one.namespaces.create("b", NOTHING, "mine")
    theirs = await one.namespaces.create("a", NOTHING, "theirs")
    everything = (mine, theirs, other)
    for permission, account, reach in product(Permission, ACCOUNTS, (None, frozenset({mine.id}))):
        grant = Grant("t", permission, account, reach)
        view = one.caller(grant).namespaces
        within = [
            n for n in everything if account in (None, n.account) and (not reach or n.id in reach)
        ]
        assert await view.list() == within
        for wanted in ("mine", "theirs"):
            if account in (None, wanted):
                assert await view.list(wanted) == [n for n in within if n.account == wanted]
            else:
                assert await _kind_of(view.list(wanted)) == "PermissionDenied"
        for namespace in everything:
            reading = _expected(grant, READ, namespace)
            assert await _kind_of(view.get(namespace.id)) == reading
            found = view.find(namespace.title, namespace.account)
            if account not in (None, namespace.account):
                assert await _kind_of(found) == "PermissionDenied"
            else:
                kind = "done" if namespace in within else "NamespaceNotFound"
                assert await _kind_of(found) == kind
            changing = "PermissionDenied" if reach is not None else reading
            changing = "PermissionDenied" if permission < ADMIN else changing
            if reach is not None and account not in (None, namespace.account):
                changing = _expected(grant, ADMIN, namespace)
            assert await _kind_of(view.configure(namespace.id, NOTHING)) == changing
            assert await _kind_of(view.rename(namespace.id, namespace.title)) == changing
        creating = "done" if grant == Grant("t", ADMIN, "mine") else "PermissionDenied"
        if account != "mine":
            creating = "done" if (permission, account, reach) == (ADMIN, None, None) else creating
        title = f"{permission}{account}{reach}"
        assert await _kind_of(view.create(title, NOTHING, "mine")) == creating
        for made in await one.namespaces.list("mine"):
            if made.title == title:
                await view.delete(made.id)
    assert await one.namespaces.list() == list(everything)


async def test_a_deletion_needs_an_admin_of_the_account(homes: TwoHomes) -> None:
    one = Entered(homes)
    mine = await one.namespaces.create("a", NOTHING, "mine")
    for grant, error in (
        (Grant("t", WRITE, "mine"), PermissionDenied),
        (Grant("t", ADMIN, "theirs"), NamespaceNotFound),
        (Grant("t", ADMIN, "mine", frozenset({mine.id})), PermissionDenied),
    ):
        with pytest.raises(error):
            await one.caller(grant).namespaces.delete(mine.id)
    await one.caller(Grant("t", ADMIN, "mine")).namespaces.delete(mine.id)
    assert await one.namespaces.list() == []


OPERATIONS: dict[str, tuple[Permission, Callable[[GatewayCaller], Awaitable[object]]]] = {
    "status": (READ, lambda c: c.operations.status()),
    "inspect": (ADMIN, lambda c: c.operations.inspect(Key(UNKNOWN, "k"))),
    "heal": (ADMIN, lambda c: c.operations.heal(Key(UNKNOWN, "k"))),
    "compare": (ADMIN, lambda c: c.operations.compare(UNKNOWN, "", "")),
    "switch": (
        ADMIN,
        lambda c: c.operations.switch(Side.S3, reads_enabled=True, writes_enabled=True),
    ),
    "mark_behind": (ADMIN, lambda c: c.operations.mark_behind(Side.S3)),
    "queue": (ADMIN, lambda c: c.operations.queue(1)),
    "crawled": (ADMIN, lambda c: c.operations.crawled(CrawlReport(UNKNOWN, 1, equal=True))),
}


@pytest.mark.parametrize("name", OPERATIONS)
async def test_operations_are_for_those_who_reach_everything(homes: TwoHomes, name: str) -> None:
    one = Entered(homes)
    needed, operation = OPERATIONS[name]
    for permission, account, reach in product(Permission, ACCOUNTS, (None, frozenset({UNKNOWN}))):
        caller = one.caller(Grant("t", permission, account, reach))
        allowed = permission >= needed and account is None and reach is None
        assert await _kind_of(operation(caller)) == ("done" if allowed else "PermissionDenied")


async def test_no_token_makes_one_that_may_more_than_itself(homes: TwoHomes) -> None:
    one = Entered(homes)
    mine = await one.namespaces.create("a", NOTHING, "mine")
    theirs = await one.namespaces.create("a", NOTHING, "theirs")
    for permission, account, reach in product(Permission, ACCOUNTS, (None, frozenset({mine.id}))):
        caller = one.caller(Grant("t", permission, account, reach))
        for wanted in ACCOUNTS:
            allowed = permission is ADMIN and reach is None and account in (None, wanted)
            kind = "done" if allowed else "PermissionDenied"
            wish = TokenWish("x", ADMIN, wanted)
            assert await _kind_of(caller.tokens.create(wish)) == kind
            assert await _kind_of(caller.tokens.list(wanted)) == (
                "done" if permission is ADMIN and reach is None and (
                    account == wanted or account is None or wanted is None
                ) else "PermissionDenied"
            )  # fmt: skip
    admin = one.caller(Grant("t", ADMIN, "mine"))
    for namespace, error in ((theirs.id, NamespaceNotFound), (UNKNOWN, NamespaceNotFound)):
        with pytest.raises(error):
            await admin.tokens.create(TokenWish("x", READ, "mine", frozenset({namespace})))
    everybody = one.caller(Grant("t", ADMIN))
    with pytest.raises(NamespaceNotFound):
        await everybody.tokens.create(TokenWish("x", READ, "mine", frozenset({theirs.id})))
    await everybody.tokens.create(TokenWish("x", READ, None, frozenset({theirs.id, mine.id})))


async def test_tokens_out_of_reach_are_not_found(homes: TwoHomes) -> None:
    one = Entered(homes)
    wide, narrow = (await one.token()).token, (await one.token(account="mine")).token
    for account, sees in ((None, {wide.id, narrow.id}), ("mine", {narrow.id}), ("theirs", set())):
        view = one.caller(Grant("t", ADMIN, account)).tokens
        assert {token.id for token in await view.list()} == sees
        for token in (wide, narrow):
            expected = "done" if token.id in sees else "TokenNotFound"
            assert await _kind_of(view.get(token.id)) == expected
            if expected != "done":
                with pytest.raises(TokenNotFound, match=token.id):
                    await view.revoke(token.id)
    await one.caller(Grant("t", ADMIN, "mine")).tokens.revoke(narrow.id)
    assert await one.tokens.list() == [wide]


async def test_a_group_of_a_wide_grant_goes_on_as_it_came(homes: TwoHomes) -> None:
    one = Entered(homes)
    mine = await one.namespaces.create("a", NOTHING, "mine")
    caller = one.caller(Grant("t", WRITE))
    assert await _write(caller, mine.id, UNKNOWN) == ["Written", "NamespaceNotFound"]
    assert one.charged[-1] == caller.grant
    await asyncio.sleep(0)


@pytest.mark.parametrize("grant", [Grant("t", WRITE, "mine"), Grant("t", WRITE, None, frozenset())])
async def test_what_was_within_reach_is_not_found_once_it_is_deleted(
    homes: TwoHomes, grant: Grant
) -> None:
    """Reach is remembered; that a namespace is there is not."""
    gateway = Entered(homes)
    ours = await gateway.namespaces.create("t", NOTHING, "mine")
    if grant.namespaces is not None:
        grant = Grant("t", WRITE, None, frozenset({ours.id}))
    caller = gateway.caller(grant)
    for _ in range(2):
        assert await _read(caller, ours.id) == ["ReadResult"]
        assert await _write(caller, ours.id) == ["Written"]
    await gateway.namespaces.delete(ours.id)
    assert await _read(caller, ours.id) == ["NamespaceNotFound"]
    assert await _write(caller, ours.id) == ["NamespaceNotFound"]


async def test_a_mixed_group_stays_judged_after_a_group_that_was_allowed(homes: TwoHomes) -> None:
    gateway = Entered(homes)
    ours, other = [await gateway.namespaces.create(t, NOTHING, t) for t in ("mine", "theirs")]
    caller = gateway.caller(Grant("t", WRITE, "mine"))
    assert await _read(caller, ours.id) == ["ReadResult"]
    for _ in range(2):
        assert await _read(caller, ours.id, other.id) == ["ReadResult", "NamespaceNotFound"]
        assert await _write(caller, other.id, ours.id) == ["NamespaceNotFound", "Written"]
