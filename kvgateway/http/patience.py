"""What a quota refuses is answered a little later, one refusal after another.

Clients that ask again at once, whatever they are told, get refusals at that pace and leave the
worker to others. Released together, those of many connections would come back together, and others
would wait behind all of them: so there is a gap between any two. A refusal that waits costs a timer
and no task, and there is never more than one for a connection.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from tandem.runtime.httpd import App, Later, Request, Response

PAUSE_S: Final = 0.1
"""What every refusal waits for at least: of a second, the least that `Retry-After` can ask for."""
GAP_S: Final = 0.004
PAUSE_S_MAX: Final = 1.0
"""Where so many wait that the gap would keep one for longer, it is let go after this."""
_TOO_MANY_REQUESTS: Final = 429


class Patience:
    """Holds back the refusals of one worker."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._last_s = 0.0
        """When the latest of those that wait is let go, in loop time."""

    def unhurried(self, answer: Response) -> Response | Later:
        """The answer; what a quota refuses is held back."""
        if answer.status != _TOO_MANY_REQUESTS:
            return answer
        return Later(self._turn(), lambda _: answer)

    def of(self, app: Callable[[Request], Awaitable[Response]]) -> App:
        """An application, of which what a quota refuses is held back."""
        return lambda request: self._awaited(app(request))

    async def _awaited(self, answer: Awaitable[Response]) -> Response:
        response = await answer
        if response.status == _TOO_MANY_REQUESTS:
            await self._turn()
        return response

    def _turn(self) -> asyncio.Future[None]:
        """Ends when the next refusal may go."""
        now_s = self._loop.time()
        after_gap_s = max(now_s + PAUSE_S, self._last_s + GAP_S)
        self._last_s = min(after_gap_s, now_s + PAUSE_S_MAX)
        turn: asyncio.Future[None] = self._loop.create_future()
        self._loop.call_at(self._last_s, _end, turn)
        return turn


def _end(turn: asyncio.Future[None]) -> None:
    """Unless whoever waited for it was cancelled."""
    if not turn.done():
        turn.set_result(None)
