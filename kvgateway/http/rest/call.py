"""One request on its way: who asks, for what, and with which parameters."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from kvgateway.http.target import whole_number
from kvgateway.service import Caller
from tandem.backends.port import Ahead
from tandem.core.access import Permission, check_account
from tandem.core.key import Key, decode_name
from tandem.core.namespace import Namespace, check_namespace_id
from tandem.errors import InvalidArgument, NamespaceNotFound
from tandem.runtime.httpd import Request


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose route is known and whose caller has been let in."""

    request: Request
    caller: Caller
    parts: Mapping[str, bytes]
    """The variable parts of the path, still encoded."""
    query: Mapping[str, str]

    @property
    def account(self) -> str:
        """The account in the path."""
        return check_account(self._part("account_id"))

    async def namespace(self) -> Namespace:
        """The namespace in the path; NamespaceNotFound when it is another account's."""
        account = self.account
        namespace_id = check_namespace_id(self._part("namespace_id"))
        namespace = await self.caller.namespaces.get(namespace_id)
        if namespace.account != account:
            raise NamespaceNotFound(namespace_id)
        return namespace

    async def writable_namespace(self) -> Namespace:
        """The same, for a request with a body: none is taken in from one who may not write."""
        namespace = await self.namespace()
        self.caller.grant.demand(Permission.WRITE, namespace.account, namespace.id)
        return namespace

    def admitted_body(self, namespace: Namespace) -> AbstractContextManager[Ahead | None]:
        """Held while the body is received and written; entering it may raise QuotaExceeded."""
        return self.caller.keyvalues.admit_body(namespace.id, self.request.content_length)

    def name(self) -> str:
        """The name of the key in the path, decoded once."""
        return decode_name(unquote_to_bytes(self.parts["key_name"]))

    async def key(self) -> Key:
        """The key in the path."""
        name = self.name()
        return Key((await self.namespace()).id, name)

    def number(self, parameter: str, field: str) -> int | None:
        """A whole number of the query, as `2.0` is one; `field` is what it is called inside."""
        text = self.query.get(parameter)
        if text is None:
            return None
        digits, _, zeros = text.partition(".")
        return whole_number(text if zeros.strip("0") else digits, field)

    def choice(self, parameter: str, choices: tuple[str, ...]) -> str:
        """One of `choices`; the first one when nothing is said."""
        chosen = self.query.get(parameter, choices[0])
        if chosen not in choices:
            raise InvalidArgument(parameter, f"must be one of {', '.join(choices)}")
        return chosen

    def _part(self, name: str) -> str:
        return unquote_to_bytes(self.parts[name]).decode("utf-8", "backslashreplace")
