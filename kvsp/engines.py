"""Which engine the clusters are in, and what has to be held while they are served."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from kvsp.cluster import Cluster
from kvsp.limits import ClusterLimits
from kvsp.settings import KvspSettings
from kvsp.sqlite.clusters import open_clusters
from kvsp.sqlite.directory import DataDirectory
from tandem.errors import ConfigurationError
from tandem.runtime import data_directory
from tandem.runtime.clock import Clock
from tandem.runtime.randomness import Entropy


@asynccontextmanager
async def opened(
    settings: KvspSettings, clock: Clock, entropy: Entropy
) -> AsyncIterator[Sequence[Cluster]]:
    """The clusters that the settings name, serving. ConfigurationError when one cannot."""
    limits = ClusterLimits(writes_waiting_max=settings.writes_waiting_max)
    if settings.kvsp_postgres.split():
        yield await _in_postgres(settings, clock, entropy, limits)
        return
    directory = DataDirectory(settings.data / "kvsp")
    try:
        data_directory.prepare(settings.data)
        directory.claim()
        yield await open_clusters(
            directory, settings.clusters, clock=clock, entropy=entropy, limits=limits,
            readers=settings.readers,
        )  # fmt: skip
    finally:
        directory.release()


async def _in_postgres(
    settings: KvspSettings, clock: Clock, entropy: Entropy, limits: ClusterLimits
) -> Sequence[Cluster]:
    try:
        from kvsp.postgres import clusters as postgres
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            [f"clusters in PostgreSQL need {error.name}: install it"]
        ) from error
    return await postgres.open_clusters(
        settings.kvsp_postgres.split(), clock=clock, entropy=entropy, limits=limits,
        readers=settings.readers,
    )  # fmt: skip
