"""What a quota refuses is answered a little later: a connection that asks again at once, whatever
it is told, gets refusals at that pace and leaves the worker to others."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from tandem.runtime.httpd import Answer, Later, Response

REFUSAL_PAUSE_S: Final = 0.1
"""Of a second at least, which is the least that `Retry-After` can ask for."""
_TOO_MANY_REQUESTS: Final = 429


def unhurried(answer: Answer) -> Answer:
    """The answer; one that a quota refuses is held back."""
    match answer:
        case Response():
            return _held_back(answer) if answer.status == _TOO_MANY_REQUESTS else answer
        case Later(outcome, made):
            return Later(outcome, partial(_made, made))
        case _:
            return _awaited(answer)


def _made(made: Callable[[asyncio.Future[Any]], Answer], outcome: asyncio.Future[Any]) -> Answer:
    return unhurried(made(outcome))


async def _awaited(answer: Awaitable[Response]) -> Response:
    response = await answer
    return await _held_back(response) if response.status == _TOO_MANY_REQUESTS else response


async def _held_back(response: Response) -> Response:
    await asyncio.sleep(REFUSAL_PAUSE_S)
    return response
