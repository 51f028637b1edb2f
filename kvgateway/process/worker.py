"""The composition of one worker process: builds its objects, serves, drains.

Started by the supervisor as `python -m kvgateway.process.worker`, with a `Post` on the command line
and the settings in force in its environment.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from kvgateway.access.body_room import BODIES_BYTES_MAX, BodyRoom
from kvgateway.access.policy import DemandingDoors
from kvgateway.data_path.build import DataPath, build_data_path
from kvgateway.homes.home_time import ReckonedClock
from kvgateway.http.binding.door import BindingDoor
from kvgateway.http.pages import Pages
from kvgateway.http.patience import Patience
from kvgateway.http.rest import RestApp
from kvgateway.http.site import Site
from kvgateway.metrics import (
    QuotaMetrics,
    show_data_path,
    show_entrance,
    show_faults,
    show_homes,
    show_http,
    show_lives,
    show_repair,
)
from kvgateway.process.entering import entrance_of
from kvgateway.process.heartbeat import beat
from kvgateway.process.lives import LivesSeen
from kvgateway.process.places import Places
from kvgateway.process.post import Post
from kvgateway.process.settings_told import SettingsSeen
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
    return serve.run(lambda process: _work(post, settings, process, log_state, otlp), _LOG)


async def _work(
    post: Post,
    settings: GatewaySettings,
    process: serve.Process,
    log_state: logs.Logs,
    otlp: str | None,
) -> int:
    """Whatever ends it, the threads of the journal and others must end too: else it hangs."""
    clock, ready = SystemClock(), asyncio.Event()
    places = Places(settings.data)
    metrics = _metrics(clock, otlp)
    tasks = serve.Tasks(TASKS_MAX, _LOG)
    tasks.start("heartbeat", beat(post.pipe, process.stop, ready))
    try:
        path = await build_data_path(post, settings, places, clock, metrics)
        try:
            await _serve(post, settings, process, log_state, path, metrics, tasks, ready)
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


async def _serve(
    post: Post,
    settings: GatewaySettings,
    process: serve.Process,
    log_state: logs.Logs,
    path: DataPath,
    metrics: Metrics,
    tasks: serve.Tasks,
    ready: asyncio.Event,
) -> None:
    """Until told to stop; then it finishes what was begun."""
    clock = SystemClock()
    failures = Failures(_LOG)
    _show(metrics, path, log_state, settings.data)
    lives = LivesSeen(path.place.lives, post.slot)
    show_lives(metrics, lives.own)
    told = SettingsSeen(path.place.settings)
    show_settings(metrics, lambda: told.in_force)
    await path.keeper.round()
    await path.switch_copies.look()
    path.keeper.look_at_switches()
    await asyncio.gather(path.registry.refresh(), path.tokens.refresh())
    await path.presence.renew()
    for name, work in path.loops().items():
        tasks.start(name, work)
    tasks.start("memory", give_back_idle_memory())
    tls = await asyncio.to_thread(_tls, post, settings, clock)
    if tls is not None:
        show_certificate(metrics, tls)
        tasks.start("certificate", tls.keep_looking())
    quotas = QuotaMetrics(metrics)
    entrance = entrance_of(post, settings, path, clock, quotas, lives, told, tls)
    show_entrance(metrics, entrance.counters)
    room, reckoned = BodyRoom(), ReckonedClock(path.time, clock)
    call_memory = _call_memory(settings)
    tasks.start("call memory", call_memory.watch())
    rpc = RpcServer(entrance, reckoned, failures, room, call_memory)
    patience = Patience()
    site = Site(
        Pages(lambda: _unready(path, process, ready), path.place.metrics, clock),
        BindingDoor(entrance, reckoned, room, patience),
        settings.kv_host_suffix,
        patience.of(RestApp(entrance, reckoned, room)),
    )
    limits = _http_limits()
    http = Server(site, limits, clock, _LOG)
    show_http(metrics, http)
    bugs = {
        "rpc": lambda: failures.count,
        "http": lambda: http.stats.failures,
        "process": lambda: tasks.failures + process.loop_errors,
    }
    show_faults(metrics, bugs, _rounds_failed(path))
    for namespace, socket in _sockets(post, settings).items():
        await http.listen_unix(socket, site.of(namespace))
    await _open_ports(settings, rpc, http, tls)
    await rpc.set_ready(True)
    ready.set()
    # Not before: they hide those of the worker that serves until then.
    snapshots = SnapshotWriter(path.place.metrics, post.slot, clock.monotonic_us())
    tasks.start("snapshots", _snapshots(metrics, snapshots, clock, log_state, lives, told))
    _LOG.info("ready", slot=post.slot, grpc=str(settings.grpc_address))
    await process.stop.wait()
    await rpc.stop(settings.drain_s / 2)
    await http.drain(settings.drain_s / 4)
    await path.drain(settings.drain_s / 4)


def _call_memory(settings: GatewaySettings) -> CallMemory:
    """Beside what is counted, that of small things, of caches and of answers on their way."""
    counted = settings.write_bytes_max + 2 * settings.leg_bytes_max + BODIES_BYTES_MAX
    return CallMemory(lambda: holds_more_than(counted + UNCOUNTED_BYTES_MAX))


def _tls(post: Post, settings: GatewaySettings, clock: SystemClock) -> ServerTls | None:
    files = server_files(settings, post.machine)
    return ServerTls(files, clock) if files else None


async def _open_ports(
    settings: GatewaySettings,
    rpc: RpcServer,
    http: Server,
    tls: ServerTls | None,
) -> None:
    credentials = context = None
    if tls is not None:
        doors = settings.tls_clients
        credentials = tls.rpc(demand=doors is not DemandingDoors.NONE)
        context = tls.http(demand=doors is DemandingDoors.ALL)
    await http.listen(*settings.http_address, shared=True, tls=context)
    # The last that can fail: a process with a server of gRPC that nobody stops does not end.
    await rpc.start(str(settings.grpc_address), credentials)


def _http_limits() -> HttpLimits:
    """Connections may take half of the files, so that the homes and the journal always find one."""
    limits = HttpLimits()
    files = open_files.raise_limit()
    return replace(limits, connections_max=min(limits.connections_max, files // 2))


def _sockets(post: Post, settings: GatewaySettings) -> Mapping[str, Path]:
    """Namespaces and their Unix sockets. One listener has such a socket, unlike a port: the first
    worker serves them all. ConfigurationError without a directory for them."""
    if post.slot != 0 or not settings.kv_sockets:
        return {}
    directory = Path(settings.kv_sockets)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError([f"kv_sockets {directory}: {error.strerror}"]) from error
    return {name: directory / f"{name}.sock" for name in settings.socket_namespaces()}


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


def _unready(path: DataPath, process: serve.Process, ready: asyncio.Event) -> str:
    if process.stop.is_set():
        return "stopping"
    if not ready.is_set():
        return "starting"
    if not path.registry.ready:
        return "the namespaces are not known yet"
    if not path.time.known():
        return "neither home was heard lately"
    return ""


def _rounds_failed(path: DataPath) -> Mapping[str, Callable[[], int]]:
    return {
        "keeper": lambda: path.keeper.errors,
        "switch copies": lambda: path.switch_copies.errors,
        "namespaces": lambda: path.registry.errors,
        "tokens": lambda: path.tokens.errors,
        "presence": lambda: path.presence.errors,
        "repair": lambda: path.repair.counters.errors + path.repair.counters.queue_errors,
        "inbox": lambda: path.inbox.queue_errors,
    }


def _show(metrics: Metrics, path: DataPath, log_state: logs.Logs, data: Path) -> None:
    show_homes(metrics, path.guards)
    show_data_path(metrics, path.writer, path.reader, path.inbox)
    show_repair(metrics, path.repair)
    metrics.gauge("tandem_journal_pending", "intents not done", path.journal.live)
    metrics.gauge(
        "tandem_journal_writable", "0 while the disk refuses intents",
        lambda: float(path.journal.writable),
    )  # fmt: skip
    metrics.counted("tandem_log_lines_lost", "lines not written", lambda: log_state.lost)
    metrics.counted(
        "tandem_quota_memory_emptied", "times that the memory of quotas was full",
        lambda: path.quota_memory.emptied,
    )  # fmt: skip
    metrics.gauge(
        "tandem_registered", "1 while this process may go by the modes that it has seen",
        lambda: float(path.presence.stands()),
    )  # fmt: skip
    path.keeper.show(metrics)
    show_disk(metrics, data)


async def _snapshots(
    metrics: Metrics,
    writer: SnapshotWriter,
    clock: SystemClock,
    log_state: logs.Logs,
    lives: LivesSeen,
    told: SettingsSeen,
) -> None:
    """Leaves this worker's metrics where every worker's HTTP page finds them, all of it on a
    thread: a rename over a file waits for the disk, which held up the loop for up to 8 ms."""
    while True:
        await asyncio.to_thread(lives.look)
        await asyncio.to_thread(told.look)
        await asyncio.to_thread(lambda: writer.write(metrics.prometheus(), clock.now_us()))
        log_state.tick()
        await asyncio.sleep(SNAPSHOT_S)


if __name__ == "__main__":
    sys.exit(main())
