"""The administration of namespaces, as the client library offers it."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, TypedDict, Unpack

from tandem.client.arguments import account_name, check_kind, check_text
from tandem.client.channel import GatewayChannel
from tandem.client.retries import Asking, Retries
from tandem.core.key import is_namespace_id
from tandem.core.mode import Mode
from tandem.core.mode_step import ModeReport
from tandem.core.namespace import (
    Namespace,
    SettingsChange,
    check_namespace_id,
    check_plain_title,
    check_title,
)
from tandem.core.reading import ReadMode
from tandem.core.write_race import AckPolicy
from tandem.errors import NamespaceExists, NamespaceNotFound
from tandem.wire.mode_codec import mode_message
from tandem.wire.namespace_codec import change_message, mode_report_of, namespace_of
from tandem.wire.v1 import namespaces_pb2, namespaces_pb2_grpc


class Changes(TypedDict, total=False):
    """Settings by name; one that is left out, or None, stays as it is. Limits are what each gateway
    machine lets through, and 0 is no limit."""

    ack_policy: AckPolicy | None
    read_mode: ReadMode | None
    operations_per_s: int | None
    bytes_per_s: int | None
    """Of values and metadata, written and read."""
    large_bodies_max: int | None
    """Values above 1 MiB that are sent at the same time."""
    key_write_interval: bool | None
    """One write a second for each key, as Workers KV has it."""


class FirstSettings(Changes, total=False):
    """The same for a new namespace, whose mode may be given too."""

    mode: Mode | None
    """Which homes it is kept in; later it changes by steps."""


_KINDS: Final[Mapping[str, type]] = {
    "ack_policy": AckPolicy,
    "read_mode": ReadMode,
    "operations_per_s": int,
    "bytes_per_s": int,
    "large_bodies_max": int,
    "key_write_interval": bool,
    "mode": Mode,
}


class Namespaces:
    """Creates, finds and changes namespaces.

    Methods that take a namespace accept its id or its title. Each raises InvalidArgument,
    NamespaceNotFound or NamespaceExists where it says so by its name, and Unavailable when the
    gateway could not answer; after Unavailable, `create` may have happened. An `account` that is
    not given is the client's.
    """

    def __init__(
        self, channel: GatewayChannel, retries: Retries, timeout_s: float, account: str
    ) -> None:
        self._stub = namespaces_pb2_grpc.NamespacesStub(channel)
        self._ask = Asking(retries, timeout_s)
        self._account = account

    async def create(
        self, title: str, *, account: str | None = None, **settings: Unpack[FirstSettings]
    ) -> Namespace:
        """Creates a namespace; NamespaceExists when another one of the account has the title."""
        request = namespaces_pb2.CreateNamespaceRequest(
            title=check_plain_title(check_text(title, "title")),
            settings=_message(settings),
            account=self._account_of(account),
        )
        reply = await self._ask(self._stub.CreateNamespace, request, title, repeatable=False)
        return namespace_of(reply)

    async def list(
        self, *, account: str | None = None, all_accounts: bool = False
    ) -> Sequence[Namespace]:
        """The namespaces of an account, or of all that the client reaches, by title."""
        request = namespaces_pb2.ListNamespacesRequest(
            account="" if all_accounts else self._account_of(account), all_accounts=all_accounts
        )
        reply = await self._ask(self._stub.ListNamespaces, request, "", repeatable=True)
        return [namespace_of(message) for message in reply.namespaces]

    async def get(self, namespace: str, *, account: str | None = None) -> Namespace:
        """The namespace with this id or title; NamespaceNotFound when there is none.

        Text of 32 lower-case hex digits is an id.
        """
        if is_namespace_id(check_text(namespace, "namespace")):
            request = namespaces_pb2.GetNamespaceRequest(id=namespace)
        else:
            request = namespaces_pb2.GetNamespaceRequest(
                title=check_title(namespace), account=self._account_of(account)
            )
        reply = await self._ask(self._stub.GetNamespace, request, namespace, repeatable=True)
        return namespace_of(reply)

    async def rename(self, namespace: str, title: str) -> Namespace:
        """Gives a namespace another title; NamespaceExists when another one has it."""
        request = namespaces_pb2.RenameNamespaceRequest(
            id=await self.id_of(namespace), title=check_plain_title(check_text(title, "title"))
        )
        try:
            reply = await self._ask(self._stub.RenameNamespace, request, namespace, repeatable=True)
        except NamespaceExists:
            raise NamespaceExists(title) from None
        return namespace_of(reply)

    async def configure(self, namespace: str, **settings: Unpack[Changes]) -> Namespace:
        """Changes settings."""
        request = namespaces_pb2.ConfigureNamespaceRequest(
            id=await self.id_of(namespace),
            settings=_message(settings),
        )
        reply = await self._ask(self._stub.ConfigureNamespace, request, namespace, repeatable=True)
        return namespace_of(reply)

    async def delete(self, namespace: str) -> None:
        """Deletes a namespace with all its keys, for good."""
        request = namespaces_pb2.DeleteNamespaceRequest(id=await self.id_of(namespace))
        # It was there a moment ago: when it is not now, this call or its first try did it.
        with suppress(NamespaceNotFound):
            await self._ask(self._stub.DeleteNamespace, request, namespace, repeatable=True)

    async def mode(self, namespace: str, wanted: Mode | None = None) -> ModeReport:
        """Where it is between one home and both, what each gateway says of it, and what a step to
        `wanted` would need and change; InvalidArgument for one that no step leads to."""
        check_kind(wanted, Mode, "wanted")
        request = namespaces_pb2.GetNamespaceModeRequest(
            id=await self.id_of(namespace),
            wanted=None if wanted is None else mode_message(wanted),
        )
        reply = await self._ask(self._stub.GetNamespaceMode, request, namespace, repeatable=True)
        return mode_report_of(reply)

    async def step(
        self, namespace: str, wanted: Mode, *, mode_epoch: int, force: bool = False
    ) -> ModeReport:
        """Takes one step from the mode of this epoch, if nothing stands in its way: the report
        says whether, and what does. `force` sets aside whatever is not lasting.

        After Unavailable the step may have been taken.
        """
        check_kind(wanted, Mode, "wanted")
        request = namespaces_pb2.StepNamespaceModeRequest(
            id=await self.id_of(namespace),
            wanted=mode_message(wanted),
            mode_epoch=mode_epoch,
            force=force,
        )
        reply = await self._ask(self._stub.StepNamespaceMode, request, namespace, repeatable=False)
        return mode_report_of(reply)

    async def id_of(self, namespace: str) -> str:
        """The id behind an id or a title; an id is not looked up."""
        if is_namespace_id(check_text(namespace, "namespace")):
            return check_namespace_id(namespace)
        return (await self.get(namespace)).id

    def _account_of(self, given: str | None) -> str:
        """What a request says: nothing when the gateway is to take the token's."""
        return self._account if given is None else account_name(given)


def _message(settings: Changes | FirstSettings) -> namespaces_pb2.NamespaceSettings:
    for field, value in settings.items():
        check_kind(value, _KINDS.get(field, object), field)
    return change_message(SettingsChange(**settings))
