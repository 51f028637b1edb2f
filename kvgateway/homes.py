"""Opens the two homes as they are configured, and says how they are called in a status."""

from collections.abc import Mapping
from dataclasses import dataclass

from kvgateway.operations import HomeLabel
from kvgateway.places import Places
from kvgateway.settings import GatewaySettings
from tandem.backends.file import FileHome
from tandem.backends.kvsp import KvspBackend
from tandem.backends.port import Backend
from tandem.core.reply import Side
from tandem.runtime.clock import Clock
from tandem.runtime.randomness import Entropy


@dataclass(frozen=True, slots=True)
class Homes:
    """Both homes, open."""

    backends: Mapping[Side, Backend]
    labels: Mapping[Side, HomeLabel]

    async def aclose(self) -> None:
        """Closes both."""
        for home in self.backends.values():
            await home.aclose()


async def open_homes(
    settings: GatewaySettings, places: Places, clock: Clock, entropy: Entropy
) -> Homes:
    """KVSP, and the bucket or the embedded file.

    Raises ConfigurationError when a home cannot be used as configured; a home that is only down
    opens all the same.
    """
    kvsp = KvspBackend(str(settings.kvsp_address), entropy)
    kvsp.start()
    kvsp_label = HomeLabel("kvsp", str(settings.kvsp_address), _nothing)
    if settings.s3_bucket:
        raise NotImplementedError
    objects = await FileHome.open(places.objects, clock)
    file_label = HomeLabel("file", str(places.objects), _nothing)
    return Homes({Side.KVSP: kvsp, Side.S3: objects}, {Side.KVSP: kvsp_label, Side.S3: file_label})


def _nothing() -> str:
    return ""
