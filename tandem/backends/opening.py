"""Opens both homes as they are configured: KVSP, and a bucket or the embedded file."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tandem.backends.file import FileHome
from tandem.backends.kvsp import KvspBackend
from tandem.backends.kvsp_large import LargeLimits
from tandem.backends.port import Backend, CollectableObjects
from tandem.core.reply import Side
from tandem.errors import Unavailable
from tandem.runtime import logs
from tandem.runtime.clock import Clock
from tandem.runtime.randomness import Entropy
from tandem.runtime.tls import TlsFiles

_LOG = logs.get("opening")
RETRY_S = 1.0
HEAD_START_S = 0.004
"""Of the file home in reading large values, for each MiB; on an idle machine half would do."""


@dataclass(frozen=True, slots=True)
class HomeChoice:
    """Which homes, as settings say it."""

    kvsp_address: str
    s3_bucket: str
    """Empty for the embedded file."""
    s3_endpoint: str
    s3_region: str
    s3_prefix: str
    s3_create_bucket: bool
    data: Path
    """Where the embedded file lies, and what was learned of a store."""
    tls: TlsFiles | None = None
    """None: KVSP speaks plain text."""


@dataclass(frozen=True, slots=True)
class HomeLabel:
    """How a home is called in a status."""

    kind: str
    """kvsp, s3 or file."""
    location: str
    detail: Callable[[], str]
    """What else is worth knowing: the probe's verdict, which credentials are in use."""


@dataclass(frozen=True, slots=True)
class Homes:
    """Both homes, open."""

    rows: KvspBackend
    objects: CollectableObjects
    labels: Mapping[Side, HomeLabel]

    @property
    def backends(self) -> Mapping[Side, Backend]:
        """Both as homes."""
        return {Side.KVSP: self.rows, Side.S3: self.objects}

    @property
    def leg_order(self) -> tuple[Side, Side]:
        """Whose legs of a group begin first. A file's only wake a thread, which works while KVSP's
        message is made and sent; requests to S3 cost the loop more than either, each by itself."""
        if self.labels[Side.S3].kind == "file":
            return Side.S3, Side.KVSP
        return Side.KVSP, Side.S3

    async def aclose(self) -> None:
        """Closes both."""
        for home in self.backends.values():
            await home.aclose()


async def open_homes(choice: HomeChoice, clock: Clock, entropy: Entropy) -> Homes:
    """Opens both; a home that is only down opens all the same, but for a store that was never
    probed: that one is waited for.

    Raises ConfigurationError when a home cannot be used as configured.
    """
    objects, label = await _open_objects(choice, clock, entropy)
    large = LargeLimits(head_start_s=0.0 if choice.s3_bucket else HEAD_START_S)
    kvsp = KvspBackend(choice.kvsp_address, entropy, large=large, tls=choice.tls)
    kvsp.start()
    return Homes(
        kvsp,
        objects,
        {Side.KVSP: HomeLabel("kvsp", choice.kvsp_address, _nothing), Side.S3: label},
    )


async def _open_objects(
    choice: HomeChoice, clock: Clock, entropy: Entropy
) -> tuple[CollectableObjects, HomeLabel]:
    if not choice.s3_bucket:
        path = choice.data / "objects.sqlite"
        return await FileHome.open(path, clock), HomeLabel("file", str(path), _nothing)
    return await _open_bucket(choice, clock, entropy)


async def _open_bucket(
    choice: HomeChoice, clock: Clock, entropy: Entropy
) -> tuple[CollectableObjects, HomeLabel]:
    # boto3 takes 12 MiB of every process and a third of its start: who has no bucket is spared that
    from tandem.backends.s3.address import Location
    from tandem.backends.s3.opening import S3Options, open_s3_home

    location = Location(
        choice.s3_bucket, endpoint=choice.s3_endpoint or None, region=choice.s3_region or None
    )
    options = S3Options(
        location,
        choice.s3_prefix,
        choice.data / "s3-verdict.json",
        create_bucket=choice.s3_create_bucket,
    )
    while True:
        try:
            home = await open_s3_home(options, clock, entropy)
        except Unavailable as error:
            _LOG.warning("waiting_for_s3", home="s3", why=str(error))
            await asyncio.sleep(RETRY_S)
        else:
            return home, HomeLabel("s3", home.location, home.describe)


def _nothing() -> str:
    return ""
