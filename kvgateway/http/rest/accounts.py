"""What Cloudflare's clients ask about themselves: whether a token works, and which accounts it
reaches. An account is a name that a namespace was created under; nobody creates accounts, and there
are no users."""

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

    async def user(self, call: Call) -> Response:
        """Whom the credential lets in; nobody has an e-mail address here."""
        return success({"id": call.caller.grant.holder})

    async def list(self, call: Call) -> Response:
        """The accounts within the caller's reach."""
        page = page_of(call, await _within_reach(call))
        return success(page.items, page.info)

    async def memberships(self, call: Call) -> Response:
        """The same accounts, as wrangler asks for them where no account is set."""
        role = call.caller.grant.permission.name.lower()
        found = [
            {"id": account["id"], "account": account, "status": "accepted", "roles": [role]}
            for account in await _within_reach(call)
        ]
        page = page_of(call, found)
        return success(page.items, page.info)


async def _within_reach(call: Call) -> list[dict[str, str]]:
    own = call.caller.grant.account
    names = {own} if own is not None else {DEFAULT_ACCOUNT}
    if own is None:
        names |= {namespace.account for namespace in await call.caller.namespaces.list()}
    return [{"id": name, "name": name, "type": "standard"} for name in sorted(names)]
