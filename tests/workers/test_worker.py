"""A Worker sees the same of KV on workerd with Tandem behind it as on Miniflare, save what is told."""

import pytest

from tests.workers.case import Case
from tests.workers.runtimes import Runtime
from tests.workers.tables import TABLES

CASES = [
    pytest.param(case, id=f"{table}: {case.name}")
    for table, cases in TABLES.items()
    for case in cases
]


@pytest.mark.parametrize("case", CASES)
def test_workerd_with_tandem(workerd: Runtime, case: Case) -> None:
    assert workerd.run(case.script) == case.expected


@pytest.mark.parametrize("case", CASES)
def test_miniflare_by_itself(miniflare: Runtime, case: Case) -> None:
    assert miniflare.run(case.script) == case.of_miniflare


def test_the_cache_status_is_told(workerd: Runtime) -> None:
    script = 'await kv.put("k", "v"); return (await kv.getWithMetadata("k")).cacheStatus'
    assert workerd.run(script) in {"HIT", "MISS"}
