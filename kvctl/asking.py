"""The options that every command has, and the way from a command to the gateway."""

import asyncio
import functools
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import click

from kvctl.endings import Ended, Ending, ending_of, unreachable
from kvctl.settings import UpSettings
from tandem.client import Client
from tandem.client.channel import check_token
from tandem.client.client import SESSION_KEYS_MAX
from tandem.core.access import check_account
from tandem.core.key import is_namespace_id
from tandem.errors import ConfigurationError, InvalidArgument, NamespaceNotFound, TandemError
from tandem.runtime.clock import Clock
from tandem.runtime.local_tokens import admin_token
from tandem.runtime.rpc_words import in_words
from tandem.runtime.settings import (
    ADDRESS,
    DURATION_S,
    Address,
    Kind,
    SettingsError,
    load,
    read_sources,
)
from tandem.runtime.tls import TlsFiles
from tandem.runtime.tls.configured import client_files
from tandem.runtime.tls.files import read

COMMON_OPTIONS: Final = ("gateway", "token", "account", "timeout_s", "as_json")
TIMEOUT_S: Final = 10.0
TOKEN_ENV: Final = "TANDEM_TOKEN"
ACCOUNT_ENV: Final = "TANDEM_ACCOUNT"
CONNECT_S: Final = 3.0
NEAR_TITLES_MAX: Final = 3

GATEWAY_HELP: Final = "Where the gateway's gRPC port is. [default: TANDEM_GRPC, or 127.0.0.1:8781]"
TIMEOUT_HELP: Final = "How long one answer may take, such as 500ms or 30s. [default: 10s]"
TOKEN_HELP: Final = "What opens the gateway. [default: TANDEM_TOKEN, or the admin token]"
ACCOUNT_HELP: Final = "Whose namespaces are meant. [default: TANDEM_ACCOUNT, or the token's own]"
GATEWAYS_HELP: Final = (
    "Where a gateway's gRPC port is; again for each gateway. [default: TANDEM_GRPC, or"
    " 127.0.0.1:8781]"
)
JSON_HELP: Final = "Print JSON: one object, or one object a line."

_RUNNER: Final = "kvctl.runner"
_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What comes in from outside; `main` builds it."""

    environment: Mapping[str, str]
    clock: Clock


def form(kind: Kind[_T]) -> Callable[[str], _T]:
    """What makes an option take a value in one of the forms that settings have."""

    def parse(text: str) -> _T:
        try:
            return kind.parse(text)
        except (ValueError, OverflowError):
            raise click.BadParameter(f'"{text}": expected {kind.expected}') from None

    parse.__name__ = kind.metavar  # what the help shows
    return parse


def timeout(text: str) -> float:
    """The value of --timeout, in seconds."""
    seconds = form(DURATION_S)(text)
    if not seconds:
        raise click.BadParameter(f'"{text}": in no time nobody answers')
    return seconds


timeout.__name__ = DURATION_S.metavar


@dataclass(frozen=True, slots=True)
class Asked:
    """How one command was asked to work."""

    gateway: Address
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

    def ask(self, work: Callable[[Client], Awaitable[_T]], namespace: str | None = None) -> _T:
        """Sees `work` through with a client of the gateway.

        Every failure becomes an `Ended` that says what to do.
        """
        return self.complete(lambda: self.answer(work, namespace))

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
        self, work: Callable[[Client], Awaitable[_T]], namespace: str | None = None
    ) -> _T:
        """The same as `ask`, for a command that asks several gateways at once."""
        await self._reach()
        try:
            async with self.client(namespace) as client:
                return await work(client)
        except NamespaceNotFound as error:
            raise await self._unknown(namespace or error.namespace) from None
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
        try:
            async with asyncio.timeout(min(CONNECT_S, self.timeout_s)):
                _, writer = await asyncio.open_connection(*self.gateway)
        except TimeoutError:
            raise unreachable(self.gateway, "no connection in time") from None
        except OSError as error:
            refused = isinstance(error, ConnectionRefusedError)
            why = "connection refused" if refused else in_words(str(error))
            raise unreachable(self.gateway, why) from None
        writer.close()

    async def _unknown(self, namespace: str) -> Ended:
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
        return Ended(
            Ending.NEGATIVE,
            f"no namespace{of_account} has the title {namespace!r}{hint}\n"
            f"Create it with: kvctl namespace create {shlex.quote(namespace)}{whose}",
        )


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


def asks(
    command: Callable[Concatenate[Asked, _P], None],
) -> Callable[_P, None]:
    """Gives a command --gateway, --token, --account, --timeout and --json, and hands it what they
    say as `Asked`.

    The same options before the command's name count too; the command's own win.
    """

    @click.option("--gateway", type=form(ADDRESS), help=GATEWAY_HELP)
    @_other_options
    @functools.wraps(command)
    def asking(*args: _P.args, **given: _P.kwargs) -> None:
        options = _options(given)
        command(_asked(options, click.get_current_context()), *args, **given)

    return asking


def asks_each(
    command: Callable[Concatenate[Sequence[Asked], _P], None],
) -> Callable[_P, None]:
    """The same for a command that asks several gateways: --gateway may be given again and again."""

    @click.option("--gateway", type=form(ADDRESS), multiple=True, help=GATEWAYS_HELP)
    @_other_options
    @functools.wraps(command)
    def asking(*args: _P.args, **given: _P.kwargs) -> None:
        gateways = tuple(dict.fromkeys(given["gateway"])) or (None,)  # type: ignore[call-overload]
        options, context = _options({**given, "gateway": None}), click.get_current_context()
        rest = {name: value for name, value in given.items() if name not in COMMON_OPTIONS}
        asked = [_asked({**options, **_given({"gateway": one})}, context) for one in gateways]
        command(asked, *args, **rest)  # type: ignore[arg-type]

    return asking


def _other_options(command: Callable[_P, None]) -> Callable[_P, None]:
    for option in (
        click.option("--json", "as_json", is_flag=True, help=JSON_HELP),
        click.option("--timeout", "timeout_s", type=timeout, help=TIMEOUT_HELP),
        click.option("--account", help=ACCOUNT_HELP),
        click.option("--token", help=TOKEN_HELP),
    ):
        command = option(command)
    return command


def _options(given: dict[str, Any]) -> Mapping[str, Any]:
    """The common options, taken out of what a command was given: its own before those above it."""
    above = click.get_current_context().find_root().params
    own = {name: given.pop(name) for name in COMMON_OPTIONS}
    return {**above, **_given(own)}


def _given(options: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        name: value for name, value in options.items() if value is not None and value is not False
    }


def _asked(options: Mapping[str, Any], context: click.Context) -> Asked:
    surroundings = context.ensure_object(Surroundings)
    timeout_s = options.get("timeout_s")
    environment = surroundings.environment
    return Asked(
        options.get("gateway") or configured(environment).grpc_address,
        _token(options, environment),
        _checked_account(options.get("account") or environment.get(ACCOUNT_ENV, "")),
        TIMEOUT_S if timeout_s is None else timeout_s,
        options.get("as_json", False),
        surroundings,
        _tls(environment),
    )


def _tls(environment: Mapping[str, str]) -> TlsFiles | None:
    """The files of the configuration, once they are known to be good."""
    files = client_files(configured(environment))
    try:
        if files is not None:
            read(files)
    except ConfigurationError as error:
        raise Ended(Ending.USAGE, "; ".join(error.mistakes)) from None
    return files


def _token(options: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """What is given; else the admin token, where the command stands on the gateway's machine."""
    if given := options.get("token") or environment.get(TOKEN_ENV, ""):
        return _checked_token(given)
    settings = configured(environment)
    try:
        return admin_token(settings.admin_token, settings.admin_token_file)
    except ConfigurationError as error:
        raise Ended(Ending.USAGE, "; ".join(error.mistakes)) from None


def _checked_token(text: str) -> str:
    try:
        return check_token(text)
    except InvalidArgument as error:
        raise Ended(Ending.USAGE, str(error)) from None


def _checked_account(text: str) -> str:
    try:
        return check_account(text) if text else ""
    except InvalidArgument as error:
        raise Ended(Ending.USAGE, str(error)) from None


def configured(environment: Mapping[str, str]) -> UpSettings:
    """What `kvctl up` would be told in the same environment."""
    try:
        return load(UpSettings, "kvctl", read_sources((), environment, "kvctl")).settings
    except SettingsError as error:
        raise Ended(Ending.USAGE, "; ".join(error.mistakes)) from None
