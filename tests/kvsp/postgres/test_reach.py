"""What is asked again, what is not, what it says of the database, and what it leaves behind."""

import pytest

from kvsp.postgres.connecting import Connection
from tandem.core.reply import Failed, Reason, Stored
from tests.kvsp.postgres.conftest import Serving
from tests.kvsp.records import put, value

SERIALIZATION, DEADLOCK, DIVISION = "40001", "40P01", "22012"


class Raising:
    """A question, or a step of a transaction, that ends so often in one of PostgreSQL's errors."""

    def __init__(self, code: str, failures: int) -> None:
        self._raises = f"do $$ begin raise exception using errcode = '{code}'; end $$"
        self._failures = failures
        self.asked = 0

    async def __call__(self, connection: Connection, _now_us: int = 0) -> str:
        self.asked += 1
        if self.asked <= self._failures:
            await connection.execute(self._raises)
        return "an answer"


@pytest.mark.parametrize("way", ["question", "step"])
@pytest.mark.parametrize(
    ("code", "failures", "asked"),
    [
        (SERIALIZATION, 1, 2),
        (DEADLOCK, 2, 3),
        (SERIALIZATION, 3, 3),
        (DIVISION, 1, 1),
    ],
)
async def test_what_came_to_nothing_for_no_fault_of_its_own_is_asked_three_times(
    serving: Serving, code: str, failures: int, asked: int, way: str
) -> None:
    [cluster] = (await serving()).clusters
    raising = Raising(code, failures)
    ask = cluster._reach.ask if way == "question" else cluster._desk.one
    answer = await ask(raising)
    assert raising.asked == asked
    if asked > failures:
        assert answer == "an answer"
    else:
        assert isinstance(answer, Failed)
        assert answer.reason is Reason.ERROR
    assert cluster.failure is None, "a question that fails is none of the database's"
    assert await cluster.write([put("key", value())]) == [Stored(0)]


async def test_a_connection_hears_of_no_transaction_but_its_own(serving: Serving) -> None:
    """Whoever listened to each one for ever would fill the memory."""
    [cluster] = (await serving()).clusters
    for number in range(3):
        assert await cluster.write([put(f"key-{number}", value())]) == [Stored(0)]
    async with cluster._reach.writing.one() as connection:
        assert not connection._log_listeners  # type: ignore[attr-defined]  # it does not tell
