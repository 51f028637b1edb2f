"""How a command ends: the exit statuses, and what each failure tells its reader to do."""

import enum
from typing import IO, Any, Final

import click
import grpc

from tandem.core.quota import QUOTA_FIELDS
from tandem.errors import (
    InvalidArgument,
    NamespaceExists,
    NamespaceNotFound,
    Overloaded,
    PermissionDenied,
    QuotaExceeded,
    TandemError,
    TokenNotFound,
    Unauthenticated,
    Unavailable,
)
from tandem.runtime.rpc_words import in_words
from tandem.runtime.settings import Address
from tandem.wire.status import NO_ANSWER

STATUSES_TEXT = """\
\b
Exit status:
  0    done, or the answer is yes
  1    the answer is no: not found, not equal, something failed
  2    the command was given wrongly; nothing was done
  3    no gateway answers, or it cannot reach what it needs
  4    drift was found
  5    a breaker is open: repair waits for a person
  130  interrupted
"""


_FLAGS: Final = {
    "expiration_ttl_s": "--ttl",
    "expires_at_s": "--expires-at",
    "metadata": "--metadata",
    "ttl": "--expires",
    "ttl_s": "--expires",
    **{limit: f"--{limit.replace('_', '-')}" for limit in QUOTA_FIELDS},
}
"""The flags that give what a request calls otherwise."""


class Ending(enum.IntEnum):
    """The exit statuses of `kvctl`."""

    OK = 0
    NEGATIVE = 1
    USAGE = 2
    UNAVAILABLE = 3
    DRIFT = 4
    BREAKER = 5
    INTERRUPTED = 130


class Ended(click.ClickException):
    """Ends the command with one message on standard error."""

    def __init__(self, ending: Ending, message: str) -> None:
        super().__init__(message)
        self.ending = ending

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # click's is a plain attribute
        """What the process exits with."""
        return int(self.ending)

    def show(self, file: IO[Any] | None = None) -> None:
        """Prints the message; bytes of a name that are no UTF-8 are shown as escapes."""
        text = f"kvctl: {self.message}\n"
        click.echo(text.encode(errors="backslashreplace"), nl=False, err=True, file=file)


def negative() -> click.exceptions.Exit:
    """The end of a command whose answer, already printed, is no."""
    return click.exceptions.Exit(int(Ending.NEGATIVE))


def unreachable(gateway: Address, why: str) -> Ended:
    """Nobody listens at the gateway's address."""
    return Ended(
        Ending.UNAVAILABLE,
        f"no gateway at {gateway}: {why}\n"
        "Start one with `kvctl up`, or name another one with --gateway HOST:PORT or TANDEM_GRPC.",
    )


def ending_of(error: TandemError, gateway: Address) -> Ended:
    """What a failed call means for the command."""
    match error:
        case InvalidArgument():
            return Ended(Ending.USAGE, f"{_FLAGS.get(error.field, error.field)}: {error.message}")
        case NamespaceExists():
            return Ended(
                Ending.NEGATIVE, f"{error}; `kvctl namespace list` shows all, with their ids"
            )
        case NamespaceNotFound():
            return Ended(Ending.NEGATIVE, str(error))
        case TokenNotFound():
            return Ended(Ending.NEGATIVE, f"{error}; `kvctl token list` shows all, with their ids")
        case Unauthenticated():
            return Ended(
                Ending.NEGATIVE,
                f"the gateway at {gateway} did not let you in: {error}\n"
                "Give a token with --token or TANDEM_TOKEN; an admin makes one with"
                " `kvctl token create`.",
            )
        case PermissionDenied():
            return Ended(
                Ending.NEGATIVE,
                f"not allowed: {error}\n"
                "Use another token, or have an admin make one that may: `kvctl token create`.",
            )
        case QuotaExceeded():
            return Ended(
                Ending.UNAVAILABLE,
                f"{error}; try again in {error.retry_after_s:.3g} s",
            )
        case Overloaded():
            return Ended(
                Ending.UNAVAILABLE, f"the gateway at {gateway} has too much to do: {error}"
            )
        case Unavailable() if "failed to connect" in str(error):  # gRPC's words
            return Ended(
                Ending.UNAVAILABLE,
                f"the gateway at {gateway} takes no connection: {in_words(str(error))}\n"
                "Is that its gRPC port (8781 by default)? If it speaks TLS, TANDEM_TLS_CA names its"
                " authority, and TANDEM_TLS_CERTIFICATE and _KEY are what it may ask for.",
            )
        case Unavailable() if str(error).startswith(NO_ANSWER):
            return Ended(
                Ending.UNAVAILABLE,
                f"the gateway at {gateway} did not answer in time; what was to be changed may still"
                " be changed\n"
                "Wait longer with --timeout; `kvctl status` shows which home is in trouble.",
            )
        case TandemError() if grpc.StatusCode.UNIMPLEMENTED.name in str(error):
            return Ended(
                Ending.UNAVAILABLE,
                f"at {gateway} is no gateway, or one of another version: {error}\n"
                "Name the gateway's gRPC port (8781 by default) with --gateway or TANDEM_GRPC.",
            )
        case _:
            return Ended(
                Ending.UNAVAILABLE,
                f"the gateway at {gateway} could not answer: {error}\n"
                "`kvctl status` shows which home is in trouble.",
            )
