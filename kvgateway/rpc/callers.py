"""Who makes a call: the one place where gRPC's metadata becomes a caller."""

from typing import Any, Final

import grpc

from kvgateway.service import Caller, Entrance
from tandem.core.access import DEFAULT_ACCOUNT, check_account
from tandem.errors import Unauthenticated

_BEARER: Final = "bearer "


class Callers:
    """Finds the caller of each call; every method of ours begins with it."""

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance

    async def of(self, context: grpc.aio.ServicerContext[Any, Any]) -> Caller:
        """The caller behind a call's credential.

        Raises what `Entrance.find` raises.
        """
        credential = _credential_of(context)
        return self._entrance.known(credential) or await self._entrance.find(credential)


def account_of(caller: Caller, named: str) -> str:
    """The account that a request means: the one that it names, or the caller's own."""
    return check_account(named) if named else caller.grant.account or DEFAULT_ACCOUNT


def _credential_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            text = value if isinstance(value, str) else value.decode("latin-1")
            if text[: len(_BEARER)].lower() != _BEARER:
                raise Unauthenticated("authorization is not of the form: Bearer TOKEN")
            return text[len(_BEARER) :].strip()
    return ""
