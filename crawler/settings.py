"""The crawler's settings; `docs/configuration.md` is generated from these declarations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tandem.backends.opening import HomeChoice
from tandem.client.arguments import check_address
from tandem.core.quota import QUOTA_MAX
from tandem.errors import InvalidArgument
from tandem.runtime.logs import LogFormat, LogLevel
from tandem.runtime.settings import (
    DURATION_S,
    NUMBER,
    OPTIONAL_ADDRESS,
    OPTIONAL_TEXT,
    SIZE,
    WHOLE,
    Address,
    Kind,
    Relation,
    setting,
    shared,
)
from tandem.runtime.tls.configured import broken_relations, client_files

_BESIDE = "grpc"
"""In place of addresses: the gateway of the same configuration."""


def _gateways(text: str) -> str:
    addresses = _addresses(text)
    if not addresses:
        raise ValueError(text)
    for address in addresses if addresses != (_BESIDE,) else ():
        try:
            check_address(address)
        except InvalidArgument as error:
            raise ValueError(text) from error
    return text


def _addresses(text: str) -> tuple[str, ...]:
    return tuple(address.strip() for address in text.split(",") if address.strip())


_GATEWAYS = Kind("grpc, or host:port of every gateway, with commas between them", _gateways)


@dataclass(frozen=True, slots=True)
class CrawlerSettings:
    """Everything that can be set for the crawler."""

    data: Path = shared.data()
    grpc_address: Address = shared.grpc_address()
    kvsp_address: Address = shared.kvsp_address()
    crawler_address: Address = shared.crawler_address()
    s3_bucket: str = shared.s3_bucket()
    s3_endpoint: str = shared.s3_endpoint()
    s3_region: str = shared.s3_region()
    s3_prefix: str = shared.s3_prefix()
    s3_create_bucket: bool = shared.s3_create_bucket()
    admin_token: str = shared.admin_token()
    admin_token_file: str = shared.admin_token_file()
    tls_certificate: str = shared.tls_certificate()
    tls_key: str = shared.tls_key()
    tls_ca: str = shared.tls_ca()
    tls_client_ca: str = shared.tls_client_ca()
    log_level: LogLevel = shared.log_level()
    log_format: LogFormat = shared.log_format()
    gateways: str = setting(
        _GATEWAYS,
        _BESIDE,
        "addresses of all gateways, with commas; grpc: the one above",
        reload=True,
    )
    token: str = setting(
        OPTIONAL_TEXT, "", "what to show to the gateways; none: the admin token, or the one"
        " that the gateway of the same data directory has made", secret=True, reload=True,
    )  # fmt: skip
    crawler_metrics: Address | None = setting(
        OPTIONAL_ADDRESS, None, "where /metrics, /healthz and /readyz are served; none: nowhere"
    )
    pause_s: float = setting(
        DURATION_S, 10.0, "rest between two rounds over all namespaces", low=0.1, reload=True
    )
    breathe_ratio: float = setting(
        NUMBER, 1.0, "rest after each page for this many times as long as it took", low=0.0,
        reload=True,
    )  # fmt: skip
    requests_per_second: int = setting(
        WHOLE, 0, "most requests a second to the homes; 0: no limit", low=0, high=QUOTA_MAX,
        reload=True,
    )  # fmt: skip
    bytes_per_second: int = setting(
        SIZE, 0, "most bytes a second, listings and values together; 0: no limit", low=0,
        high=QUOTA_MAX, reload=True,
    )  # fmt: skip
    ranges_at_once: int = setting(
        WHOLE, 4, "ranges of a namespace that are crawled at the same time", low=1, high=64,
        reload=True,
    )  # fmt: skip
    range_names: int = setting(
        WHOLE, 100_000, "a range with more names than this is split", low=1000, reload=True
    )
    deep_parts: int = setting(
        WHOLE, 0, "each crawl reads and checks the bytes of one key of so many; 0: of none, 1: all",
        low=0, high=1_000_000, reload=True,
    )  # fmt: skip
    repair_share: float = setting(
        NUMBER, 0.3, "repair of a larger share of a range, and of more than 1,000 keys, waits for"
        " a person", low=0.0, high=1.0, reload=True,
    )  # fmt: skip
    tombstone_grace_s: float = setting(
        DURATION_S, 86_400.0, "how long a record must be dead before it goes for good", low=7201.0,
        reload=True,
    )  # fmt: skip
    history_days: float = setting(
        NUMBER, 30.0, "how long ended crawls are remembered", low=0.1, reload=True
    )
    settle_s: float = setting(
        DURATION_S, 2.0, "a difference younger than this is a write in flight", low=0.1,
        reload=True,
    )  # fmt: skip
    heals_at_once: int = setting(
        WHOLE,
        32,
        "keys that are read or healed at the same time, over all ranges",
        low=1,
        high=256,
        reload=True,
    )

    def check(self) -> Sequence[Relation]:
        """Relations between settings that must hold."""
        return [
            *broken_relations(self),
            *shared.bucket_relations(self.s3_endpoint, self.s3_bucket),
        ]

    def homes(self) -> HomeChoice:
        """Which homes are to be opened."""
        return HomeChoice(
            str(self.kvsp_address),
            self.s3_bucket,
            self.s3_endpoint,
            self.s3_region,
            self.s3_prefix,
            self.s3_create_bucket,
            self.data,
            client_files(self),
        )

    def gateway_addresses(self) -> tuple[str, ...]:
        """Whom to ask and to tell."""
        addresses = _addresses(self.gateways)
        return (str(self.grpc_address),) if addresses == (_BESIDE,) else addresses
