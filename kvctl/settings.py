"""The settings of `kvctl up`: where its parts listen and keep their data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tandem.runtime.settings import ADDRESS, DURATION_S, PATH, Address, setting


@dataclass(frozen=True, slots=True)
class UpSettings:
    """What all parts must agree on; everything else they read for themselves."""

    data: Path = setting(
        PATH, Path("data"), "directory for everything that must survive a restart", shared=True
    )
    grpc_address: Address = setting(
        ADDRESS, Address("127.0.0.1", 8781), "where clients reach the gRPC services",
        env="TANDEM_GRPC", flag="--grpc", shared=True,
    )  # fmt: skip
    http_address: Address = setting(
        ADDRESS, Address("127.0.0.1", 8780), "where health, metrics and the HTTP API are served",
        env="TANDEM_HTTP", flag="--http", shared=True,
    )  # fmt: skip
    kvsp_address: Address = setting(
        ADDRESS, Address("127.0.0.1", 8782), "where KVSP, the proxy of the SQL clusters, listens",
        env="TANDEM_KVSP", flag="--kvsp", shared=True,
    )  # fmt: skip
    start_s: float = setting(
        DURATION_S, 60.0, "how long a part may take until it is ready", low=1.0
    )
    stop_s: float = setting(
        DURATION_S, 15.0, "how long a part may take to finish its work when told to stop", low=0.0
    )

    def environment(self) -> Mapping[str, str]:
        """The same choices for the parts."""
        return {
            "TANDEM_DATA": str(self.data.resolve()),
            "TANDEM_GRPC": str(self.grpc_address),
            "TANDEM_HTTP": str(self.http_address),
            "TANDEM_KVSP": str(self.kvsp_address),
        }
