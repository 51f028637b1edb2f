"""`kvctl up`: all of Tandem on one machine, until it is told to stop."""

import asyncio
import contextlib
import errno
import fcntl
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from kvctl.health import serves
from kvctl.parts import Part, PartFailed, PartPlan, left_running
from kvctl.settings import UpSettings
from tandem.errors import ConfigurationError
from tandem.runtime import data_directory, serve
from tandem.runtime.clock import Clock
from tandem.runtime.listening import is_loopback, refusal
from tandem.runtime.local_tokens import development_token
from tandem.runtime.passing import PASSING_STATUS, status_of
from tandem.runtime.settings import MISTAKEN_STATUS, Address
from tandem.runtime.tls.configured import client_files
from tandem.runtime.tls.files import read

_BANNER = """\
Tandem KV is up.

  gRPC   {grpc}
  HTTP   {http}  (/dashboard, /healthz, /readyz, /metrics)
  KVSP   {kvsp}
  data   {data}
  logs   {data}/logs

{access}
Stop it with Ctrl-C."""
_STARTING = "Starting KVSP, the gateway and the crawler; this takes some seconds.\n"
_DEVELOPMENT = """\
For a browser (the address holds a token):

  {http}/dashboard#{token}

For wrangler, Cloudflare's SDKs and curl:

  export CLOUDFLARE_API_BASE_URL={http}/client/v4
  export CLOUDFLARE_BASE_URL={http}/client/v4
  export CLOUDFLARE_ACCOUNT_ID=default
  export CLOUDFLARE_API_TOKEN={token}
"""


_STDIN = 0


class CannotStart(Exception):
    """Nothing runs; the text says what to do."""

    def __init__(self, text: str, status: int = PASSING_STATUS) -> None:
        super().__init__(text)
        self.status = status


async def up(
    settings: UpSettings,
    environment: Mapping[str, str],
    clock: Clock,
    say: Callable[[str], None],
) -> int:
    """Starts KVSP, gateway and crawler in that order; stops them in the opposite one.

    Returns the exit status. `environment` is handed on to the parts.
    """
    tls = client_files(settings)
    try:
        if tls is not None:
            read(tls)
        data_directory.prepare(settings.data)
    except ConfigurationError as error:
        raise CannotStart("; ".join(error.mistakes), status_of(error)) from None
    with _only_one(settings.data):
        _check_orphans(settings.data)
        _check_doors(settings)
        signals = _Signals(os.isatty(_STDIN))
        parts = [
            Part(
                plan,
                data=settings.data.resolve(),
                environment=environment,
                clock=clock,
                say=say,
            )
            for plan in _plans(settings)
        ]
        say(_STARTING)
        return await _run(parts, settings, signals, say)


async def _run(
    parts: list[Part], settings: UpSettings, signals: "_Signals", say: Callable[[str], None]
) -> int:
    stop = signals.stop
    started: list[Part] = []
    try:
        for part in parts:
            started.append(part)
            await serve.unless(stop, part.start(settings.start_s))
            if stop.is_set():
                return 0
        say(
            _BANNER.format(
                grpc=settings.grpc_address,
                http=_url(settings),
                kvsp=settings.kvsp_address,
                data=settings.data.resolve(),
                access=_access(settings),
            )
        )
        await _keep(parts, settings, signals, say)
        return 0
    except PartFailed as error:
        say(str(error))
        return MISTAKEN_STATUS if error.refused else PASSING_STATUS
    finally:
        await _stop(started, settings.stop_s)


def _access(settings: UpSettings) -> str:
    """How to come in, where the gateway has a token for everybody who develops on this machine."""
    token = development_token(settings.data)
    exposed = not all(is_loopback(a.host) for a in (settings.grpc_address, settings.http_address))
    if exposed or not token:
        return "Callers need a token: kvctl token create --help\n"
    return _DEVELOPMENT.format(http=_url(settings), token=token)


def _url(settings: UpSettings) -> str:
    return f"{'https' if settings.tls_certificate else 'http'}://{settings.http_address}"


async def _keep(
    parts: list[Part], settings: UpSettings, signals: "_Signals", say: Callable[[str], None]
) -> None:
    """Keeps the parts running until `stop`; PartFailed when one of them never will."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part.keep())
            tending = [group.create_task(part.tend_log()) for part in parts]
            tending.append(group.create_task(_reload(parts, signals.reload, say)))
            await signals.stop.wait()
            say("stopping")
            await _stop(parts, settings.stop_s)
            for task in tending:
                task.cancel()
    except* PartFailed as failures:
        raise _all_of(failures.exceptions) from None


def _all_of(failures: Sequence[PartFailed | ExceptionGroup[PartFailed]]) -> PartFailed:
    """Several parts that failed at once, as one."""
    refused = any(isinstance(one, PartFailed) and one.refused for one in failures)
    return PartFailed("\n".join(map(str, failures)), refused=refused)


async def _reload(parts: list[Part], asked: asyncio.Event, say: Callable[[str], None]) -> None:
    """Has all parts read their settings again whenever `asked` is set, for ever."""
    while True:
        await asked.wait()
        asked.clear()
        for part in parts:
            part.reload()
        say("the parts read their settings again; kvctl status and their logs tell what came of it")


async def _stop(parts: list[Part], stop_s: float) -> None:
    for part in reversed(parts):
        await part.stop(stop_s)


def _plans(settings: UpSettings) -> tuple[PartPlan, ...]:
    tls = client_files(settings)
    return (
        PartPlan("kvsp", "kvsp", lambda: serves(settings.kvsp_address, tls)),
        PartPlan("gateway", "kvgateway", lambda: serves(settings.grpc_address, tls)),
        PartPlan("crawler", "crawler", lambda: serves(settings.crawler_address, tls)),
    )


class _Signals:
    """What somebody asks of all parts: to stop, or to read their settings again."""

    def __init__(self, on_terminal: bool) -> None:
        self.stop = asyncio.Event()
        self.reload = asyncio.Event()
        self._on_terminal = on_terminal
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    def _hung_up(self) -> None:
        """Who closes the terminal that it was started in wants it to end."""
        gone = self._on_terminal and not os.isatty(_STDIN)
        (self.stop if gone else self.reload).set()


def _check_orphans(data: Path) -> None:
    """Raises CannotStart when parts of an earlier `kvctl up`, which was killed, still run."""
    orphans = left_running(data)
    if orphans:
        names = ", ".join(f"{name} ({pid})" for name, pid in orphans)
        raise CannotStart(
            f"an earlier `kvctl up` was killed, and its parts still run: {names}; end them with:"
            f" kill {' '.join(str(pid) for _, pid in orphans)}"
        )


def _check_doors(settings: UpSettings) -> None:
    """Raises CannotStart when two parts would listen at one address, or somebody else does.

    The system would let the parts share what comes to it. Other commands may be told of addresses
    that could not be served from here, so this is no mistake in the settings.
    """
    flags: dict[Address, str] = {}
    for flag, address in (
        ("--grpc", settings.grpc_address),
        ("--http", settings.http_address),
        ("--kvsp", settings.kvsp_address),
        ("--crawler", settings.crawler_address),
    ):
        if flags.setdefault(address, flag) != flag:
            raise CannotStart(f"{flags[address]} and {flag} are both {address}; choose another")
        _check_free(flag, address)


def _check_free(flag: str, address: Address) -> None:
    """Raises CannotStart when somebody else listens there, before anything is started."""
    error = refusal(address)
    if error is None:
        return
    if error.errno != errno.EADDRINUSE:
        raise CannotStart(f"{flag} {address}: {error.strerror}")
    raise CannotStart(
        f"{address} is in use already (is another Tandem running?); choose another with"
        f" {flag} HOST:PORT"
    )


@contextlib.contextmanager
def _only_one(data: Path) -> Iterator[None]:
    """Holds the data directory for as long as this Tandem runs."""
    lock = os.open(data / "up.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(
                f"another `kvctl up` is using {data.resolve()}; choose another directory with"
                " --data or TANDEM_DATA"
            ) from None
        yield
    finally:
        os.close(lock)
