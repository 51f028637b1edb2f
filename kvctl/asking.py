"""The way from a command to the gateway: whom it asks, as whom, and how each failure ends it."""

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final, TypeVar

import click

from kvctl.endings import Ended, Ending, ending_of, unreachable
from tandem.client import Client
from tandem.client.client import SESSION_KEYS_MAX
from tandem.core.key import is_namespace_id
from tandem.errors import NamespaceNotFound, TandemError
from tandem.runtime.clock import Clock
from tandem.runtime.rpc_words import in_words
from tandem.runtime.settings import Address
from tandem.runtime.tls import TlsFiles

CONNECT_S: Final = 3.0
NEAR_TITLES_MAX: Final = 3

_RUNNER: Final = "kvctl.runner"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What comes in from outside; `main` builds it."""

    environment: Mapping[str, str]
    clock: Clock


@dataclass(frozen=True, slots=True)
class Asked:
    """How one command was asked to work."""

    gateway: Address
    crawler: Address | None
    """As it was given; None where it was not, or the command asks none."""
    token: str = field(repr=False)
    account: str
    timeout_s: float
    as_json: bool
    surroundings: Surroundings
    tls: TlsFiles | None
    """For every connection; None for plain text."""

    @property
    def clock(self) -> Clock:
        """The machine's clock."""
        return self.surroundings.clock

    def ask(
        self,
        work: Callable[[Client], Awaitable[_T]],
        namespace: str | None = None,
        *,
        writes: bool = False,
    ) -> _T:
        """Sees `work` through with a client of the gateway; whether it `writes` new keys.

        Every failure becomes an `Ended` that says what to do.
        """
        return self.complete(lambda: self.answer(work, namespace, writes=writes))

    def complete(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Sees `work` through; Ctrl-C cancels it and ends the command."""

        async def completed() -> _T:
            asyncio.get_running_loop().set_exception_handler(_without_poller)
            return await work()

        try:
            return _runner().run(completed())
        except KeyboardInterrupt:
            raise click.exceptions.Exit(int(Ending.INTERRUPTED)) from None

    async def answer(
        self,
        work: Callable[[Client], Awaitable[_T]],
        namespace: str | None = None,
        *,
        writes: bool = False,
    ) -> _T:
        """The same as `ask`, for a command that asks several gateways at once."""
        await self._reach()
        try:
            async with self.client(namespace) as client:
                return await work(client)
        except NamespaceNotFound as error:
            raise await self._unknown(namespace or error.namespace, writes=writes) from None
        except TandemError as error:
            raise ending_of(error, self.gateway) from None

    def client(self, namespace: str | None, session_keys_max: int = SESSION_KEYS_MAX) -> Client:
        """A client of the gateway, not yet open, for a command that needs several."""
        return Client(
            str(self.gateway),
            namespace,
            token=self.token,
            tls=self.tls,
            account=self.account,
            timeout_s=self.timeout_s,
            session_keys_max=session_keys_max,
        )

    async def _reach(self) -> None:
        """Tells at once that nobody listens, which gRPC would try again until the timeout."""
        if why := await no_way_to(self.gateway, self.timeout_s):
            raise unreachable(self.gateway, why)

    async def _unknown(self, namespace: str, *, writes: bool) -> Ended:
        """Whoever would write to a namespace may want to create it; who would read or change what
        is there, hardly."""
        titles: list[str] = []
        try:
            async with self.client(None) as client:
                titles = [found.title for found in await client.namespaces.list()]
        except TandemError:
            pass  # the first failure is the one to tell
        if is_namespace_id(namespace):
            return Ended(
                Ending.NEGATIVE,
                f"no namespace has the id {namespace}; `kvctl namespace list` shows all",
            )
        near = _near(namespace, titles)
        whose = f" --account {shlex.quote(self.account)}" if self.account else ""
        of_account = f" of account {self.account}" if self.account else ""
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        said = f"no namespace{of_account} has the title {namespace!r}{hint}"
        if writes:
            advice = f"Create it with: kvctl namespace create {shlex.quote(namespace)}{whose}"
        else:
            advice = f"`kvctl namespace list{whose}` shows all."
        return Ended(Ending.NEGATIVE, f"{said}\n{advice}")


async def no_way_to(address: Address, within_s: float) -> str:
    """Why no connection can be made to an address; "" where somebody listens."""
    try:
        async with asyncio.timeout(min(CONNECT_S, within_s)):
            _, writer = await asyncio.open_connection(*address)
    except TimeoutError:
        return "no connection in time"
    except OSError as error:
        refused = isinstance(error, ConnectionRefusedError)
        return "connection refused" if refused else in_words(str(error))
    writer.close()
    return ""


def _runner() -> asyncio.Runner:
    """The one loop of a command, however often it asks: gRPC's poller outlives a loop, and would
    wake up for it in the next one."""
    context = click.get_current_context()
    if _RUNNER not in context.meta:
        context.meta[_RUNNER] = context.find_root().with_resource(asyncio.Runner())
    runner: asyncio.Runner = context.meta[_RUNNER]
    return runner


def _without_poller(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Where several commands run in one process, each has a loop, and gRPC's poller of an earlier
    one may wake up and find nothing to read."""
    if not isinstance(context.get("exception"), BlockingIOError):
        loop.default_exception_handler(context)


def _near(title: str, titles: list[str]) -> list[str]:
    by_folded = {known.casefold(): known for known in titles}
    close = get_close_matches(title.casefold(), by_folded, n=NEAR_TITLES_MAX)
    return [by_folded[folded] for folded in close]
