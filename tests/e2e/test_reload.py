"""Settings read again by programs that run: on real processes, under load, and with mistakes."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tandem.core.settings_in_force import SettingsInForce
from tests.e2e.comparison import check
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.history import Mix, more, under_load
from tests.e2e.pages import metrics, total
from tests.e2e.program import environment_of, kill_process
from tests.e2e.waiting import until, until_true
from tests.runtime.wire import Answer, Wire

NOWHERE = "/proc/no/such/place"


class Reloaded:
    """A deployment with a file of settings."""

    def __init__(self, tandem: Deployment, file: Path, namespace: str) -> None:
        self.tandem = tandem
        self.namespace = namespace
        self._file = file

    def write(self, *lines: str) -> None:
        self._file.write_text("\n".join(lines) + "\n")

    async def ask(self, event: str) -> str:
        """Asks the gateway to read the file again; what it says of it once it is done."""
        before = len(self.tandem.gateway.words())
        self.tandem.gateway.signal(signal.SIGHUP)

        def said() -> str:
            lines = self.tandem.gateway.words()[before:].splitlines()
            return next((line for line in lines if f'"{event}"' in line), "")

        await until(lambda: bool(said()), f"the gateway says {event}")
        return said()

    async def shows(self, mistakes: int, waiting: Sequence[str] = ()) -> SettingsInForce:
        """What the status says, once every worker knows."""

        async def shown() -> bool:
            settings = (await self.tandem.status()).settings
            samples = await metrics(self.tandem.http)
            refused = total(samples, "tandem_settings_refused") > 0
            told = (len(settings.mistakes), tuple(settings.waiting), refused)
            return told == (mistakes, tuple(waiting), mistakes > 0)

        await until_true(shown, f"{mistakes} mistakes and {waiting} are shown")
        return (await self.tandem.status()).settings

    def given(self, name: str) -> list[str]:
        """The values of a variable that the workers were started with."""
        mark = f"{name}=".encode()
        variables = (v for pid in self.tandem.workers() for v in environment_of(pid).split(b"\0"))
        return [v.removeprefix(mark).decode() for v in variables if v.startswith(mark)]


@asynccontextmanager
async def reloaded(directory: Path, workers: int) -> AsyncIterator[Reloaded]:
    file = directory / "tandem.toml"
    file.touch()
    place = directory / "tandem"
    async with deployed(place, None, workers, TANDEM_CONFIG=str(file)) as tandem:
        await tandem.start()
        async with tandem.client() as client:
            namespace = (await client.namespaces.create("n")).id
        yield Reloaded(tandem, file, namespace)


@dataclass
class HttpLoad:
    """Writes and reads of keys that are its own, over one connection after the other."""

    address: str
    namespace: str
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    held: dict[str, bytes] = field(default_factory=dict)
    stopped: bool = False

    async def run(self, number: int) -> None:
        host, _, port = self.address.rpartition(":")
        while not self.stopped:
            wire = Wire(*await asyncio.open_connection(host, int(port)))
            try:
                await self._until_last(wire, number)
            except (EOFError, OSError, asyncio.IncompleteReadError) as error:
                self.failures.append(f"after {self.answered} answers: {error!r}")
            finally:
                wire.close()

    async def _until_last(self, wire: Wire, number: int) -> None:
        last = False
        while not (self.stopped or last):
            key, value = f"http-{number}-{self.answered}", f"{self.answered}".encode()
            put = await self._ask(wire, "PUT", key, value)
            last = self._noted(put, 200, b"")
            if put.status == 200:
                self.held[key] = value
            if not last:
                last = self._noted(await self._ask(wire, "GET", key), 200, value)

    def _noted(self, answer: Answer, status: int, body: bytes) -> bool:
        """Whether it was the last answer of its connection."""
        self.answered += 1
        if answer.status != status or (body and answer.body != body):
            self.failures.append(f"{answer.status} {answer.reason!r} {answer.body!r}")
        return answer.headers.get(b"connection") == b"close"

    async def _ask(self, wire: Wire, method: str, key: str, body: bytes = b"") -> Answer:
        head = (
            f"{method} /{key} HTTP/1.1", "Host: any", f"CF-KV-Namespace-ID: {self.namespace}",
            f"Content-Length: {len(body)}", "", "",
        )  # fmt: skip
        await wire.send("\r\n".join(head).encode() + body)
        return await wire.answer()


@asynccontextmanager
async def http_load(gateway: Reloaded, clients: int) -> AsyncIterator[HttpLoad]:
    load = HttpLoad(gateway.tandem.http, gateway.namespace)
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(load.run(number))
        yield load
        load.stopped = True


async def test_no_call_fails_while_every_worker_is_replaced(tmp_path: Path) -> None:
    async with reloaded(tmp_path, 2) as gateway:
        tandem = gateway.tandem
        old = tandem.workers()
        async with http_load(gateway, 4) as http, under_load(tandem.grpc, "n", Mix()) as history:
            await more(history, 300)
            gateway.write("[gateway]", 'kv_host_suffix = "kv.test"', 'cache_ttl = "2min"')
            told = await gateway.ask("settings_read")
            http_then = http.answered
            await more(history, 300)
            await until(lambda: http.answered > http_then + 100, "requests are answered")
        assert "cache_ttl: 1min, now 2min" in told
        assert not set(old) & set(tandem.workers())
        assert gateway.given("TANDEM_CACHE_TTL") == ["2min"] * 2
        assert http.failures == []
        assert history.errors() == []
        await check(tandem, "n", history)
        async with tandem.client("n", session_keys_max=0) as kv:
            for key, value in http.held.items():
                assert await kv.get(key) == value


async def test_what_cannot_be_taken_leaves_the_last_good_settings_in_force(tmp_path: Path) -> None:
    async with reloaded(tmp_path, 1) as gateway:
        tandem = gateway.tandem
        gateway.write("[gateway]", 'drain = "2s"', "workers = 3")
        told = await gateway.ask("settings_read")
        assert "drain: 10s, now 2s" in told
        [worker] = tandem.workers()

        gateway.write("[gateway]", 'drian = "3s"', 'cache_ttl = "soon"')
        told = await gateway.ask("settings_refused")
        assert "drian: unknown setting" in told
        assert "cache_ttl" in told
        refused = await gateway.shows(2)
        assert tandem.workers() == [worker]

        kill_process(worker)  # the next one must not read the file that nobody has taken
        await until(lambda: tandem.workers() not in ([], [worker]), "another worker runs")
        await gateway.shows(2)
        assert gateway.given("TANDEM_DRAIN") == ["2s"]

        sockets = (f'kv_sockets = "{NOWHERE}"', f'kv_socket_ids = "{gateway.namespace}"')
        gateway.write("[gateway]", *sockets)
        [worker] = tandem.workers()
        told = await gateway.ask("settings_refused")
        assert "a worker with them ended with status 2" in told
        assert (await gateway.shows(1)).read_us == refused.read_us
        assert total(await metrics(tandem.http), "tandem_worker_not_started_total") == 1
        assert tandem.workers() == [worker]

        gateway.write("[gateway]", 'drain = "2s"')
        await gateway.ask("settings_read")
        assert (await gateway.shows(0)).read_us > refused.read_us
        assert tandem.workers() == [worker], "a reading that changes nothing replaces nobody"
