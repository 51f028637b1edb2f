"""The composition of one worker process: builds its objects, serves, drains.

Started by the supervisor as `python -m kvgateway.process.worker`, with a `Post` on the command line
and the settings in force in its environment.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from kvgateway.access.body_room import BODIES_BYTES_MAX, BodyRoom
from kvgateway.access.policy import DemandingDoors
from kvgateway.data_path.build import DataPath, build_data_path
from kvgateway.homes.home_time import ReckonedClock
from kvgateway.http.binding.door import BindingDoor
from kvgateway.http.dashboard.door import Dashboard
from kvgateway.http.pages import Pages
from kvgateway.http.patience import Patience
from kvgateway.http.rest import RestApp
from kvgateway.http.site import Site
from kvgateway.metrics import (
    QuotaMetrics,
    show_entrance,
    show_faults,
    show_http,
    show_lives,
)
from kvgateway.overview import ThisWorker
from kvgateway.process.entering import entrance_of
from kvgateway.process.heartbeat import beat
from kvgateway.process.lives import LivesSeen
from kvgateway.process.places import Places
from kvgateway.process.post import Post
from kvgateway.process.settings_told import SettingsSeen
from kvgateway.process.showing import rounds_failed, show_path
from kvgateway.rpc.call_memory import CallMemory
from kvgateway.rpc.failures import Failures
from kvgateway.rpc.server import RpcServer
from kvgateway.settings import GatewaySettings
from tandem.core.limits import MIB
from tandem.errors import ConfigurationError
from tandem.runtime import logs, open_files, serve
from tandem.runtime.clock import SystemClock
from tandem.runtime.disk_space import show_disk
from tandem.runtime.httpd import HttpLimits, Server
from tandem.runtime.large_memory import give_back_idle_memory, holds_more_than, keep_large_blocks
from tandem.runtime.passing import status_of
from tandem.runtime.reload import show_settings
from tandem.runtime.settings import Sources, load
from tandem.runtime.snapshots import SnapshotWriter
from tandem.runtime.telemetry import Metrics
from tandem.runtime.tls import ServerTls, show_certificate
from tandem.runtime.tls.configured import server_files

_LOG = logs.get("worker")
TASKS_MAX = 32
SNAPSHOT_S = 1.0
UNCOUNTED_BYTES_MAX = 512 * MIB


def main() -> int:
    """Runs one worker; returns the exit status."""
    keep_large_blocks()
    post = Post.taken_from(sys.argv[1:])
    environment: Mapping[str, str] = os.environ  # noqa: TID251 - a main is where it comes in
    settings = load(GatewaySettings, "gateway", Sources(environ=environment)).settings
    log_state = logs.configure(SystemClock(), level=settings.log_level, form=settings.log_format)
    otlp = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    work = partial(_work, post, settings, log_state, otlp)
    return serve.run(work, _LOG, log_state)


async def _work(
    post: Post,
    settings: GatewaySettings,
    log_state: logs.Logs,
    otlp: str | None,
    process: serve.Process,
) -> int:
    """Whatever ends it, the threads of the journal and others must end too: else it hangs."""
    clock, ready = SystemClock(), asyncio.Event()
    metrics = _metrics(clock, otlp)
    tasks = serve.Tasks(TASKS_MAX, _LOG)
    tasks.start("heartbeat", beat(post.pipe, process.stop, ready))
    try:
        path = await build_data_path(post, settings, Places(settings.data), clock, metrics)
        worker = _Worker(post, settings, process, log_state, clock, metrics, tasks, path, ready)
        try:
            await worker.serve()
        finally:
            await tasks.drain(0.0)
            await path.aclose()
    except ConfigurationError as error:
        _LOG.error("cannot_start", slot=post.slot, mistakes=list(error.mistakes))
        return status_of(error)
    finally:
        await asyncio.to_thread(metrics.close, 1.0)
    _LOG.info("stopped", slot=post.slot)
    return 0


class _Worker:
    """What one worker holds for as long as it runs."""

    def __init__(
        self,
        post: Post,
        settings: GatewaySettings,
        process: serve.Process,
        log_state: logs.Logs,
        clock: SystemClock,
        metrics: Metrics,
        tasks: serve.Tasks,
        path: DataPath,
        ready: asyncio.Event,
    ) -> None:
        self._post = post
        self._settings = settings
        self._process = process
        self._log_state = log_state
        self._clock = clock
        self._metrics = metrics
        self._tasks = tasks
        self._path = path
        self._ready = ready
        self._lives = LivesSeen(path.place.lives, post.slot)
        self._told = SettingsSeen(path.place.settings)
        self._failures = Failures(_LOG)

    async def serve(self) -> None:
        """Until told to stop; then it finishes what was begun."""
        path, drain_s = self._path, self._settings.drain_s
        self._show()
        await self._learn()
        for name, work in path.loops().items():
            self._tasks.start(name, work)
        self._tasks.start("memory", give_back_idle_memory())
        tls = await asyncio.to_thread(self._tls)
        rpc, http = await self._open_doors(tls)
        await rpc.set_ready(True)
        self._ready.set()
        # Not before: they hide those of the worker that serves until then.
        self._tasks.start("snapshots", self._leave_snapshots())
        _LOG.info("ready", slot=self._post.slot, grpc=str(self._settings.grpc_address))
        await self._process.stop.wait()
        await rpc.stop(drain_s / 2)
        await http.drain(drain_s / 4)
        await path.drain(drain_s / 4)

    async def _learn(self) -> None:
        """What must be known before the first request: the homes, the switches, the records."""
        path = self._path
        await path.keeper.round()
        await path.switch_copies.look()
        path.keeper.look_at_switches()
        await asyncio.gather(path.registry.refresh(), path.tokens.refresh())
        await path.presence.renew()

    def _tls(self) -> ServerTls | None:
        files = server_files(self._settings, self._post.machine)
        return ServerTls(files, self._clock) if files else None

    async def _open_doors(self, tls: ServerTls | None) -> tuple[RpcServer, Server]:
        """gRPC and HTTP, which let the same callers in."""
        settings, path, metrics = self._settings, self._path, self._metrics
        if tls is not None:
            show_certificate(metrics, tls)
            self._tasks.start("certificate", tls.keep_looking())
        entrance = entrance_of(
            settings, path, self._clock, QuotaMetrics(metrics), self._this_worker(tls)
        )
        show_entrance(metrics, entrance.counters)
        room, reckoned = BodyRoom(), ReckonedClock(path.time, self._clock)
        call_memory = _call_memory(settings)
        self._tasks.start("call memory", call_memory.watch())
        rpc = RpcServer(entrance, reckoned, self._failures, room, call_memory)
        patience = Patience()
        site = Site(
            Pages(self._unready, path.place.metrics, self._clock),
            Dashboard(entrance),
            BindingDoor(entrance, reckoned, room, patience),
            settings.kv_host_suffix,
            patience.of(RestApp(entrance, reckoned, room)),
        )
        http = Server(site, _http_limits(), self._clock, _LOG)
        show_http(metrics, http)
        show_faults(metrics, self._bugs(http), rounds_failed(path))
        for namespace, socket in self._sockets().items():
            await http.listen_unix(socket, site.of(namespace))
        await self._open_ports(rpc, http, tls)
        return rpc, http

    def _this_worker(self, tls: ServerTls | None) -> ThisWorker:
        return ThisWorker(
            gateway_id=self._post.gateway_id.hex(),
            process=os.getpid(),
            workers=self._post.workers,
            restarts=self._lives.restarts,
            settings=lambda: self._told.in_force,
            certificate=tls.in_use if tls else None,
        )

    async def _open_ports(self, rpc: RpcServer, http: Server, tls: ServerTls | None) -> None:
        credentials = context = None
        if tls is not None:
            doors = self._settings.tls_clients
            credentials = tls.rpc(demand=doors is not DemandingDoors.NONE)
            context = tls.http(demand=doors is DemandingDoors.ALL)
        await http.listen(*self._settings.http_address, shared=True, tls=context)
        # The last that can fail: a process with a server of gRPC that nobody stops does not end.
        await rpc.start(str(self._settings.grpc_address), credentials)

    def _sockets(self) -> Mapping[str, Path]:
        """Namespaces and their Unix sockets. One listener has such a socket, unlike a port: the
        first worker serves them all. ConfigurationError without a directory for them."""
        settings = self._settings
        if self._post.slot != 0 or not settings.kv_sockets:
            return {}
        directory = Path(settings.kv_sockets)
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError([f"kv_sockets {directory}: {error.strerror}"]) from error
        return {name: directory / f"{name}.sock" for name in settings.socket_namespaces()}

    def _unready(self) -> str:
        """Why this worker cannot serve now; empty when it can."""
        if self._process.stop.is_set():
            return "stopping"
        if not self._ready.is_set():
            return "starting"
        if not self._path.registry.ready:
            return "the namespaces are not known yet"
        if not self._path.time.known():
            return "neither home was heard lately"
        return ""

    def _show(self) -> None:
        metrics = self._metrics
        show_path(metrics, self._path)
        show_disk(metrics, self._settings.data)
        show_lives(metrics, self._lives.own)
        show_settings(metrics, lambda: self._told.in_force)
        metrics.counted("tandem_log_lines_lost", "lines not written", lambda: self._log_state.lost)

    def _bugs(self, http: Server) -> Mapping[str, Callable[[], int]]:
        return {
            "rpc": lambda: self._failures.count,
            "http": lambda: http.stats.failures,
            "process": lambda: self._tasks.failures + self._process.loop_errors,
        }

    async def _leave_snapshots(self) -> None:
        """Leaves this worker's metrics where every worker's HTTP page finds them, all of it on a
        thread: a rename over a file waits for the disk."""
        clock, metrics = self._clock, self._metrics
        writer = SnapshotWriter(self._path.place.metrics, self._post.slot, clock.monotonic_us())
        while True:
            await asyncio.to_thread(self._lives.look)
            await asyncio.to_thread(self._told.look)
            await asyncio.to_thread(lambda: writer.write(metrics.prometheus(), clock.now_us()))
            await asyncio.sleep(SNAPSHOT_S)


def _call_memory(settings: GatewaySettings) -> CallMemory:
    """Beside what is counted, that of small things, of caches and of answers on their way."""
    counted = settings.write_bytes_max + 2 * settings.leg_bytes_max + BODIES_BYTES_MAX
    return CallMemory(lambda: holds_more_than(counted + UNCOUNTED_BYTES_MAX))


def _http_limits() -> HttpLimits:
    """Connections may take half of the files, so that the homes and the journal always find one."""
    limits = HttpLimits()
    files = open_files.raise_limit()
    return replace(limits, connections_max=min(limits.connections_max, files // 2))


def _metrics(clock: SystemClock, otlp: str | None) -> Metrics:
    """Exported to `otlp` where that can be; the variable may be set for other programs."""
    try:
        return Metrics("kvgateway", clock, otlp)
    except ImportError:
        _LOG.warning(
            "otlp_not_installed",
            effect="metrics are on the HTTP port only; pip install 'tandem-kv[otlp]' exports them",
        )
        return Metrics("kvgateway", clock)


if __name__ == "__main__":
    sys.exit(main())
