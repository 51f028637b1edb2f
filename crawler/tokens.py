"""The tokens of a crawler: what it shows to gateways, and what opens its own door."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crawler.settings import CrawlerSettings
from tandem.errors import ConfigurationError
from tandem.runtime.listening import is_loopback
from tandem.runtime.local_tokens import (
    admin_token,
    crawler_token,
    development_token,
    named_admin_token,
)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Those of some settings. The admin token stays as it was read with them, whatever becomes of
    its file; what the gateway beside makes by itself is read anew each time."""

    own: str
    admin: str
    data: Path
    beside: str
    on_loopback: bool

    def to_show(self, gateway: str) -> str:
        """What to show to a gateway; the crawler token is for the gateway beside it, and for those
        on this machine."""
        host = gateway.rpartition(":")[0].strip("[]")
        near = is_loopback(host) or gateway == self.beside
        return self.own or self.admin or (crawler_token(self.data) if near else "")

    def that_open(self) -> tuple[str, ...]:
        """What opens the crawler: the admin token and its own, and on loopback the gateway's
        development token."""
        return (self.admin, self.own, development_token(self.data) if self.on_loopback else "")

    @property
    def door_is_open(self) -> bool:
        """Whether everybody may come in, as at a gateway: on loopback, without an admin token."""
        return self.on_loopback and not self.admin


def tokens_of(settings: CrawlerSettings) -> Tokens:
    """Those of these settings.

    Raises ConfigurationError for an admin token that cannot be one, or when nobody could come in.
    """
    tokens = Tokens(
        settings.token,
        admin_token(settings.admin_token, settings.admin_token_file),
        settings.data,
        str(settings.grpc_address),
        is_loopback(settings.crawler_address.host),
    )
    if not tokens.on_loopback and not tokens.admin and not tokens.own:
        where = f"crawler_address {settings.crawler_address}"
        raise ConfigurationError([f"{where}: others reach it; set admin_token or token"])
    return tokens


def named_tokens(settings: CrawlerSettings) -> Mapping[str, str]:
    """The admin token where the settings name a file; ConfigurationError when it has none."""
    return named_admin_token(settings.admin_token, settings.admin_token_file)
