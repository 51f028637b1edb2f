"""A Worker sees the same of KV with Tandem behind it as on Miniflare, save what the tables tell."""

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


ADAPTED = {"a stream that breaks off stores nothing": ["fine", "half"]}
"""What an adapter sees otherwise: the runtime hides from it how a stream ends."""


@pytest.mark.parametrize("tandem", ["both homes"], indirect=True)
@pytest.mark.parametrize("case", CASES)
def test_miniflare_with_the_adapter(adapted: Runtime, case: Case) -> None:
    assert adapted.run(case.script) == ADAPTED.get(case.name, case.expected)


def test_the_cache_status_is_told(workerd: Runtime) -> None:
    script = 'await kv.put("k", "v"); return (await kv.getWithMetadata("k")).cacheStatus'
    assert workerd.run(script) in {"HIT", "MISS"}
