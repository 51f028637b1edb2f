"""Builds KVSP from its settings, serves until told to stop, then finishes what it has accepted."""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

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
from tandem.runtime.passing import status_of
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.reload import Reloading, show_settings
from tandem.runtime.settings import Loaded, settings_or_exit
from tandem.runtime.telemetry import Metrics
from tandem.runtime.tls import ServerTls
from tandem.runtime.tls.configured import server_files, warn_of_plain_text

_ABOUT = "Stores records in SQLite or PostgreSQL and serves them to gateways over gRPC."
_LOG = logs.get("kvsp")
_TASKS_MAX = 2


def main() -> int:
    """The console script; returns the exit status."""
    keep_large_blocks()
    arguments = sys.argv[1:]
    environment = os.environ  # noqa: TID251 - a main is where it comes in
    clock = SystemClock()
    loaded = settings_or_exit(
        KvspSettings, "kvsp", arguments, environment, program="kvsp", about=_ABOUT
    )
    settings = loaded.settings
    log_state = logs.configure(clock, level=settings.log_level, form=settings.log_format)
    reloading = Reloading(
        KvspSettings, "kvsp", arguments, environment, loaded, clock=clock, log=_LOG
    )
    return serve.run(partial(_serve, reloading, log_state), _LOG, log_state)


async def _serve(
    reloading: Reloading[KvspSettings],
    log_state: logs.Logs,
    process: serve.Process,
) -> int:
    settings = reloading.settings
    try:
        async with AsyncExitStack() as stack:
            opening = stack.enter_async_context(opened(settings, SystemClock(), SystemEntropy()))
            clusters = await serve.unless(process.stop, opening)
            if clusters is not None:
                await _serve_clusters(reloading, log_state, clusters, process)
    except errors.ConfigurationError as error:
        _LOG.error("cannot_start", mistakes=list(error.mistakes))
        return status_of(error)
    _LOG.info("stopped")
    return 0


async def _serve_clusters(
    reloading: Reloading[KvspSettings],
    log_state: logs.Logs,
    clusters: Sequence[Cluster],
    process: serve.Process,
) -> None:
    settings, clock = reloading.settings, SystemClock()

    async def take(loaded: Loaded[KvspSettings]) -> None:
        log_state.shape(loaded.settings.log_level, loaded.settings.log_format)

    store = Store(clusters, settings.large_value_bytes)
    tasks = serve.Tasks(_TASKS_MAX, _LOG)
    try:
        files = server_files(settings)
        tls = await asyncio.to_thread(ServerTls, files, clock) if files else None
        warn_of_plain_text(settings, _LOG, settings.kvsp_address)
        server = StorageServer(store, clock)
        port = await server.start(str(settings.kvsp_address), tls.rpc() if tls else None)
        address = str(settings.kvsp_address._replace(port=port))
        page = await _page(reloading, server, store, tls)
        data = "postgresql" if settings.kvsp_postgres else str(settings.data)
        _LOG.info("ready", address=address, data=data, clusters=len(clusters))
        if tls is not None:
            tasks.start("certificate", tls.keep_looking())
        tasks.start("settings", reloading.run(process.reload, take))
        await process.stop.wait()
        await server.stop(reloading.settings.drain_s)
        if page is not None:
            await page.stop()
    finally:
        await tasks.drain(0.0)
        await store.aclose()


async def _page(
    reloading: Reloading[KvspSettings],
    server: StorageServer,
    store: Store,
    tls: ServerTls | None,
) -> MetricsPage | None:
    settings, clock = reloading.settings, SystemClock()
    if settings.kvsp_metrics is None:
        return None
    metrics = Metrics("kvsp", clock)
    expose(metrics, server.counters)
    show_settings(metrics, lambda: reloading.in_force)
    if not settings.kvsp_postgres:
        show_disk(metrics, settings.data)
    page = MetricsPage(metrics, store.failure, clock, _LOG)
    await page.start(settings.kvsp_metrics, tls)
    return page


if __name__ == "__main__":
    sys.exit(main())
