"""What both engines decide is what the rules say: every held record against every write."""

from itertools import product

import pytest

from kvsp.rules import Held, Write, deleted_namespace, verdict
from tandem.core.key import NAMESPACE_RECORD, SYSTEM_NAMESPACE
from tandem.core.record import Record
from tandem.core.removal import FloorReply, Span
from tandem.core.reply import Refusal, Refused, Stored, Superseded, WriteReply
from tandem.core.version import NO_VERSION, Version
from tandem.wire.storage_codec import Put
from tests.kvsp.engines import Engine
from tests.kvsp.records import NAMESPACE, START_US, get, put, tombstone, value

BODIES = (b"one body", b"another body", b"a third one")
RECORDS = [value(body, START_US + at) for at, body in product(range(3), BODIES)]
HELD: list[Record | None] = [None, *RECORDS]
FLOOR = Version.at(START_US + 1)


def name_of(held: int, written: int, over_corrupt: bool) -> str:
    return f"{held}-{written}-{over_corrupt}"


CASES = [
    (held, written, over_corrupt, floored)
    for (held, _), (written, _), over_corrupt, floored in product(
        enumerate(HELD), enumerate(RECORDS), (False, True), (False, True)
    )
]


def expected(held: Record | None, written: Put, floor: Version) -> WriteReply:
    stands = None if held is None else Held(held.version, held.digest)
    outcome = verdict(written, stands, floor)
    return Stored(0) if isinstance(outcome, Write) else outcome


@pytest.mark.parametrize("together", [True, False], ids=["in one group", "alone"])
async def test_an_engine_answers_and_holds_what_the_rules_say(
    engine: Engine, together: bool
) -> None:
    cluster = await engine.only()
    puts, answers, before = [], [], []
    for held, written, over_corrupt, floored in CASES:
        name = f"{'m' if floored else 'a'}{name_of(held, written, over_corrupt)}"
        puts.append(put(name, RECORDS[written], over_corrupt=over_corrupt))
        stands = HELD[held]
        before += [] if stands is None else [put(name, stands)]
        answers.append(expected(stands, puts[-1], FLOOR if floored else NO_VERSION))
    await cluster.write(before)
    named = (await cluster.life()).named
    assert await cluster.raise_floor(named, Span(NAMESPACE, "m"), FLOOR) is FloorReply.RAISED
    if together:
        assert await cluster.write(puts) == answers
    else:
        alone = [cluster.write([one]) for one in puts]
        assert [answer for part in alone for answer in await part] == answers
    winners = await cluster.read([get(one.key.name) for one in puts])
    stored = [one.record.envelope == found for one, found in zip(puts, winners, strict=True)]
    assert stored == [isinstance(answer, Stored) for answer in answers]


@pytest.mark.parametrize(
    ("held", "over_corrupt", "outcome"),
    [
        (None, False, Refused(Refusal.FLOOR, 0)),
        (Held(RECORDS[0].version, RECORDS[0].digest), False, Stored(0)),
        (Held(RECORDS[0].version, RECORDS[0].digest), True, Write.ROW),
        (Held(RECORDS[3].version, b""), True, Superseded(RECORDS[3].version, 0)),
        (Held(RECORDS[3].version, b"", whole=False), False, Write.ROW),
        (Held(NO_VERSION, b""), False, Write.ROW),
    ],
)
def test_a_floor_speaks_of_keys_without_a_row_only(
    held: Held | None, over_corrupt: bool, outcome: object
) -> None:
    written = put("key", RECORDS[0], over_corrupt=over_corrupt)
    assert verdict(written, held, FLOOR) == outcome


@pytest.mark.parametrize(
    ("name", "record", "namespace", "deleted"),
    [
        (f"{NAMESPACE_RECORD}{NAMESPACE}", tombstone(), SYSTEM_NAMESPACE, NAMESPACE),
        (f"{NAMESPACE_RECORD}{NAMESPACE}", value(), SYSTEM_NAMESPACE, None),
        (f"{NAMESPACE_RECORD}{NAMESPACE}", tombstone(), NAMESPACE, None),
        (f"{NAMESPACE_RECORD}no-id", tombstone(), SYSTEM_NAMESPACE, None),
        (NAMESPACE, tombstone(), SYSTEM_NAMESPACE, None),
    ],
)
def test_only_the_tombstone_of_a_namespaces_record_deletes_it(
    name: str, record: Record, namespace: str, deleted: str | None
) -> None:
    assert deleted_namespace(put(name, record, namespace=namespace)) == deleted
