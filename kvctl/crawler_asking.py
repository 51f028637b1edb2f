"""The option that names the crawler, and the way from a command to it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Concatenate, Final, ParamSpec, TypeVar

import click
import grpc

from kvctl.asking import Asked, no_way_to
from kvctl.endings import Ended, Ending, ending_of
from kvctl.options import asks, asks_each, configured, form, loaded
from tandem.client.crawler import CrawlerClient
from tandem.errors import (
    InvalidArgument,
    Overloaded,
    TandemError,
    Unauthenticated,
    Unavailable,
)
from tandem.runtime.listening import is_here
from tandem.runtime.rpc_words import in_words
from tandem.runtime.settings import ADDRESS, Address
from tandem.wire.status import NO_ANSWER

_CRAWLER: Final = click.option(
    "--crawler",
    type=form(ADDRESS),
    help="Where the crawler is. [default: TANDEM_CRAWLER, or 127.0.0.1:8783]",
)

_P = ParamSpec("_P")
_T = TypeVar("_T")


def asks_crawler(
    command: Callable[Concatenate[Asked, _P], None],
) -> Callable[_P, None]:
    """Gives a command --crawler beside the common options; `Asked.gateway` is the gateway still,
    and `crawler_of` tells where the crawler is."""
    return asks(_CRAWLER(command))


def asks_crawler_and_each(
    command: Callable[Concatenate[Sequence[Asked], _P], None],
) -> Callable[_P, None]:
    """The same for a command that asks several gateways: --gateway may be given again and again."""
    return asks_each(_CRAWLER(command))


def crawler_of(asked: Asked) -> Address:
    """Where the crawler is."""
    return asked.crawler or configured(asked.surroundings.environment).crawler_address


def gateways_crawler(asked: Asked) -> Address | None:
    """Where the crawler is that finds what the gateway does not know; None where that is not told
    and the gateway is another machine's: one that is here may be of another store."""
    given = loaded(asked.surroundings.environment).is_given("crawler_address")
    told = given or asked.crawler is not None
    return crawler_of(asked) if told or is_here(asked.gateway.host) else None


def ask_crawler(asked: Asked, work: Callable[[CrawlerClient], Awaitable[_T]]) -> _T:
    """Sees `work` through with a client of the crawler; every failure becomes an `Ended`."""
    address = crawler_of(asked)

    async def asking() -> _T:
        if why := await no_way_to(address, asked.timeout_s):
            raise _absent(address, why)
        try:
            client = CrawlerClient(
                str(address), token=asked.token, tls=asked.tls, timeout_s=asked.timeout_s
            )
            async with client as crawler:
                return await work(crawler)
        except TandemError as error:
            raise _ending_of(error, address) from None

    return asked.complete(asking)


def _absent(address: Address, why: str) -> Ended:
    return Ended(
        Ending.UNAVAILABLE,
        f"no crawler at {address}: {why}\n"
        "Start one with `kvctl up` or `crawler`, or name another one with --crawler"
        " HOST:PORT or TANDEM_CRAWLER.",
    )


def _ending_of(error: TandemError, address: Address) -> Ended:
    """What a failed call of the crawler means for the command."""
    match error:
        case InvalidArgument():
            return ending_of(error, address)
        case Unauthenticated():
            return Ended(
                Ending.NEGATIVE,
                f"the crawler at {address} did not let you in: {error}\n"
                "Give its admin token with --token or TANDEM_TOKEN.",
            )
        case Unavailable() if str(error).startswith(NO_ANSWER):
            return Ended(
                Ending.UNAVAILABLE,
                f"the crawler at {address} did not answer in time\n"
                "Wait longer with --timeout; its log says what it does.",
            )
        case Unavailable():
            return _absent(address, in_words(str(error)))
        case Overloaded():
            return Ended(
                Ending.UNAVAILABLE, f"the crawler at {address} has too much to do: {error}"
            )
        case TandemError() if grpc.StatusCode.UNIMPLEMENTED.name in str(error):
            return Ended(
                Ending.UNAVAILABLE,
                f"at {address} is no crawler, or one of another version: {error}\n"
                "Name the crawler's port (8783 by default) with --crawler or TANDEM_CRAWLER.",
            )
        case _:
            return Ended(
                Ending.UNAVAILABLE,
                f"the crawler at {address} could not answer: {error}\nIts log says why.",
            )
