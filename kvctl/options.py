"""The options that every command has, and what is asked where one is not given."""

import enum
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import click

from kvctl.asking import Asked, Surroundings
from kvctl.endings import Ended, Ending
from kvctl.settings import UpSettings
from tandem.client.arguments import TIMEOUT_S_MOST
from tandem.client.channel import check_token
from tandem.core.access import check_account
from tandem.errors import ConfigurationError, InvalidArgument
from tandem.runtime.local_tokens import admin_token
from tandem.runtime.settings import (
    ADDRESS,
    DURATION_S,
    Kind,
    Loaded,
    SettingsError,
    load,
    read_sources,
)
from tandem.runtime.tls import TlsFiles
from tandem.runtime.tls.configured import client_files
from tandem.runtime.tls.files import read

_COMMON: Final = ("gateway", "crawler", "token", "account", "timeout_s", "as_json")
"""All that `Asked` is made from; few commands have --crawler."""
TIMEOUT_S: Final = 10.0
TOKEN_ENV: Final = "TANDEM_TOKEN"
ACCOUNT_ENV: Final = "TANDEM_ACCOUNT"
EVERY_MIN_S: Final = 0.1

_GATEWAY_HELP: Final = "Where the gateway's gRPC port is. [default: TANDEM_GRPC, or 127.0.0.1:8781]"
_TIMEOUT_HELP: Final = "How long one answer may take, such as 500ms or 30s. [default: 10s]"
_TOKEN_HELP: Final = "What opens the gateway. [default: TANDEM_TOKEN, or the admin token]"
_ACCOUNT_HELP: Final = "Whose namespaces are meant. [default: TANDEM_ACCOUNT, or the token's own]"
_GATEWAYS_HELP: Final = (
    "Where a gateway's gRPC port is; again for each gateway. [default: TANDEM_GRPC, or"
    " 127.0.0.1:8781]"
)
_JSON_HELP: Final = "Print JSON: one object, or one object a line."

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Command = TypeVar("_Command", bound=Callable[..., Any])


def form(kind: Kind[_T]) -> Callable[[str], _T]:
    """What makes an option take a value in one of the forms that settings have."""

    def parse(text: str) -> _T:
        try:
            return kind.parse(text)
        except (ValueError, OverflowError):
            raise click.BadParameter(f'"{text}": expected {kind.expected}') from None

    parse.__name__ = kind.metavar  # what the help shows
    return parse


def one_of(kind: type[enum.Enum]) -> Mapping[str, Any]:
    """What makes an option or argument take the value of a member, and hand the member on."""
    return {
        "type": click.Choice([member.value for member in kind]),
        "callback": lambda _context, _option, value: None if value is None else kind(value),
    }


def token(text: str) -> str:
    """The value of an option that takes a token."""
    try:
        return check_token(text)
    except InvalidArgument as error:
        raise click.BadParameter(error.message) from None


class Number(click.FloatRange):
    """A number within bounds; in click's own everything is within which is no number."""

    def convert(
        self,
        value: Any,  # noqa: ANN401 - as click has it
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """As click's."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


def timeout(text: str) -> float:
    """The value of --timeout, in seconds."""
    seconds = form(DURATION_S)(text)
    if not seconds:
        raise click.BadParameter(f'"{text}": in no time nobody answers')
    return min(seconds, TIMEOUT_S_MOST)


timeout.__name__ = DURATION_S.metavar


def looks_every(help_text: str) -> Callable[[_Command], _Command]:
    """Gives a command that looks again and again the option --every; a pause too short to breathe
    is refused."""

    def pause(text: str) -> float:
        pause_s = form(DURATION_S)(text)
        if pause_s < EVERY_MIN_S:
            raise click.BadParameter(f"{pause_s:g}s is less than {EVERY_MIN_S}s")
        return pause_s

    pause.__name__ = DURATION_S.metavar
    return click.option(
        "--every", "every_s", type=pause, default="1s", show_default=True, help=help_text
    )


def asks(
    command: Callable[Concatenate[Asked, _P], None],
) -> Callable[_P, None]:
    """Gives a command --gateway, --token, --account, --timeout and --json, and hands it what they
    say as `Asked`.

    The same options before the command's name count too; the command's own win.
    """

    @common_options
    @functools.wraps(command)
    def asking(*args: _P.args, **given: _P.kwargs) -> None:
        options = _options(given)
        command(_asked(options, click.get_current_context()), *args, **given)

    return asking


def asks_each(
    command: Callable[Concatenate[Sequence[Asked], _P], None],
) -> Callable[_P, None]:
    """The same for a command that asks several gateways: --gateway may be given again and again."""

    @click.option("--gateway", type=form(ADDRESS), multiple=True, help=_GATEWAYS_HELP)
    @_other_options
    @functools.wraps(command)
    def asking(*args: _P.args, **given: _P.kwargs) -> None:
        gateways = tuple(dict.fromkeys(given["gateway"])) or (None,)  # type: ignore[call-overload]
        options, context = _options({**given, "gateway": None}), click.get_current_context()
        rest = {name: value for name, value in given.items() if name not in _COMMON}
        asked = [_asked({**options, **_given({"gateway": one})}, context) for one in gateways]
        command(asked, *args, **rest)  # type: ignore[arg-type]

    return asking


def common_options(command: Callable[_P, None]) -> Callable[_P, None]:
    """Gives a command --gateway, --token, --account, --timeout and --json."""
    return click.option("--gateway", type=form(ADDRESS), help=_GATEWAY_HELP)(
        _other_options(command)
    )


def _other_options(command: Callable[_P, None]) -> Callable[_P, None]:
    for option in (
        click.option("--json", "as_json", is_flag=True, help=_JSON_HELP),
        click.option("--timeout", "timeout_s", type=timeout, help=_TIMEOUT_HELP),
        click.option("--account", help=_ACCOUNT_HELP),
        click.option("--token", help=_TOKEN_HELP),
    ):
        command = option(command)
    return command


def _options(given: dict[str, Any]) -> Mapping[str, Any]:
    """The common options, taken out of what a command was given: its own before those above it."""
    above = click.get_current_context().find_root().params
    own = {name: given.pop(name, None) for name in _COMMON}
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
        options.get("crawler"),
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
    return loaded(environment).settings


def loaded(environment: Mapping[str, str]) -> Loaded[UpSettings]:
    """The same, with where each comes from."""
    try:
        return load(UpSettings, "kvctl", read_sources((), environment, "kvctl"))
    except SettingsError as error:
        raise Ended(Ending.USAGE, "; ".join(error.mistakes)) from None
