"""Builds KVSP from its settings, serves until told to stop, then finishes what it has accepted."""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

from kvsp.cluster import Cluster
from kvsp.engines import opened
from kvsp.metrics import expose
from kvsp.server import StorageServer
from kvsp.settings import KvspSettings
from kvsp.store import Store
from tandem import errors
from tandem.runtime import logs, serve
from tandem.runtime.clock import SystemClock
from tandem.runtime.disk_space import show_disk
from tandem.runtime.large_memory import keep_large_blocks
from tandem.runtime.metrics_page import MetricsPage
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.settings import MISTAKEN_STATUS, settings_or_exit
from tandem.runtime.telemetry import Metrics
from tandem.runtime.tls import ServerTls, show_certificate
from tandem.runtime.tls.configured import server_files, warn_of_plain_text

_ABOUT = "Stores records in SQLite or PostgreSQL and serves them to gateways over gRPC."

_TASKS_MAX = 1


def main() -> int:
    """The console script; returns the exit status."""
    keep_large_blocks()
    arguments = sys.argv[1:]
    environment = os.environ  # noqa: TID251 - a main is where it comes in
    settings = settings_or_exit(
        KvspSettings, "kvsp", arguments, environment, program="kvsp", about=_ABOUT
    )
    logs.configure(SystemClock(), level=settings.log_level.value, form=settings.log_format)
    log = logs.get("kvsp")
    return serve.run(lambda process: _serve(settings, process, log), log)


async def _serve(settings: KvspSettings, process: serve.Process, log: logs.Logger) -> int:
    try:
        async with AsyncExitStack() as stack:
            opening = stack.enter_async_context(opened(settings, SystemClock(), SystemEntropy()))
            clusters = await serve.unless(process.stop, opening)
            if clusters is not None:
                await _serve_clusters(settings, clusters, process, log)
    except errors.ConfigurationError as error:
        log.error("cannot_start", mistakes=list(error.mistakes))
        return MISTAKEN_STATUS
    log.info("stopped")
    return 0


async def _serve_clusters(
    settings: KvspSettings, clusters: Sequence[Cluster], process: serve.Process, log: logs.Logger
) -> None:
    clock = SystemClock()
    store = Store(clusters, settings.large_value_bytes)
    tasks = serve.Tasks(_TASKS_MAX, log)
    try:
        files = server_files(settings)
        tls = await asyncio.to_thread(ServerTls, files, clock) if files else None
        warn_of_plain_text(settings, log, settings.kvsp_address)
        server = StorageServer(store, clock)
        port = await server.start(str(settings.kvsp_address), tls.rpc() if tls else None)
        address = str(settings.kvsp_address._replace(port=port))
        page = await _page(settings, server, store, log, tls)
        data = "postgresql" if settings.kvsp_postgres else str(settings.data)
        log.info("ready", address=address, data=data, clusters=len(clusters))
        if tls is not None:
            tasks.start("certificate", tls.keep_looking())
        await process.stop.wait()
        await server.stop(settings.drain_s)
        if page is not None:
            await page.stop()
    finally:
        await tasks.drain(0.0)
        await store.aclose()


async def _page(
    settings: KvspSettings,
    server: StorageServer,
    store: Store,
    log: logs.Logger,
    tls: ServerTls | None,
) -> MetricsPage | None:
    if settings.kvsp_metrics is None:
        return None
    clock = SystemClock()
    metrics = Metrics("kvsp", clock)
    expose(metrics, server.counters)
    if not settings.kvsp_postgres:
        show_disk(metrics, settings.data)
    if tls is not None:
        show_certificate(metrics, tls)
    page = MetricsPage(metrics, store.failure, clock, log)
    await page.start(settings.kvsp_metrics, tls)
    return page


if __name__ == "__main__":
    sys.exit(main())
