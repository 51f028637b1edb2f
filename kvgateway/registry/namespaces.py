"""Which namespaces there are and how each is written and read, as this gateway knows it."""

from collections.abc import Callable, Mapping

from kvgateway.data_path.reads import Reader
from kvgateway.registry.form import NAMESPACES
from kvgateway.registry.namespace_book import NamespaceBook
from kvgateway.registry.records import CopyFile, SystemRecords
from tandem.backends.port import Backend
from tandem.core.key import RESERVED_NAMESPACES
from tandem.core.mode import ACTIVE, Mode
from tandem.core.namespace import Namespace, check_namespace_id
from tandem.core.reading import ReadMode
from tandem.core.reply import Side
from tandem.core.write_race import AckPolicy
from tandem.errors import NamespaceNotFound
from tandem.runtime.clock import Clock


class Registry(SystemRecords[Namespace]):
    """The namespaces; `run` is its one task."""

    book: NamespaceBook

    def __init__(
        self,
        *,
        homes: Mapping[Side, Backend],
        reader: Reader,
        clock: Clock,
        file: CopyFile[Namespace],
        home_is_out: Callable[[], bool],
    ) -> None:
        super().__init__(
            homes=homes,
            reader=reader,
            clock=clock,
            file=file,
            form=NAMESPACES,
            book=NamespaceBook(),
        )
        self._home_is_out = home_is_out

    def policy_of(self, namespace_id: str) -> AckPolicy:
        """How writes to a namespace are acknowledged: as it is set, or the default if not known.

        The reserved ones need both homes, unless one is switched off for writes.
        """
        namespace = self.book.get(namespace_id)
        if namespace is not None:
            return namespace.settings.ack_policy
        if namespace_id in RESERVED_NAMESPACES and not self._home_is_out():
            return AckPolicy.BOTH
        return AckPolicy.FIRST_INTENT

    def read_mode_of(self, namespace_id: str) -> ReadMode:
        """Which homes answer reads of a namespace; both for reserved and unknown ones."""
        namespace = self.book.get(namespace_id)
        return ReadMode.RACE if namespace is None else namespace.settings.read_mode

    def mode_of(self, namespace_id: str) -> Mode:
        """Which homes a namespace is written to, and which of them answer; both for reserved and
        unknown ones."""
        namespace = self.book.get(namespace_id)
        return ACTIVE if namespace is None else namespace.settings.mode

    async def resolve(self, namespace_id: str) -> Namespace:
        """The namespace, asked for in both homes when it is not known here.

        Raises NamespaceNotFound when both homes miss it, or it is deleted or reserved;
        InvalidArgument when it has not the form of an id; Unavailable when a home that could have
        it does not answer.
        """
        found = self.book.get(namespace_id) or await self.find(check_namespace_id(namespace_id))
        if found is None:
            raise NamespaceNotFound(namespace_id)
        return found
