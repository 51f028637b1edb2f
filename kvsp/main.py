"""Builds KVSP from its settings, serves until told to stop, then finishes what it has accepted."""

import asyncio
import os
import sys

from kvsp.cluster import ClusterLimits
from kvsp.metrics import expose
from kvsp.server import StorageServer
from kvsp.settings import KvspSettings
from kvsp.sqlite.clusters import open_clusters
from kvsp.sqlite.directory import DataDirectory
from kvsp.store import Store
from tandem import errors
from tandem.runtime import data_directory, logs, serve
from tandem.runtime.clock import Clock, SystemClock
from tandem.runtime.large_memory import keep_large_blocks
from tandem.runtime.metrics_page import MetricsPage
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.settings import MISTAKEN_STATUS, settings_or_exit
from tandem.runtime.telemetry import Metrics
from tandem.runtime.tls import ServerTls, show_certificate
from tandem.runtime.tls.configured import server_files, warn_of_plain_text

_ABOUT = "Stores records in SQLite clusters and serves them to gateways over gRPC."

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
    directory = DataDirectory(settings.data / "kvsp")
    try:
        data_directory.prepare(settings.data)
        directory.claim()
        return await _serve_directory(settings, directory, process, log)
    except errors.ConfigurationError as error:
        log.error("cannot_start", mistakes=list(error.mistakes))
        return MISTAKEN_STATUS
    finally:
        directory.release()


async def _serve_directory(
    settings: KvspSettings, directory: DataDirectory, process: serve.Process, log: logs.Logger
) -> int:
    clock = SystemClock()
    files = server_files(settings)
    tls = await asyncio.to_thread(ServerTls, files, clock) if files else None
    warn_of_plain_text(settings, log, settings.kvsp_address)
    tasks = serve.Tasks(_TASKS_MAX, log)
    clusters = await open_clusters(
        directory,
        settings.clusters,
        clock=clock,
        entropy=SystemEntropy(),
        limits=ClusterLimits(writes_waiting_max=settings.writes_waiting_max),
        readers=settings.readers,
    )
    store = Store(clusters, settings.large_value_bytes)
    try:
        server = StorageServer(store, clock)
        port = await server.start(str(settings.kvsp_address), tls.rpc() if tls else None)
        address = str(settings.kvsp_address._replace(port=port))
        page = await _page(settings, server, clock, log, tls)
        log.info("ready", address=address, data=str(settings.data), clusters=len(clusters))
        if tls is not None:
            tasks.start("certificate", tls.keep_looking())
        await process.stop.wait()
        await server.stop(settings.drain_s)
        if page is not None:
            await page.stop()
    finally:
        await tasks.drain(0.0)
        await store.aclose()
    log.info("stopped")
    return 0


async def _page(
    settings: KvspSettings,
    server: StorageServer,
    clock: Clock,
    log: logs.Logger,
    tls: ServerTls | None,
) -> MetricsPage | None:
    if settings.kvsp_metrics is None:
        return None
    metrics = Metrics("kvsp", clock)
    expose(metrics, server.counters)
    if tls is not None:
        show_certificate(metrics, tls)
    page = MetricsPage(metrics, lambda: "", clock, log)
    await page.start(settings.kvsp_metrics, tls)
    return page


if __name__ == "__main__":
    sys.exit(main())
