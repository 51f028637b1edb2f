"""Makes and starts the clusters of a ring of databases: one ring for ever, each where it belongs.

First start makes the tables of each database and then marks them all. A start that finds a marked
one and an empty one refuses to work: that would answer "no such key" for data that was
acknowledged. A namespace is deleted where its record lies; the others are told of it at once, and
again from time to time (`deleted`).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg

from kvsp.identity import Identity, Meta, identities, ring_mistake
from kvsp.limits import ClusterLimits
from kvsp.postgres import schema
from kvsp.postgres.address import label_of, refuse_unreadable
from kvsp.postgres.cluster import PostgresCluster
from kvsp.postgres.connecting import Connection, Database, let_go
from kvsp.postgres.deleted import DeletedNamespaces
from kvsp.postgres.errors import FAILURES, is_away
from tandem.core.cluster_life import next_incarnation
from tandem.errors import ConfigurationError
from tandem.runtime import logs
from tandem.runtime.clock import Clock
from tandem.runtime.randomness import Entropy

_TRY_EVERY_S = 1.0
_MISTAKES = (
    asyncpg.ClientConfigurationError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ProtocolViolationError,
    ssl.SSLCertVerificationError,
    ValueError,  # what asyncpg does not understand
    OverflowError,  # a port that there cannot be
)
_log = logs.get("kvsp.clusters")


async def open_clusters(
    dsns: Sequence[str], *, clock: Clock, entropy: Entropy, limits: ClusterLimits | None = None,
    readers: int = 2,
) -> list[PostgresCluster]:  # fmt: skip
    """A cluster for each database, serving, once all of them can be reached. ConfigurationError
    when one of them must not be served."""
    wanted = identities(len(dsns))
    refuse_unreadable(dsns)
    databases = [Database(dsn, entropy) for dsn in dsns]
    labels = [label_of(dsn) for dsn in dsns]
    await _make(databases, labels, wanted, entropy)
    clusters: list[PostgresCluster] = []
    deleted = DeletedNamespaces(clusters)
    clusters.extend(
        PostgresCluster(
            identity.cluster, database, clock=clock, entropy=entropy,
            limits=limits or ClusterLimits(), readers=readers, deleted=deleted,
        )
        for identity, database in zip(wanted, databases, strict=True)
    )  # fmt: skip
    for cluster in clusters:
        await cluster.tell_deleted()
        cluster.start()
    return clusters


async def _make(
    databases: Sequence[Database], labels: Sequence[str], wanted: Sequence[Identity],
    entropy: Entropy,
) -> None:  # fmt: skip
    """Makes what is not there yet. Waits while a server cannot be reached: it may be starting, as
    this is. ConfigurationError when trying again is of no use."""
    while True:
        try:
            async with _connected(databases) as connections:
                await _prepare(connections, labels, wanted, entropy)
                return
        except (*FAILURES, *_MISTAKES) as error:
            shown = ", ".join(labels)
            if isinstance(error, _MISTAKES) or not is_away(error):
                raise ConfigurationError([f"{shown}: {_in_words(error)}"]) from error
            _log.warning("waiting_for_postgresql", databases=shown, error=str(error))
            await asyncio.sleep(_TRY_EVERY_S)


def _in_words(error: BaseException) -> str:
    """A server takes all that a connection is set to; what stands before it may not."""
    is_pooler = isinstance(error, asyncpg.ProtocolViolationError)
    return f"{error}: {schema.POOLER}" if is_pooler else str(error)


@asynccontextmanager
async def _connected(databases: Sequence[Database]) -> AsyncIterator[Sequence[Connection]]:
    async with AsyncExitStack() as stack:
        connections = []
        for database in databases:
            connection = await database.connect()
            stack.push_async_callback(let_go, connection)
            connections.append(connection)
        yield connections


async def _prepare(
    connections: Sequence[Connection], labels: Sequence[str], wanted: Sequence[Identity],
    entropy: Entropy,
) -> None:  # fmt: skip
    """Makes what is not there yet. ConfigurationError names everything that is wrong."""
    mistakes: list[str] = []
    metas: list[Meta | None] = []
    for connection, label, identity in zip(connections, labels, wanted, strict=True):
        mistakes += [f"{label} {one}" for one in await schema.server_mistakes(connection)]
        metas.append(await _meta_of(connection, label, identity, mistakes))
    if not mistakes and any(meta is not None and meta.ring_complete for meta in metas):
        mistakes += [
            f"{label} is empty, and its data lost with it: bring it back"
            for label, meta in zip(labels, metas, strict=True)
            if meta is None
        ]
    _refuse(mistakes)
    for connection, identity in zip(connections, wanted, strict=True):
        await schema.create(connection, identity, next_incarnation(entropy.token(16).hex()))
    for connection, label, identity in zip(connections, labels, wanted, strict=True):
        await _meta_of(connection, label, identity, mistakes)
    _refuse(mistakes)
    for connection in connections:
        await schema.mark_complete(connection)


async def _meta_of(
    connection: Connection, label: str, identity: Identity, mistakes: list[str]
) -> Meta | None:
    try:
        meta = await schema.read_meta(connection)
    except ConfigurationError as error:
        mistakes += [f"{label} {mistake}" for mistake in error.mistakes]
        return None
    if meta is not None:
        mistake = ring_mistake(identity.cluster, meta.identity, identity, label)
        mistakes += [mistake] if mistake else []
    return meta


def _refuse(mistakes: Sequence[str]) -> None:
    if mistakes:
        raise ConfigurationError(mistakes)
