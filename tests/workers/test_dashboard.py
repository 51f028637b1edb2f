"""The dashboard as a browser has it: its script runs in a DOM, against a real gateway."""

import asyncio
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

import kvgateway.http.dashboard
from tandem import Client
from tests.servers import npm
from tests.workers.runtimes import HERE, Served

FIGURES: Final = Path(kvgateway.http.dashboard.__file__).with_name("figures.js")


def _page(tandem: Served, token: str, *wanted: str) -> "subprocess.Popen[str]":
    """A browser that looks until all of these words can be seen."""
    url = f"http://{tandem.deployment.http}/dashboard" + (f"#{token}" if token else "")
    command: list[str | Path] = [npm.NODE, HERE / "dashboard.mjs", npm.MODULES, url, *wanted]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _shown(tandem: Served, token: str, *wanted: str) -> dict[str, Any]:
    """The texts of its parts then."""
    with _page(tandem, token, *wanted) as page:
        try:
            output, errors = page.communicate(timeout=60)
        finally:
            page.kill()
    assert page.returncode == 0, errors
    shown: dict[str, Any] = json.loads(output)
    assert shown["url"] == f"http://{tandem.deployment.http}/dashboard", "the token stays there"
    return shown


@pytest.mark.parametrize("tandem", ["both homes"], indirect=True)
def test_what_is_done_is_drawn(npm_packages: None, tandem: Served) -> None:
    async def read_on() -> None:
        at, title = tandem.deployment.grpc, tandem.namespace.title
        async with Client(at, namespace=title, token=tandem.admin) as kv:
            await kv.put("shown", b"v")
            while page.poll() is None:
                await kv.get("shown")

    with _page(tandem, tandem.admin, "kvsp serves", "s3 serves", "share 100 %") as page:
        try:
            asyncio.run(read_on())
        finally:
            page.kill()
        assert page.stdout is not None
        shown = json.loads(page.stdout.read())
    assert shown["door"] == shown["silence"] == ""
    assert "workers2, replaced 0 times" in shown["facts"]


@pytest.mark.parametrize("tandem", ["without s3"], indirect=True)
def test_a_home_that_is_off_stands_out(npm_packages: None, tandem: Served) -> None:
    shown = _shown(tandem, tandem.admin, "kvsp serves", "s3 switched off")
    assert "The homes are not known to be equal" in shown["verdict"]
    assert "s3 is switched off for writes" in shown["verdict"]


@pytest.mark.parametrize("tandem", ["both homes"], indirect=True)
def test_who_has_no_right_token_is_asked_for_one(npm_packages: None, tandem: Served) -> None:
    for token, why in (("", "A token"), ("wrong", "not valid"), (tandem.read, "Forbidden")):
        shown = _shown(tandem, token, why)
        assert why in shown["door"]
        assert shown["shown"] == shown["homes"] == ""


def _figures(before: str, after: str, *calls: Sequence[object]) -> list[object]:
    command = (npm.NODE, HERE / "figures.mjs", FIGURES, before, after, "2", json.dumps(calls))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: list[object] = json.loads(done.stdout)
    return found


def test_rates_and_shares_are_of_all_workers(npm_packages: None) -> None:
    def page(hits: int, misses: int) -> str:
        return (
            "# HELP reads_total reads\n"
            f'reads_total{{worker="0",result="hit"}} {hits}\n'
            f'reads_total{{worker="1",result="hit"}} {hits}.5\n'
            f'reads_total{{worker="1",odd="a\\"b",result="miss"}} {misses}\n'
        )

    hit, miss = {"result": "hit"}, {"result": "miss"}
    assert _figures(
        page(10, 0), page(16, 4),
        ("perSecond", "reads_total", hit), ("perSecond", "reads_total"), ("perSecond", "nothing"),
        ("share", "reads_total", hit, [hit, miss]),
    ) == [6, 8, 0, 0.75]  # fmt: skip
    assert _figures(
        page(10, 4), page(3, 4),  # a worker was replaced
        ("perSecond", "reads_total", hit), ("share", "reads_total", miss, [miss]),
    ) == [None, None]  # fmt: skip


def test_quantiles_are_those_of_the_time_between(npm_packages: None) -> None:
    def page(*counts: int) -> str:
        bounds = ("0.001", "0.002", "0.004", "+Inf")
        return "".join(
            f't_bucket{{worker="{worker}",operation="get",le="{bound}"}} {count}\n'
            for worker in (0, 1)
            for bound, count in zip(bounds, counts, strict=True)
        )

    get = {"operation": "get"}
    wanted = [("quantile", "t", get, share) for share in (0.25, 0.5, 0.75, 1)]
    assert _figures(page(1000, 1000, 1000, 1000), page(1000, 1010, 1020, 1020), *wanted) == [
        0.0015, 0.002, 0.003, 0.004,
    ]  # fmt: skip
    assert _figures(page(0, 0, 0, 0), page(0, 0, 0, 9), *wanted[:1]) == [0.004]
    assert _figures(page(5, 5, 5, 5), page(5, 5, 5, 5), *wanted[:1]) == [None]
