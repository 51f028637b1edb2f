"""Several worker processes answer as one: what one has acknowledged, the others know."""

from pathlib import Path

from tests.e2e.comparison import check
from tests.e2e.deployment import deployed
from tests.e2e.history import Mix, more, under_load
from tests.e2e.pages import metrics, total
from tests.e2e.waiting import until_true

_OPERATIONS = 8_000
_WORKERS = 3


async def test_reads_see_what_any_worker_acknowledged_without_sessions(tmp_path: Path) -> None:
    async with deployed(tmp_path / "tandem", workers=_WORKERS) as tandem:
        await tandem.start()

        async def all_up() -> bool:
            samples = await metrics(tandem.http)
            return total(samples, "tandem_worker_up") == _WORKERS

        await until_true(all_up, "every worker runs")
        async with tandem.client() as client:
            await client.namespaces.create("n")
        # The kernel deals connections out by chance: of 16, in one run of 200 a worker has none.
        mix = Mix(keys=40, clients=48, tasks=2, sessions=False, large=0.0, pause_s=0.0)
        async with under_load(tandem.grpc, "n", mix) as history:
            await more(history, _OPERATIONS)
        assert not history.errors()

        async def all_asked() -> bool:
            acks = await metrics(tandem.http)
            by_worker = [total(acks, "tandem_acks_total", worker=str(n)) for n in range(_WORKERS)]
            return all(by_worker)

        await until_true(all_asked, "every worker has acknowledged writes")
        await check(tandem, "n", history)
