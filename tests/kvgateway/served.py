"""A whole gateway over two homes in memory, without a front door."""

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from kvgateway.data_path.gateway import Gateway
from kvgateway.data_path.lists import Lister
from kvgateway.data_path.lookups import Lookups
from tandem.core.key import Key
from tandem.core.namespace import Namespace, SettingsChange
from tandem.core.request import Put, Read, ReadResult, Written
from tandem.errors import TandemError
from tests.kvgateway.one_gateway import TwoHomes
from tests.kvgateway.registry.administration import Administration

_Result = TypeVar("_Result", ReadResult, Written)


class Served(Administration):
    """A whole gateway over two homes."""

    def __init__(self, homes: TwoHomes, number: int = 1) -> None:
        super().__init__(homes, number)
        self.lookups = Lookups(self.registry, homes.clock)
        self.door = Gateway(
            registry=self.registry,
            reader=self.gateway.reader,
            writer=self.gateway.writer,
            lister=Lister(
                homes=homes.by_side,
                machine=self.gateway.machine,
                reader=self.gateway.reader,
                time=self.gateway.time,
                view=self.view,
            ),
            lookups=self.lookups,
        )

    async def created(self, title: str) -> Namespace:
        return await self.namespaces.create(title, SettingsChange())

    async def read(self, *keys: Key) -> list[ReadResult | TandemError]:
        return await heard(self.door.read([Read(key) for key in keys]))

    async def put(self, *keys: Key) -> list[Written | TandemError]:
        return await heard(self.door.write([Put(key, b"v") for key in keys]))


async def heard(
    answers: Sequence[_Result | TandemError | asyncio.Future[_Result]],
) -> list[_Result | TandemError]:
    heard: list[_Result | TandemError] = []
    for answer in answers:
        if isinstance(answer, asyncio.Future):
            try:
                heard.append(await answer)
            except TandemError as error:
                heard.append(error)
        else:
            heard.append(answer)
    return heard
