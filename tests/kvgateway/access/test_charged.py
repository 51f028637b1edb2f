"""The data path with quotas, in exact virtual time: what is let through, and what is told when."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kvgateway.access.charged import ChargedKeyValues
from kvgateway.access.quotas import Allowance, Limit
from kvgateway.access.throttle import Throttles
from tandem.core.key import Key
from tandem.core.limits import LARGE_BODY_BYTES, VALUE_BYTES_MAX
from tandem.core.namespace import Settings
from tandem.core.quota import Quota
from tandem.core.request import Delete, Listing, ListPage, Put, Read, ReadResult, Write
from tandem.errors import QuotaExceeded, TandemError
from tandem.runtime.latest import Latest
from tests.kvgateway.access.quota_setup import SECOND_US, Worker, worker
from tests.kvgateway.rpc.memory_store import NAMESPACE, MemoryStore
from tests.kvgateway.timed import in_virtual_time

FREE, GREEDY = NAMESPACE, "cd" * 16


class Desk:
    """A store behind quotas, asked in virtual time."""

    def __init__(self, of: Worker) -> None:
        self.worker = of
        self.store = MemoryStore(_Clock())
        self.store.namespaces = {FREE, GREEDY}
        self.throttles = Throttles(self.store.read, self.store.write, lambda: of.now_us)
        self.keyvalues = ChargedKeyValues(self.store, of.quotas, self.throttles)

    def limit(self, **limits: int) -> None:
        self.worker.settings[GREEDY] = Settings(quota=Quota(**limits))

    def with_token(self, **limits: int) -> ChargedKeyValues:
        token = self.worker.quotas.of_holder("token t1", Quota(**limits))
        return ChargedKeyValues(self.store, self.worker.quotas, self.throttles, token)

    def advance(self, seconds: float) -> None:
        self.worker.now_us += round(seconds * SECOND_US)

    def refused(self, limit: Limit) -> int:
        return self.worker.refusals.counts[GREEDY, limit]


class _Clock:
    def now_us(self) -> int:
        return 10**15

    def monotonic_us(self) -> int:
        return 0


@pytest.fixture
def desk(directory: Path) -> Iterator[Desk]:
    with worker(directory, {}) as one:
        yield Desk(one)


def puts(count: int, size: int = 1, namespace: str = GREEDY) -> list[Write]:
    return [Put(Key(namespace, f"k{n}"), bytes(size)) for n in range(count)]


def reads(count: int, namespace: str = GREEDY) -> list[Read]:
    return [Read(Key(namespace, f"k{n}")) for n in range(count)]


def waits(outcomes: object) -> list[float | None]:
    """After how long each may be tried again; None for what was let through."""
    assert isinstance(outcomes, list)
    for outcome in outcomes:
        assert isinstance(outcome, QuotaExceeded) or not isinstance(outcome, TandemError)
    return [
        outcome.retry_after_s if isinstance(outcome, QuotaExceeded) else None
        for outcome in outcomes
    ]


async def settled(outcomes: object) -> None:
    assert isinstance(outcomes, list)
    await asyncio.gather(*(one for one in outcomes if isinstance(one, asyncio.Future)))


async def test_without_a_quota_a_group_passes_as_it_is(desk: Desk) -> None:
    desk.limit(operations_per_s=1)
    assert waits(desk.keyvalues.write(puts(1000, namespace=FREE))) == [None] * 1000
    assert waits(desk.keyvalues.read(reads(1000, FREE))) == [None] * 1000
    assert desk.store.calls == 2
    with desk.keyvalues.admit_body(FREE, None):
        pass


async def test_operations_over_the_quota_are_refused_one_by_one(desk: Desk) -> None:
    desk.limit(operations_per_s=5)
    told = waits(desk.keyvalues.write(puts(8)))
    assert told == [None] * 5 + [pytest.approx(wait_s) for wait_s in (0.2, 0.4, 0.6)]
    assert desk.store.writes == 5
    assert desk.refused(Limit.OPERATIONS) == 3
    assert waits(desk.keyvalues.read(reads(1))) == [pytest.approx(0.8)], "after those"
    desk.advance(0.199)
    assert waits(desk.keyvalues.read(reads(1))) == [pytest.approx(0.801)]
    desk.advance(0.001)
    assert waits(desk.keyvalues.read(reads(2))) == [None, pytest.approx(1.0)]
    desk.advance(3600)
    assert waits(desk.keyvalues.write([Delete(Key(GREEDY, "k"))] * 6))[4:] == [
        None,
        pytest.approx(0.2),
    ]
    assert not desk.worker.refusals.waiting


async def test_what_comes_a_little_early_waits_and_is_done(desk: Desk) -> None:
    desk.limit(operations_per_s=100)
    outcomes = desk.keyvalues.write(puts(112))
    assert waits(outcomes) == [None] * 110 + [pytest.approx(0.11), pytest.approx(0.12)]
    assert desk.store.writes == 100
    assert desk.worker.refusals.waiting == {GREEDY: 10}
    desk.advance(0.05)
    early = desk.keyvalues.read(reads(7))
    assert waits(early) == [None] * 5 + [pytest.approx(0.11), pytest.approx(0.12)]
    await settled(outcomes[:110])
    await settled(early[:5])
    assert desk.store.writes == 110
    assert {key.name for key in desk.store.records} == {f"k{n}" for n in range(110)}
    desk.advance(0.05)
    assert isinstance(await desk.keyvalues.list(Listing(GREEDY)), ListPage), "this one waits, too"
    assert desk.worker.refusals.waiting == {GREEDY: 16}


@in_virtual_time
async def test_a_page_that_is_asked_for_a_little_early_is_read_in_its_turn(desk: Desk) -> None:
    desk.limit(operations_per_s=100)
    desk.keyvalues.read(reads(100))
    await desk.keyvalues.list(Listing(GREEDY))
    assert asyncio.get_running_loop().time() == pytest.approx(0.01)


@in_virtual_time
async def test_what_two_pay_for_waits_for_the_later_of_its_turns(desk: Desk) -> None:
    desk.limit(operations_per_s=100)
    both = desk.with_token(operations_per_s=50)
    both.read(reads(50))
    await both.list(Listing(GREEDY))
    assert asyncio.get_running_loop().time() == pytest.approx(0.02)


async def test_the_bytes_of_what_waits_are_charged_once(desk: Desk) -> None:
    await settled(desk.keyvalues.write(puts(1, size=100)))
    desk.limit(operations_per_s=10, bytes_per_s=1000)
    read = desk.keyvalues.read(reads(1) * 11)
    assert waits(read) == [None] * 11
    await settled(read)
    desk.advance(0.1)
    assert waits(desk.keyvalues.read(reads(1))) == [pytest.approx(0.001)], "11 of 100 bytes"


async def test_what_could_wait_and_is_refused_for_its_bytes_gives_its_turn_away(desk: Desk) -> None:
    desk.limit(operations_per_s=100, bytes_per_s=50)
    deletes: list[Write] = [Delete(Key(GREEDY, "k"))] * 100
    told = waits(desk.keyvalues.write([*deletes, *puts(3, size=50)]))
    assert told == [None] * 101 + [pytest.approx(0.02)] * 2
    assert desk.worker.refusals.waiting == {GREEDY: 3}
    desk.advance(0.02)
    assert waits(desk.keyvalues.write(deletes))[10:12] == [None, pytest.approx(0.11)]


async def test_a_refused_group_does_not_reach_the_store(desk: Desk) -> None:
    desk.limit(operations_per_s=1)
    desk.keyvalues.write(puts(1))
    calls = desk.store.calls
    assert all(waits(desk.keyvalues.write(puts(5))))
    assert all(waits(desk.keyvalues.read(reads(5))))
    assert desk.store.calls == calls
    assert {key.name for key in desk.store.records} <= {"k0"}


async def test_a_mixed_group_keeps_its_order(desk: Desk) -> None:
    desk.limit(operations_per_s=1)
    mixed = [*puts(1), *puts(1, namespace=FREE), *puts(1), *puts(1, namespace=FREE)]
    told = waits(desk.keyvalues.write(mixed))
    assert [wait_s is None for wait_s in told] == [True, True, False, True]
    assert desk.store.calls == 1


async def test_written_bytes_are_charged_before_and_a_large_value_runs_up_a_debt(
    desk: Desk,
) -> None:
    desk.limit(bytes_per_s=1000)
    assert waits(desk.keyvalues.write(puts(3, size=400))) == [None] * 3
    assert waits(desk.keyvalues.write(puts(1))) == [pytest.approx(0.201)]
    assert desk.refused(Limit.BYTES) == 1
    desk.advance(0.2)
    assert waits(desk.keyvalues.write(puts(1))) == [pytest.approx(0.001)]
    desk.advance(0.001)
    assert waits(desk.keyvalues.write(puts(3, size=5001))) == [None] + [pytest.approx(5.001)] * 2
    desk.advance(5)
    assert waits(desk.keyvalues.write(puts(1))) == [pytest.approx(0.001)]


async def test_what_is_refused_for_its_bytes_is_no_operation(desk: Desk) -> None:
    desk.limit(operations_per_s=5, bytes_per_s=10)
    told = waits(desk.keyvalues.write(puts(4, size=10)))
    assert [wait_s is None for wait_s in told] == [True, False, False, False]
    assert waits(desk.keyvalues.write([Delete(Key(GREEDY, "k"))])) == [pytest.approx(0.1)]
    desk.advance(0.1)
    assert waits(desk.keyvalues.read([Read(Key(GREEDY, "none"))] * 4)) == [None] * 4


async def test_metadata_counts_and_a_delete_has_no_bytes(desk: Desk) -> None:
    desk.limit(bytes_per_s=10)
    write = Put(Key(GREEDY, "k"), b"12345", b'"678"')
    deletes = [Delete(Key(GREEDY, "k"))] * 100
    assert waits(desk.keyvalues.write([*deletes, write, write])) == [
        *[None] * 101,
        pytest.approx(0.1),
    ]


@pytest.mark.parametrize("deferred", [False, True])
async def test_answered_bytes_are_charged_after_the_fact(desk: Desk, deferred: bool) -> None:
    puts = [Put(read.key, bytes(590), b'"12345678"') for read in reads(3)]
    await settled(desk.keyvalues.write(puts))
    desk.limit(bytes_per_s=1000)
    desk.store.deferred = deferred
    outcomes = desk.keyvalues.read([*reads(1, FREE), *reads(3)])
    assert waits(outcomes) == [None] * 4
    await settled(outcomes)
    await asyncio.sleep(0)
    assert waits(desk.keyvalues.read(reads(2))) == [pytest.approx(0.801)] * 2
    assert desk.refused(Limit.BYTES) == 2
    desk.advance(0.801)
    assert waits(desk.keyvalues.read([Read(Key(GREEDY, "missing"))] * 50)) == [None] * 50


async def test_a_read_that_fails_costs_no_bytes_and_is_no_fault_of_the_loop(desk: Desk) -> None:
    met: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: met.append(context))
    desk.limit(bytes_per_s=1)
    desk.store.deferred = True
    desk.store.failure = RuntimeError("home is down")
    for outcome in desk.keyvalues.read(reads(20)):
        assert isinstance(outcome, asyncio.Future)
        with pytest.raises(RuntimeError, match="down"):
            await outcome
    desk.store.held = []
    [given_up] = desk.keyvalues.read(reads(1))
    assert isinstance(given_up, asyncio.Future)
    given_up.cancel()
    await asyncio.sleep(0)
    desk.store.failure = desk.store.held = None
    assert waits(desk.keyvalues.read(reads(1))) == [None]
    assert met == []


async def test_a_page_of_names_is_one_operation_and_its_bytes(desk: Desk) -> None:
    await settled(desk.keyvalues.write([*puts(9), Put(Key(GREEDY, "k9"), b"v", b"[1]")]))
    desk.limit(operations_per_s=2, bytes_per_s=20)
    page = await desk.keyvalues.list(Listing(GREEDY))
    assert len(page.names) == 10
    with pytest.raises(QuotaExceeded, match="bytes a second") as caught:
        await desk.keyvalues.list(Listing(GREEDY))
    assert caught.value.retry_after_s == pytest.approx(0.2)
    desk.limit(operations_per_s=1)
    desk.advance(10)
    await desk.keyvalues.list(Listing(GREEDY))
    with pytest.raises(QuotaExceeded, match="operations a second"):
        await desk.keyvalues.list(Listing(GREEDY))
    await desk.keyvalues.list(Listing(FREE))


async def test_large_bodies_are_admitted_before_they_are_read(desk: Desk) -> None:
    desk.limit(large_bodies_max=2)
    admit = desk.keyvalues.admit_body
    with admit(GREEDY, LARGE_BODY_BYTES + 1), admit(GREEDY, None):
        with pytest.raises(QuotaExceeded, match="2 large values") as caught:
            admit(GREEDY, VALUE_BYTES_MAX).__enter__()
        assert caught.value.retry_after_s == 1.0
        with admit(GREEDY, LARGE_BODY_BYTES), admit(FREE, None):
            pass
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), admit(GREEDY, None):
            raise ZeroDivisionError
    assert desk.refused(Limit.BODIES) == 1


async def test_a_body_is_not_received_while_there_is_a_debt(desk: Desk) -> None:
    desk.limit(bytes_per_s=1000, large_bodies_max=1)
    desk.keyvalues.write(puts(1, size=2000))
    with pytest.raises(QuotaExceeded, match="bytes a second"):
        desk.keyvalues.admit_body(GREEDY, None).__enter__()
    assert desk.refused(Limit.BYTES) == 1
    desk.advance(1.001)
    with desk.keyvalues.admit_body(GREEDY, None):
        pass


async def test_one_write_a_second_for_each_key(desk: Desk) -> None:
    desk.worker.settings[GREEDY] = Settings(key_write_interval=True)
    assert waits(desk.keyvalues.write(puts(2))) == [None, None]
    desk.advance(0.4)
    outcomes = desk.keyvalues.write([*puts(3), Delete(Key(GREEDY, "k2"))])
    assert waits(outcomes) == [pytest.approx(0.6), pytest.approx(0.6), None, pytest.approx(1.0)]
    assert str(outcomes[0]) == "Too Many Requests"
    assert desk.refused(Limit.KEY_WRITES) == 3
    assert waits(desk.keyvalues.read(reads(2) * 5)) == [None] * 10
    desk.advance(0.6)
    assert waits(desk.keyvalues.write(puts(3))) == [None, None, pytest.approx(0.4)]


async def test_a_write_that_is_refused_for_its_key_costs_nothing_else(desk: Desk) -> None:
    quota = Quota(operations_per_s=2, bytes_per_s=100)
    desk.worker.settings[GREEDY] = Settings(quota=quota, key_write_interval=True)
    assert waits(desk.keyvalues.write(puts(1, size=10) * 2)) == [None, pytest.approx(1.0)]
    assert waits(desk.keyvalues.write(puts(2, size=90)[1:])) == [None]
    assert waits(desk.keyvalues.write(puts(3)[2:])) == [pytest.approx(0.5)]


async def test_a_write_that_is_refused_for_its_key_costs_no_bytes(desk: Desk) -> None:
    desk.worker.settings[GREEDY] = Settings(quota=Quota(bytes_per_s=100), key_write_interval=True)
    assert waits(desk.keyvalues.write(puts(1, size=60) * 2)) == [None, pytest.approx(1.0)]
    assert waits(desk.keyvalues.write(puts(2, size=40)[1:])) == [None]


async def test_a_token_pays_beside_the_namespaces_it_asks(desk: Desk) -> None:
    desk.limit(operations_per_s=5)
    mine = desk.with_token(operations_per_s=8)
    told = waits(mine.read([*reads(7), *reads(7, FREE)]))
    assert [wait_s is None for wait_s in told] == [True] * 5 + [False] * 2 + [True] * 3 + [
        False
    ] * 4
    assert waits(desk.keyvalues.read(reads(1))) == [pytest.approx(0.6)], "after the token's two"
    assert waits(desk.keyvalues.read(reads(9, FREE))) == [None] * 9
    desk.advance(1)
    assert waits(mine.read(reads(5))) == [None] * 5


async def test_what_the_token_refuses_costs_the_namespace_nothing(desk: Desk) -> None:
    desk.limit(operations_per_s=5, bytes_per_s=100)
    mine = desk.with_token(operations_per_s=1, large_bodies_max=1, bytes_per_s=50)
    told = waits(mine.read(reads(5)))
    assert told == [None] + [pytest.approx(wait_s) for wait_s in (1.0, 2.0, 1.0, 2.0)], (
        "the token's"
    )
    assert waits(desk.keyvalues.read(reads(4))) == [None] * 4
    with mine.admit_body(GREEDY, None), pytest.raises(QuotaExceeded, match="token t1 sends"):
        mine.admit_body(FREE, None).__enter__()


async def test_who_has_a_quota_of_one_kind_pays_nothing_of_the_other(desk: Desk) -> None:
    desk.limit(operations_per_s=5)
    mine = desk.with_token(bytes_per_s=10)
    told = waits(mine.write(puts(4, size=11)))
    assert told == [None] + [pytest.approx(0.2)] * 3, "the token's bytes"
    desk.advance(0.2)
    told = waits(mine.read(reads(6)))
    assert told == [None] * 5 + [pytest.approx(0.2)], "the namespace's operations"
    assert waits(mine.read(reads(1))) == [pytest.approx(1.1)], "the bytes that were found"


async def test_a_body_leaves_its_place_with_everybody_who_pays(desk: Desk) -> None:
    desk.limit(large_bodies_max=1)
    mine = desk.with_token(large_bodies_max=1)
    for _ in range(3):
        with (
            mine.admit_body(GREEDY, None),
            pytest.raises(QuotaExceeded, match="sends 1 large"),
        ):
            desk.keyvalues.admit_body(GREEDY, None).__enter__()
    with mine.admit_body(FREE, None):
        with pytest.raises(QuotaExceeded, match="token t1 sends"):
            mine.admit_body(GREEDY, None).__enter__()
        with desk.keyvalues.admit_body(GREEDY, None):
            pass


async def test_more_holders_than_are_remembered_are_still_held_to_their_quotas(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk.worker.quotas, "_allowances", Latest[str, Allowance](2))
    one = Quota(operations_per_s=1)
    for expected in (None, pytest.approx(1.0)):
        for holder in ("t1", "t2", "t3"):
            token = desk.worker.quotas.of_holder(holder, one)
            asked = ChargedKeyValues(desk.store, desk.worker.quotas, desk.throttles, token)
            assert waits(asked.read(reads(1, FREE))) == [expected]
            assert len(desk.worker.quotas._allowances) <= 2


async def test_a_quota_that_changes_holds_at_once(desk: Desk) -> None:
    desk.limit(operations_per_s=100)
    assert waits(desk.keyvalues.read(reads(100))) == [None] * 100
    desk.limit(operations_per_s=5)
    assert waits(desk.keyvalues.read(reads(1))) == [pytest.approx(0.2)]
    desk.worker.settings[GREEDY] = replace(desk.worker.settings[GREEDY], quota=Quota())
    assert waits(desk.keyvalues.read(reads(50))) == [None] * 50


async def test_answers_stay_answers(desk: Desk) -> None:
    await settled(desk.keyvalues.write(puts(1, size=5)))
    desk.limit(operations_per_s=10, bytes_per_s=10)
    found, missing = desk.keyvalues.read([Read(Key(GREEDY, "k0")), Read(Key(GREEDY, "none"))])
    assert isinstance(found, ReadResult)
    assert found.record is not None
    assert found.record.value == bytes(5)
    assert isinstance(missing, ReadResult)
    assert missing.record is None
