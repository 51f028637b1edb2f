"""Which doors need a credential, and when a gateway refuses to start: every combination."""

from itertools import product
from pathlib import Path

import pytest

from kvgateway.access.configured import check_enterable, named_tokens, prepared_policy
from kvgateway.access.policy import AuthMode, policy_of
from kvgateway.registry.form import TOKENS
from kvgateway.settings import GatewaySettings
from tandem.core.access import Permission
from tandem.errors import ConfigurationError
from tandem.runtime.local_tokens import crawler_token, development_token
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.settings import Address
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.registry.administration import Administration
from tests.kvgateway.registry.memory_copy import MemoryCopy
from tests.kvgateway.registry.test_tokens import WISH

LOOPBACK = (Address("127.0.0.1", 1), Address("::1", 2), Address("localhost", 3))
EXPOSED = (Address("0.0.0.0", 4), Address("::", 5), Address("10.0.0.5", 6), Address("kv.lan", 7))


def test_every_mode_on_every_pair_of_doors() -> None:
    pairs = product((*LOOPBACK, *EXPOSED), repeat=2)
    given = product(("", "a" * 16), ("", "d" * 16), ("", "c" * 16))
    for mode, doors, (admin, development, crawler) in product(AuthMode, pairs, given):
        policy = policy_of(
            mode, doors, admin_token=admin, development_token=development, crawler_token=crawler
        )
        exposed = [str(door) for door in doors if door in EXPOSED]
        match mode:
            case AuthMode.OPEN:
                expected = True
            case AuthMode.REQUIRED:
                expected = False
            case AuthMode.AUTO:
                expected = not exposed
        assert policy.open is expected
        assert list(policy.closed_doors) == ([] if expected or admin else exposed)
        own = {admin, crawler, *([] if exposed else [development])} - {""}
        assert set(policy.own_tokens) == own
        assert all(g.permission is Permission.ADMIN for g in policy.own_tokens.values())
        assert all(text not in repr(policy) for text in own)
        for known in (False, True):
            if exposed and not expected and not admin and not known:
                with pytest.raises(ConfigurationError, match="set TANDEM_ADMIN_TOKEN"):
                    policy.check_enterable(token_known=known)
            else:
                policy.check_enterable(token_known=known)


@pytest.fixture
def homes() -> TwoHomes:
    return TwoHomes()


CLOSED = policy_of(
    AuthMode.AUTO, EXPOSED[:1], admin_token="", development_token="", crawler_token="c" * 16
)


async def test_a_gateway_that_nobody_could_enter_does_not_start(homes: TwoHomes) -> None:
    with pytest.raises(ConfigurationError, match=r"0\.0\.0\.0:4 can be reached from other"):
        await check_enterable(CLOSED, homes.by_side, MemoryCopy(TOKENS))


@pytest.mark.parametrize("down", [(), ("kvsp",), ("s3",), ("kvsp", "s3")])
@pytest.mark.parametrize("on_disk", [False, True])
async def test_a_token_of_the_store_is_enough_wherever_it_is_seen(
    homes: TwoHomes, down: tuple[str, ...], on_disk: bool
) -> None:
    one = Administration(homes)
    token = (await one.tokens.create(WISH)).token
    file = one.token_file if on_disk else MemoryCopy(TOKENS)
    for side, home in homes.by_side.items():
        home.down = side.value in down
    if on_disk or len(down) < 2:
        await check_enterable(CLOSED, homes.by_side, file)
    else:
        with pytest.raises(ConfigurationError):
            await check_enterable(CLOSED, homes.by_side, file)
    if not down:
        await one.tokens.revoke(token.id)
        with pytest.raises(ConfigurationError):
            await check_enterable(CLOSED, homes.by_side, file)


def test_tokens_of_the_data_directory_stay_over_restarts(tmp_path: Path) -> None:
    entropy = SystemEntropy()
    first = prepared_policy(GatewaySettings(data=tmp_path), entropy)
    texts = {grant.holder: text for text, grant in first.own_tokens.items()}
    assert texts == {
        "development token": development_token(tmp_path),
        "crawler token": crawler_token(tmp_path),
    }
    assert prepared_policy(GatewaySettings(data=tmp_path), entropy) == first
    exposed = GatewaySettings(data=tmp_path, http_address=Address("0.0.0.0", 80))
    assert set(prepared_policy(exposed, entropy).own_tokens) == {crawler_token(tmp_path)}


def test_only_tokens_that_somebody_needs_are_made(tmp_path: Path) -> None:
    exposed = GatewaySettings(data=tmp_path / "a", http_address=Address("0.0.0.0", 80))
    prepared_policy(exposed, SystemEntropy())
    assert [made.name for made in (tmp_path / "a").iterdir()] == ["crawler-token"]
    (tmp_path / "file").write_text("a" * 16)
    for number, (token, file) in enumerate((("a" * 16, ""), ("", str(tmp_path / "file")))):
        settings = GatewaySettings(
            data=tmp_path / f"{number}", http_address=Address("0.0.0.0", 80),
            admin_token=token, admin_token_file=file,
        )  # fmt: skip
        prepared_policy(settings, SystemEntropy())
        assert not settings.data.exists()


@pytest.mark.parametrize(
    ("text", "file", "message"),
    [
        ("short", None, r"admin_token \(hidden\): must have 16 printable"),
        ("with some spaces in it", None, r"admin_token \.\.\.n it: must have 16"),
        ("a" * 16, "b" * 16, "give one of them, not both"),
        ("", "", "is empty"),
        ("", "short", "must have 16"),
    ],
)
def test_an_admin_token_that_cannot_be_one(
    tmp_path: Path, text: str, file: str | None, message: str
) -> None:
    place = tmp_path / "token"
    if file is not None:
        place.write_text(file)
    settings = GatewaySettings(
        data=tmp_path, admin_token=text, admin_token_file=str(place) if file is not None else ""
    )
    with pytest.raises(ConfigurationError, match=message):
        prepared_policy(settings, SystemEntropy())


def test_an_admin_token_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-a-file-of-secrets\n")
    settings = GatewaySettings(
        data=tmp_path,
        http_address=Address("0.0.0.0", 80),
        admin_token_file=str(tmp_path / "token"),
    )
    assert set(prepared_policy(settings, SystemEntropy()).own_tokens) == {"from-a-file-of-secrets"}
    assert named_tokens(settings) == {"admin_token_file": "from-a-file-of-secrets"}
    assert named_tokens(GatewaySettings(data=tmp_path, admin_token="a" * 16)) == {}
    absent = GatewaySettings(data=tmp_path, admin_token_file=str(tmp_path / "absent"))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        prepared_policy(absent, SystemEntropy())
