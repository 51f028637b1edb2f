"""Who is let in by this gateway's own configuration, without a token of the store."""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tandem.core.access import Grant, Permission
from tandem.errors import ConfigurationError
from tandem.runtime.listening import is_loopback
from tandem.runtime.settings import Address


class AuthMode(enum.Enum):
    """Whether callers need a credential."""

    AUTO = "auto"
    """Unless every door is on the loopback interface."""
    REQUIRED = "required"
    OPEN = "open"


class DemandingDoors(enum.Enum):
    """Which doors let in only who shows a certificate."""

    ALL = "all"
    GRPC = "grpc"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the configuration says of the doors."""

    open: bool
    """Whether those without a credential are let in as admins."""
    closed_doors: tuple[str, ...] = ()
    """The addresses for which the store must know a token; none when no rule demands it."""
    own_tokens: Mapping[str, Grant] = field(default_factory=dict, repr=False)
    """Texts that open everything, beside the tokens of the store."""

    def check_enterable(self, *, token_known: bool) -> None:
        """Raises ConfigurationError when nobody at all could come in."""
        if self.closed_doors and not token_known:
            doors = " and ".join(self.closed_doors)
            mistake = (
                f"{doors} can be reached from other machines, and nobody has a token yet: set"
                " TANDEM_ADMIN_TOKEN (or TANDEM_ADMIN_TOKEN_FILE) to a secret of your own and"
                " create tokens with it, or listen on 127.0.0.1, or let everybody in with"
                " TANDEM_AUTH=open"
            )
            raise ConfigurationError([mistake])


def policy_of(
    mode: AuthMode,
    doors: Iterable[Address],
    *,
    admin_token: str,
    development_token: str,
    crawler_token: str,
) -> Policy:
    """The policy for these doors. The development token opens loopback doors alone; the crawler's
    opens all of them, and lets in nobody who would make tokens."""
    exposed = tuple(str(door) for door in doors if not is_loopback(door.host))
    own = {}
    if admin_token:
        own[admin_token] = Grant("admin token", Permission.ADMIN)
    if development_token and not exposed:
        own[development_token] = Grant("development token", Permission.ADMIN)
    if crawler_token:
        own[crawler_token] = Grant("crawler token", Permission.ADMIN)
    is_open = mode is AuthMode.OPEN or (mode is AuthMode.AUTO and not exposed)
    return Policy(is_open, () if is_open or admin_token else exposed, own)
