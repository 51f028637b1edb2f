"""What is asked again, what is not, and what it says of the database."""

import pytest

from kvsp.postgres.connecting import Connection
from tandem.core.reply import Failed, Reason
from tests.kvsp.postgres.conftest import Serving

SERIALIZATION, DEADLOCK, DIVISION = "40001", "40P01", "22012"


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
    serving: Serving, code: str, failures: int, asked: int
) -> None:
    [cluster] = (await serving()).clusters
    asks = 0

    async def question(connection: Connection) -> str:
        nonlocal asks
        asks += 1
        if asks <= failures:
            raising = f"do $$ begin raise exception using errcode = '{code}'; end $$"
            await connection.execute(raising)
        return "an answer"

    answer = await cluster._reach.ask(question)
    assert asks == asked
    if asked > failures:
        assert answer == "an answer"
    else:
        assert isinstance(answer, Failed)
        assert answer.reason is Reason.ERROR
    assert cluster.failure is None, "a question that fails is none of the database's"
