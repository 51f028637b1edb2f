"""What Cloudflare's clients ask about themselves: whether a token works, and whose accounts there
are. An account is a name that a namespace was created under; nobody creates accounts."""

from kvgateway.http.rest.call import Call
from kvgateway.http.rest.envelope import success
from kvgateway.http.rest.pages import page_of
from tandem.core.access import DEFAULT_ACCOUNT
from tandem.runtime.httpd import Response


class Accounts:
    """The operations that name no account."""

    async def verify(self, call: Call) -> Response:
        """Says that the credential is valid, and whose it is."""
        return success({"id": call.caller.grant.holder, "status": "active"})

    async def list(self, call: Call) -> Response:
        """The accounts within the caller's reach."""
        own = call.caller.grant.account
        names = {own} if own is not None else {DEFAULT_ACCOUNT}
        if own is None:
            names |= {namespace.account for namespace in await call.caller.namespaces.list()}
        accounts = [{"id": name, "name": name, "type": "standard"} for name in sorted(names)]
        page = page_of(call, accounts)
        return success(page.items, page.info)
