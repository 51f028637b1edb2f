"""The settings of `kvctl up`: where its parts listen and keep their data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tandem.runtime.logs import LogFormat, LogLevel
from tandem.runtime.settings import (
    DURATION_S,
    Address,
    Loaded,
    Relation,
    setting,
    settings_of,
    shared,
)
from tandem.runtime.tls.configured import broken_relations


@dataclass(frozen=True, slots=True)
class UpSettings:
    """What all parts must agree on; everything else they read for themselves."""

    data: Path = shared.data()
    grpc_address: Address = shared.grpc_address()
    http_address: Address = shared.http_address()
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
    start_s: float = setting(
        DURATION_S, 60.0, "how long a part may take until it is ready", low=1.0
    )
    stop_s: float = setting(
        DURATION_S, 15.0, "how long a part may take to finish its work when told to stop", low=0.0
    )

    def check(self) -> Sequence[Relation]:
        """Relations between settings that must hold."""
        broken = [
            *broken_relations(self),
            *shared.bucket_relations(self.s3_endpoint, self.s3_bucket),
        ]
        if self.tls_certificate and not self.tls_ca:
            broken.append(
                Relation(
                    ("tls_certificate", "tls_ca"),
                    "the parts connect to each other, and must know whom to trust",
                )
            )
        return broken


def environment_for_parts(loaded: Loaded[UpSettings]) -> Mapping[str, str]:
    """The same choices for the parts, which are started without flags. They read the file and the
    environment for themselves, so that what changes in the file is seen at a reload."""
    flags = {
        setting.env: loaded.texts[setting.field]
        for setting in settings_of(UpSettings)
        if setting.shared and loaded.origins[setting.field] == setting.flag
    }
    return {**flags, "TANDEM_DATA": str(loaded.settings.data.resolve())}
