"""The gateway's settings; `docs/configuration.md` is generated from these declarations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kvgateway.access.policy import AuthMode, DemandingDoors
from tandem.backends.opening import HomeChoice
from tandem.core.key import is_namespace_id
from tandem.core.limits import CACHE_TTL_S_MIN
from tandem.runtime.logs import LogFormat, LogLevel
from tandem.runtime.settings import (
    DURATION_S,
    NUMBER,
    OPTIONAL_TEXT,
    SIZE,
    WHOLE,
    Address,
    Relation,
    choice,
    setting,
    shared,
)
from tandem.runtime.tls.configured import broken_relations, client_files

_MIB = 1024 * 1024
SOCKET_DIRECTORY_BYTES_MAX = 107 - len("/.sock") - 32
"""The system takes 107 bytes for the path of a socket."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Everything that can be set for a gateway."""

    data: Path = shared.data()
    grpc_address: Address = shared.grpc_address()
    http_address: Address = shared.http_address()
    kvsp_address: Address = shared.kvsp_address()
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
    auth: AuthMode = setting(
        choice(AuthMode), AuthMode.AUTO,
        "who needs a token; auto: everybody, unless all doors are on the loopback interface",
        reload=True,
    )  # fmt: skip
    tls_clients: DemandingDoors = setting(
        choice(DemandingDoors), DemandingDoors.ALL,
        "where clients must show a certificate, if tls_client_ca is set", reload=True,
    )  # fmt: skip
    workers: int = setting(
        WHOLE, 0, "worker processes that share the ports; 0: half of the cores", low=0, high=64
    )
    shared_memory_bytes: int = setting(
        SIZE,
        256 * _MIB,
        "recent writes and cache of this machine; quotas take 1/16 more",
        low=16 * _MIB,
    )
    cache_ttl_s: float = setting(
        DURATION_S, 60.0, "how long a copy answers unless a read says otherwise",
        low=CACHE_TTL_S_MIN, reload=True,
    )  # fmt: skip
    read_deadline_s: float = setting(
        DURATION_S, 5.0, "how long a home may take to answer a read", low=0.1, high=60.0,
        reload=True,
    )  # fmt: skip
    read_sample_share: float = setting(
        NUMBER, 0.01,
        "share of the reads that ask both homes though the namespace's read mode would ask one",
        low=0.0, high=1.0, reload=True,
    )  # fmt: skip
    writes_max: int = setting(
        WHOLE, 20_000, "writes under way in one worker; above, clients are told to wait", low=1,
        reload=True,
    )  # fmt: skip
    write_bytes_max: int = setting(
        SIZE, 512 * _MIB, "bytes of writes under way in one worker", low=64 * _MIB, reload=True
    )
    legs_max: int = setting(
        WHOLE, 8192, "write legs under way to one home; above, a leg is left to repair", low=1,
        reload=True,
    )  # fmt: skip
    leg_bytes_max: int = setting(
        SIZE, 256 * _MIB, "bytes of write legs under way to one home", low=32 * _MIB, reload=True
    )
    repairs_at_once: int = setting(
        WHOLE, 16, "keys that one worker heals at the same time", low=1, high=256, reload=True
    )
    repair_rows_max: int = setting(
        WHOLE, 1_000_000, "queued repairs; above, they collapse into dirty marks", low=1000
    )
    worker_silence_max_s: float = setting(
        DURATION_S, 3.0, "a worker silent for this long is killed and replaced", low=0.5,
        reload=True,
    )  # fmt: skip
    drain_s: float = setting(
        DURATION_S, 10.0, "how long a worker that is told to stop may finish its work", low=0.0,
        reload=True,
    )  # fmt: skip
    kv_host_suffix: str = setting(
        OPTIONAL_TEXT, "", "HTTP requests to ID.SUFFIX are for namespace ID; none: no host name is",
        reload=True,
    )  # fmt: skip
    kv_sockets: str = setting(
        OPTIONAL_TEXT, "", "directory for Unix sockets ID.sock, one for each of kv_socket_ids",
        reload=True,
    )  # fmt: skip
    kv_socket_ids: str = setting(
        OPTIONAL_TEXT, "", "ids of the namespaces that get a socket, with commas between them",
        reload=True,
    )  # fmt: skip

    def check(self) -> Sequence[Relation]:
        """Relations between settings that must hold."""
        broken = [
            *broken_relations(self),
            *shared.bucket_relations(self.s3_endpoint, self.s3_bucket),
            *shared.address_relations(
                grpc_address=self.grpc_address, http_address=self.http_address
            ),
        ]
        if bool(self.kv_sockets) != bool(self.socket_namespaces()):
            broken.append(
                Relation(
                    ("kv_sockets", "kv_socket_ids"),
                    "a directory for sockets and ids of namespaces are given together",
                )
            )
        if len(self.kv_sockets.encode()) > SOCKET_DIRECTORY_BYTES_MAX:
            broken.append(
                Relation(
                    ("kv_sockets",),
                    f"a directory for sockets has at most {SOCKET_DIRECTORY_BYTES_MAX} bytes",
                )
            )
        if strangers := [text for text in self.socket_namespaces() if not is_namespace_id(text)]:
            broken.append(
                Relation(("kv_socket_ids",), f"{strangers[0]!r} is not the id of a namespace")
            )
        if self.leg_bytes_max > self.write_bytes_max:
            broken.append(
                Relation(
                    ("leg_bytes_max", "write_bytes_max"),
                    "legs under way must not be allowed more bytes than writes",
                )
            )
        return broken

    def socket_namespaces(self) -> Sequence[str]:
        """The ids of the namespaces that get a Unix socket of their own."""
        return [text.strip() for text in self.kv_socket_ids.split(",") if text.strip()]

    def homes(self, spare: Path | None = None) -> HomeChoice:
        """Which homes are to be opened. `spare`: see `TlsFiles`."""
        return HomeChoice(
            str(self.kvsp_address),
            self.s3_bucket,
            self.s3_endpoint,
            self.s3_region,
            self.s3_prefix,
            self.s3_create_bucket,
            self.data,
            client_files(self, spare),
        )
