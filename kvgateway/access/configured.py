"""What this gateway's configuration says of who may come in, and whether anybody can."""

from collections.abc import Mapping

from kvgateway.access.policy import AuthMode, Policy, policy_of
from kvgateway.registry.book import Kept
from kvgateway.registry.form import TOKENS
from kvgateway.registry.records import LOOK_DEADLINE_S, CopyFile
from kvgateway.settings import GatewaySettings
from tandem.backends.port import Backend
from tandem.backends.whole_listing import list_all
from tandem.core.key import SYSTEM_NAMESPACE, Key
from tandem.core.record import Kind
from tandem.core.reply import Found, Side
from tandem.core.token import Token
from tandem.runtime import logs
from tandem.runtime.listening import is_loopback
from tandem.runtime.local_tokens import (
    admin_token,
    crawler_token,
    development_token,
    last_characters,
    make_crawler_token,
    make_development_token,
    named_admin_token,
)
from tandem.runtime.randomness import Entropy

_LOG = logs.get("access")


def configured_policy(settings: GatewaySettings) -> Policy:
    """The policy of these settings; ConfigurationError for an admin token that cannot be one."""
    return policy_of(
        settings.auth,
        (settings.grpc_address, settings.http_address),
        admin_token=admin_token(settings.admin_token, settings.admin_token_file),
        development_token=development_token(settings.data),
        crawler_token=crawler_token(settings.data),
    )


def named_tokens(settings: GatewaySettings) -> Mapping[str, str]:
    """The admin token where the settings name a file; ConfigurationError when it has none."""
    return named_admin_token(settings.admin_token, settings.admin_token_file)


def prepared_policy(settings: GatewaySettings, entropy: Entropy) -> Policy:
    """The same at the start of a gateway: tokens that are missing are made, and the log says who is
    let in. Where there is an admin token, it is the crawler's too."""
    make_tokens(settings, entropy)
    policy = configured_policy(settings)
    tell_access(settings, policy)
    return policy


def make_tokens(settings: GatewaySettings, entropy: Entropy) -> None:
    """Makes those that somebody needs by these settings and that are missing."""
    if not _exposed(settings):
        make_development_token(settings.data, entropy)
    if not settings.admin_token and not settings.admin_token_file:
        make_crawler_token(settings.data, entropy)


def tell_access(settings: GatewaySettings, policy: Policy) -> None:
    """Says in the log who is let in from now on."""
    _LOG.info(
        "access",
        without_token="everybody is admin" if policy.open else "nobody",
        tokens={g.holder: last_characters(text) for text, g in policy.own_tokens.items()},
    )
    if policy.open and _exposed(settings):
        _LOG.warning("open_to_everybody", why=f"auth is {AuthMode.OPEN.value}, and not on loopback")


def _exposed(settings: GatewaySettings) -> bool:
    doors = (settings.grpc_address, settings.http_address)
    return not all(is_loopback(door.host) for door in doors)


async def check_enterable(
    policy: Policy, homes: Mapping[Side, Backend], file: CopyFile[Token]
) -> None:
    """Raises ConfigurationError when nobody could come in, now or later."""
    if policy.closed_doors:
        known = any(map(_is_live, file.load())) or await _any_listed(homes)
        policy.check_enterable(token_known=known)


def _is_live(kept: Kept[Token]) -> bool:
    return kept.item is not None


async def _any_listed(homes: Mapping[Side, Backend]) -> bool:
    for home in homes.values():
        listing = await list_all(home, SYSTEM_NAMESPACE, TOKENS.prefix, LOOK_DEADLINE_S)
        for entry in listing.entries:
            if entry.kind is not Kind.TOMBSTONE and await _holds_token(home, entry.name):
                return True
    return False


async def _holds_token(home: Backend, name: str) -> bool:
    """A listing does not always tell a token from the tombstone of one."""
    reply = await home.get(Key(SYSTEM_NAMESPACE, name), LOOK_DEADLINE_S)
    return isinstance(reply, Found) and reply.record.kind is Kind.VALUE
