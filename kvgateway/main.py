"""The gateway's supervisor: prepares the machine, then keeps worker processes running."""

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path

from kvgateway.access.configured import (
    check_enterable,
    configured_policy,
    make_tokens,
    named_tokens,
    prepared_policy,
    tell_access,
)
from kvgateway.homes import identity
from kvgateway.homes.home_time import HomeTime
from kvgateway.process import lives, settings_told
from kvgateway.process.learning import learn_store
from kvgateway.process.life import Orders
from kvgateway.process.lives import Lives
from kvgateway.process.places import Places
from kvgateway.process.post import Post
from kvgateway.process.preparation import pin_queue
from kvgateway.process.recovery import Recovery
from kvgateway.process.supervisor import Supervisor
from kvgateway.registry.file import DiskCopy
from kvgateway.registry.form import TOKENS
from kvgateway.settings import GatewaySettings
from kvgateway.state import queue_damage
from kvgateway.state.clock_bound import ClockBound
from kvgateway.state.queue import SqliteQueue
from kvgateway.state.shared import SharedMachine
from kvgateway.state.shared_place import Place
from kvgateway.state.switches import SwitchFile
from tandem import errors
from tandem.backends.opening import Homes, open_homes
from tandem.core.settings_in_force import SettingsInForce
from tandem.runtime import data_directory, logs, serve
from tandem.runtime.clock import SystemClock
from tandem.runtime.listening import refusal
from tandem.runtime.passing import status_of
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.reload import Reloading
from tandem.runtime.settings import (
    Address,
    Loaded,
    environment_of,
    settings_or_exit,
)
from tandem.runtime.tls import ServerTls
from tandem.runtime.tls.configured import server_files, warn_of_plain_text

_LOG = logs.get("gateway")
_ABOUT = "Races every read and write to two homes, and repairs what the race leaves unequal."
_LISTEN_S = 1.0


def main() -> int:
    """The console script; returns the exit status."""
    arguments = sys.argv[1:]
    environment = os.environ  # noqa: TID251 - a main is where it comes in
    loaded = settings_or_exit(
        GatewaySettings, "gateway", arguments, environment, program="kvgateway", about=_ABOUT
    )
    clock, settings = SystemClock(), loaded.settings
    log_state = logs.configure(clock, level=settings.log_level, form=settings.log_format)
    gateway = _Gateway(loaded, arguments, environment, clock, log_state)
    return serve.run(partial(_supervise, gateway), _LOG, log_state)


async def _supervise(gateway: "_Gateway", process: serve.Process) -> int:
    try:
        await gateway.run(process)
    except errors.ConfigurationError as error:
        _LOG.error("cannot_start", mistakes=list(error.mistakes))
        return status_of(error)
    return 0


class _Gateway:
    """One machine's gateway: what the supervisor holds for as long as it runs."""

    def __init__(
        self,
        loaded: Loaded[GatewaySettings],
        arguments: Sequence[str],
        environment: Mapping[str, str],
        clock: SystemClock,
        log_state: logs.Logs,
    ) -> None:
        self._loaded = loaded
        self._settings = loaded.settings
        self._arguments = arguments
        self._environment = environment
        self._clock = clock
        self._log_state = log_state
        self._entropy = SystemEntropy()
        self._places = Places(loaded.settings.data)
        self._time = HomeTime(clock)
        self._minted_us: int | None = None

    async def run(self, process: serve.Process) -> None:
        """Prepares, then supervises until told to stop. ConfigurationError when nothing can be
        prepared, or when the kill switches cannot be read: they might be off."""
        places, settings, stop = self._places, self._settings, process.stop
        _check_free(("--grpc", settings.grpc_address), ("--http", settings.http_address))
        data_directory.prepare(settings.data)
        await asyncio.to_thread(SwitchFile(places.switches).load)
        async with contextlib.AsyncExitStack() as held:
            place = Place.make(places.gateway, settings.shared_memory_bytes)
            held.callback(_leave, place)
            bound = ClockBound.open(places.clock_bound, self._entropy.token)
            held.callback(lambda: bound.close(self._minted_us))
            await asyncio.to_thread(queue_damage.set_aside, places.queue)
            queue = await SqliteQueue.open(places.queue, settings.repair_rows_max)
            held.push_async_callback(queue.aclose)
            policy = prepared_policy(settings, self._entropy)
            await asyncio.to_thread(self._check_tls, place.directory)
            opening = open_homes(settings.homes(place.directory), self._clock, self._entropy)
            homes = await serve.unless(stop, opening)
            if homes is None:
                return
            held.push_async_callback(homes.aclose)
            learning = learn_store(places, homes, bound, self._time, self._entropy)
            store_id = await serve.unless(stop, learning)
            if store_id is not None:
                await check_enterable(policy, homes.backends, DiskCopy(places.tokens, TOKENS))
                await self._serve(process, place, bound, queue, homes, store_id)

    def _check_tls(self, spare: Path) -> None:
        """Leaves what is good where workers find it that start when it is no longer."""
        files = server_files(self._settings, spare)
        if files is not None:
            shown = ServerTls(files, self._clock).in_use()
            _LOG.info("tls", subject=shown.certificate.subject, serial=shown.certificate.serial)
        warn_of_plain_text(
            self._settings, _LOG, self._settings.grpc_address, self._settings.http_address
        )

    async def _serve(
        self,
        process: serve.Process,
        place: Place,
        bound: ClockBound,
        queue: SqliteQueue,
        homes: Homes,
        store_id: str,
    ) -> None:
        machine = SharedMachine(
            place.directory, gateway_id=bound.gateway_id, random=self._entropy.token
        )
        recovery = Recovery(self._places, place, queue, machine, self._time)
        await recovery.all()
        await pin_queue(queue, machine)
        posts = partial(
            Post,
            workers=self._settings.workers or max(1, (os.cpu_count() or 1) // 2),
            machine=place.directory,
            gateway_id=bound.gateway_id,
            store_id=store_id,
        )
        supervisor = self._supervisor(place, posts, recovery)
        reloading = Reloading(
            GatewaySettings, "gateway", self._arguments, self._environment, self._loaded,
            clock=self._clock, log=_LOG, named=named_tokens,
        )  # fmt: skip
        take = partial(self._take, supervisor, posts, homes, process.stop)
        tell = partial(_tell_settings, place.settings)
        tell(reloading.in_force)
        loops = (
            bound.keep(self._time.now_us, machine.extend_clock),
            self._listen(homes),
            recovery.keep_trying(),
            reloading.run(process.reload, take, tell),
        )
        async with _running(loops):
            await supervisor.run(process.stop)
        self._minted_us = machine.last_minted_us()
        machine.close()

    async def _take(
        self,
        supervisor: Supervisor,
        posts: Callable[..., Post],
        homes: Homes,
        stop: asyncio.Event,
        loaded: Loaded[GatewaySettings],
    ) -> None:
        """Goes over to other settings once all workers have; ConfigurationError when they cannot,
        or when nobody could come in any more."""
        settings = loaded.settings
        await asyncio.to_thread(make_tokens, settings, self._entropy)
        policy = configured_policy(settings)
        await check_enterable(policy, homes.backends, DiskCopy(self._places.tokens, TOKENS))
        await supervisor.replace(self._orders(posts, loaded.texts), stop)
        tell_access(settings, policy)
        supervisor.silence_max_us = int(settings.worker_silence_max_s * 1e6)
        supervisor.drain_s = settings.drain_s
        self._log_state.shape(settings.log_level, settings.log_format)

    def _supervisor(
        self, place: Place, posts: Callable[..., Post], recovery: Recovery
    ) -> Supervisor:
        return Supervisor(
            slots=posts(seat=0, pipe=0).workers,
            orders=self._orders(posts, self._loaded.texts),
            recover=recovery.of,
            tell=partial(_tell_lives, place.lives),
            clock=self._clock,
            silence_max_us=int(self._settings.worker_silence_max_s * 1e6),
            drain_s=self._settings.drain_s,
        )

    def _orders(self, posts: Callable[..., Post], texts: Mapping[str, str]) -> Orders:
        """Workers are given the settings in force: the file may have changed since."""

        def command(seat: int, pipe: int) -> Sequence[str]:
            post = posts(seat=seat, pipe=pipe, offset_us=self._time.believed_us())
            return (sys.executable, "-P", "-m", "kvgateway.process.worker", *post.arguments())

        given = environment_of(GatewaySettings, texts)
        return Orders(command, {**self._environment, **given})

    async def _listen(self, homes: Homes) -> None:
        """Keeps up with the homes' time, which the clock's bound must stay ahead of."""
        while True:
            await identity.look(homes.backends, _LISTEN_S, self._time)
            await asyncio.sleep(_LISTEN_S)


@contextlib.asynccontextmanager
async def _running(loops: Sequence[Coroutine[None, None, None]]) -> AsyncIterator[None]:
    """Runs loops beside what is done inside; one that fails ends it all."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(loop) for loop in loops]
        yield
        for task in tasks:
            task.cancel()


def _check_free(*addresses: tuple[str, Address]) -> None:
    refusals = [(flag, address, refusal(address)) for flag, address in addresses]
    mistakes = [
        f"{flag}: cannot listen on {address}: {error.strerror}"
        for flag, address, error in refusals
        if error is not None
    ]
    if mistakes:
        raise errors.ConfigurationError(mistakes)


def _tell_settings(path: Path, in_force: SettingsInForce) -> None:
    """What cannot be shown ends nothing; so below."""
    try:
        settings_told.write(path, in_force)
    except OSError as error:
        _LOG.warning("settings_not_shown", why=str(error))


def _tell_lives(path: Path, all_lives: Sequence[Lives]) -> None:
    try:
        lives.write(path, all_lives)
    except OSError as error:
        _LOG.warning("lives_not_shown", why=str(error))


def _leave(place: Place) -> None:
    place.leave()
    shutil.rmtree(place.directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
