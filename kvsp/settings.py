"""The settings of KVSP; `docs/configuration.md` is generated from these declarations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tandem.core.limits import KIB, WHOLE_BYTES_MAX
from tandem.runtime.logs import LogFormat, LogLevel
from tandem.runtime.settings import (
    DURATION_S,
    OPTIONAL_ADDRESS,
    OPTIONAL_TEXT,
    SIZE,
    WHOLE,
    Address,
    Relation,
    setting,
    shared,
)
from tandem.runtime.tls.configured import broken_relations


@dataclass(frozen=True, slots=True)
class KvspSettings:
    """Everything that can be set for KVSP."""

    data: Path = shared.data()
    kvsp_address: Address = shared.kvsp_address()
    kvsp_metrics: Address | None = setting(
        OPTIONAL_ADDRESS, None, "where /metrics, /healthz and /readyz are served; none: nowhere"
    )
    tls_certificate: str = shared.tls_certificate()
    tls_key: str = shared.tls_key()
    tls_ca: str = shared.tls_ca()
    tls_client_ca: str = shared.tls_client_ca()
    log_level: LogLevel = shared.log_level()
    log_format: LogFormat = shared.log_format()
    # Measured on two cores: with 4, one put costs 40 % more CPU over all processes, since each
    # cluster has commits, threads and answers of its own; more pay on disks of their own only.
    clusters: int = setting(
        WHOLE, 1, "SQLite clusters that keys are spread over; fixed at first start",
        low=1, high=256,
    )  # fmt: skip
    kvsp_postgres: str = setting(
        OPTIONAL_TEXT, "",
        "PostgreSQL instead of SQLite: postgresql://user@host/database, or several after each other"
        " with blanks between them, a cluster each; fixed at first start", secret=True,
    )  # fmt: skip
    readers: int = setting(
        WHOLE, 2, "connections of each cluster that read single keys", low=1, high=16
    )
    large_value_bytes: int = setting(
        SIZE, 128 * KIB, "records longer than this are kept apart, in files or pieces of their own",
        low=4 * KIB, high=WHOLE_BYTES_MAX,
    )  # fmt: skip
    writes_waiting_max: int = setting(
        WHOLE, 16_384, "writes that may wait for one cluster; above, they are refused", low=64
    )
    drain_s: float = setting(
        DURATION_S, 10.0, "how long streams may finish their work when told to stop", low=0.0,
        reload=True,
    )  # fmt: skip

    def check(self) -> Sequence[Relation]:
        """Relations between settings that must hold."""
        return broken_relations(self)
