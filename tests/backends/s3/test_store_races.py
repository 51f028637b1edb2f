"""Many writers of several processes on one key of the S3 home."""

import asyncio
import random
from pathlib import Path

import pytest

from tandem.core.key import Key
from tandem.core.record import Record
from tandem.core.reply import Failed, Found, Stored, Superseded, WriteReply
from tests.backends.s3.opened import opened, options, through, use_keys_of, values
from tests.servers.ministack import Ministack
from tests.servers.rgw import Rgw

KEY = Key("ab" * 16, "key")
DEADLINE_S = 20.0
RACERS = 50


@pytest.mark.parametrize("server_name", ["rgw", "ministack"])
async def test_of_many_racers_in_two_processes_the_newest_stands(
    server_name: str,
    request: pytest.FixtureRequest,
    verdicts: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server: Rgw | Ministack = request.getfixturevalue(server_name)
    use_keys_of(server, monkeypatch)
    chosen = options(server.endpoint, verdicts)
    async with opened(chosen) as left, through(left, chosen, server.endpoint) as right:
        records = values(*(b"%d" % number for number in range(RACERS)))
        shuffled = random.Random(1).sample(records, RACERS)
        replies = await asyncio.gather(
            *(
                (left, right)[number % 2].put_if_newer(KEY, record, DEADLINE_S)
                for number, record in enumerate(shuffled)
            )
        )
        for record, reply in zip(shuffled, replies, strict=True):
            if isinstance(reply, Failed):
                again = await left.put_if_newer(KEY, record, DEADLINE_S)
                assert_true(again, record, records[-1])
            else:
                assert_true(reply, record, records[-1])
        found = await right.get(KEY, DEADLINE_S)
        assert isinstance(found, Found)
        assert found.record == records[-1]


def assert_true(reply: WriteReply, record: Record, newest: Record) -> None:
    match reply:
        case Stored():
            pass
        case Superseded(version):
            assert record.version < version <= newest.version
        case _:
            pytest.fail(f"{record.value!r}: {reply}")
