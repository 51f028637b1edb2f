"""The system records of one gateway over two homes in memory."""

from contextlib import AbstractAsyncContextManager, nullcontext

from kvgateway.homes.trust import Trust
from kvgateway.registry.book import RecordBook
from kvgateway.registry.changes import RecordChanges
from kvgateway.registry.form import NAMESPACES, TOKENS
from kvgateway.registry.namespace_changes import Namespaces
from kvgateway.registry.namespaces import Registry
from kvgateway.registry.records import SystemRecords
from kvgateway.registry.tokens import Tokens
from kvgateway.registry.view import RegisteredView
from tandem.core.namespace import Namespace
from tandem.core.token import Token
from tests.kvgateway.one_gateway import OneGateway, TwoHomes
from tests.kvgateway.registry.memory_copy import MemoryCopy


class Unclaimed:
    """Lets everybody change what they like, at once."""

    def alone(self, namespace_id: str) -> AbstractAsyncContextManager[None]:
        return nullcontext()


class Administration:
    """The namespaces and tokens as one gateway sees and changes them."""

    def __init__(
        self,
        homes: TwoHomes,
        number: int = 1,
        file: MemoryCopy[Namespace] | None = None,
        token_file: MemoryCopy[Token] | None = None,
    ) -> None:
        self.file = file or MemoryCopy(NAMESPACES)
        self.a_home_is_out = False
        self.switched_off_elsewhere = False
        """Another worker of the machine has switched a home off; this one has not looked yet."""
        self.trust = Trust()
        self.view = RegisteredView(self.trust)
        self.gateway = OneGateway(
            homes.by_side,
            homes.clock,
            number=number,
            view=self.view,
        )
        self.registry = Registry(
            homes=homes.by_side,
            reader=self.gateway.reader,
            clock=homes.clock,
            file=self.file,
            home_is_out=lambda: self.a_home_is_out,
        )
        self.view.go_by(self.registry, lambda: True)
        self.token_file = token_file or MemoryCopy(TOKENS)
        self.token_records: SystemRecords[Token] = SystemRecords(
            homes=homes.by_side,
            reader=self.gateway.reader,
            clock=homes.clock,
            file=self.token_file,
            form=TOKENS,
            book=RecordBook(),
        )
        self.tokens = Tokens(
            records=self.token_records,
            changes=RecordChanges(
                self.token_records, TOKENS, self.gateway.writer, self.look_at_switches
            ),
            time=self.gateway.time,
            entropy=self.gateway.entropy,
        )
        self.namespaces = Namespaces(
            registry=self.registry,
            changes=RecordChanges(
                self.registry, NAMESPACES, self.gateway.writer, self.look_at_switches
            ),
            time=self.gateway.time,
            entropy=self.gateway.entropy,
            claims=Unclaimed(),
        )

    def look_at_switches(self) -> None:
        """What the keeper does with the file of the switches."""
        self.a_home_is_out |= self.switched_off_elsewhere

    async def titles(self) -> list[str]:
        return [namespace.title for namespace in await self.namespaces.list()]
