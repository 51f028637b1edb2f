"""Makes and starts the SQLite clusters of one data directory."""

import sqlite3

from kvsp.limits import ClusterLimits
from kvsp.sqlite.blobs import BlobDirectory
from kvsp.sqlite.cluster import SqliteCluster
from kvsp.sqlite.directory import DataDirectory
from kvsp.sqlite.opened import Opener
from tandem.errors import ConfigurationError
from tandem.runtime.clock import Clock
from tandem.runtime.randomness import Entropy

_BLOB_THREADS = 2


async def open_clusters(
    directory: DataDirectory, clusters: int, *, clock: Clock, entropy: Entropy,
    limits: ClusterLimits | None = None, readers: int = 2,
) -> list[SqliteCluster]:  # fmt: skip
    """Every cluster of a claimed directory, serving. ConfigurationError when one cannot."""
    metas = directory.load(clusters, entropy)
    deleted: set[str] = set()
    opened: list[SqliteCluster] = []
    for meta in metas:
        name = meta.identity.cluster
        blobs = BlobDirectory(directory.blobs(name), _BLOB_THREADS)
        blobs.prepare()
        opener = Opener(directory.file(name), readers, deleted, blobs.exists, clock)
        cluster = SqliteCluster(opener, meta, blobs, entropy, limits or ClusterLimits())
        try:
            await cluster.start()
        except sqlite3.Error as error:
            for other in opened:
                await other.aclose()
            raise ConfigurationError([f"{directory.file(name)} cannot be read: {error}"]) from error
        opened.append(cluster)
    return opened
