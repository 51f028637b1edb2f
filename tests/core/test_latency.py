"""The 95th percentile of what came lately."""

import pytest

from tandem.core.latency import KNOWN_FROM, WINDOW, RecentLatency


def _after(*seconds: float, known_from: int = KNOWN_FROM) -> RecentLatency:
    latency = RecentLatency(known_from)
    for one in seconds:
        latency.observe(one)
    return latency


def test_a_few_replies_say_nothing() -> None:
    assert _after(*[1.0] * (KNOWN_FROM - 1)).p95_s is None
    assert _after(*[1.0] * KNOWN_FROM).p95_s == 1.0


@pytest.mark.parametrize("known_from", [1, 2, 5, 17])
def test_how_few_are_too_few_can_be_chosen(known_from: int) -> None:
    assert _after(*[1.0] * (known_from - 1), known_from=known_from).p95_s is None
    assert _after(*[1.0] * known_from, known_from=known_from).p95_s == 1.0


@pytest.mark.parametrize(
    ("quick", "slow", "p95_s"),
    [(96, 0, 0.1), (93, 3, 0.1), (92, 4, 0.1), (90, 6, 9.0), (0, 96, 9.0)],
)
def test_it_lies_above_95_of_100_replies_and_not_above_the_few_that_are_slow(
    quick: int, slow: int, p95_s: float
) -> None:
    assert _after(*[9.0] * slow, *[0.1] * quick).p95_s == p95_s
    assert _after(*[0.1] * quick, *[9.0] * slow).p95_s == p95_s


def test_old_replies_are_forgotten() -> None:
    latency = _after(*[9.0] * (3 * WINDOW))
    for number in range(WINDOW):
        assert latency.p95_s == 9.0 or number > WINDOW * 9 // 10
        latency.observe(0.1)
    assert latency.p95_s == 0.1
