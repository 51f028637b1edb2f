"""`kvctl backfill`: what may be filled, with what, and whether the home may answer then."""

import json
from dataclasses import replace

import pytest

from kvctl.backfill_command import _until_counted_s
from tandem.core.crawl_status import Crawled, RunRequest
from tandem.core.mode import Mode, Stage
from tandem.core.mode_step import ModeReport, WorkerView
from tandem.core.namespace import Namespace
from tandem.core.reply import Side
from tandem.core.tally import Tally
from tests.crawler.served import BEGAN_US, crawled
from tests.kvctl.crawled import CrawledGateway
from tests.kvctl.test_rebuild import Scripted, lacking, script
from tests.kvgateway.rpc.memory_store import NAMESPACE

READY = WorkerView("g1.0", 9_000_000, 0, 1)
QUICK = ("--wait", "600ms")
EQUAL = crawled(NAMESPACE, tally=Tally(equal=49))


@pytest.fixture
def store(crawled: CrawledGateway) -> CrawledGateway:
    """A namespace that KVSP is brought into, which no crawl has seen."""
    put(crawled, Mode(Stage.SHADOW, Side.S3), READY)
    return crawled


def put(store: CrawledGateway, mode: Mode, *views: WorkerView) -> None:
    namespace = store.registry._found[NAMESPACE]
    settings = replace(namespace.settings, mode=mode)
    store.registry.changed(replace(namespace, settings=settings))
    store.operations.views = list(views)


def filled(store: CrawledGateway, *outcomes: Crawled) -> Scripted:
    """Crawls that come to their end, of which the gateways are told."""
    runs = script(store, *outcomes)
    ask = store.crawler.board.ask

    def heard(request: RunRequest) -> object:
        store.operations.crawled_us = BEGAN_US
        return ask(request)

    store.crawler.board.ask = heard  # type: ignore[method-assign,assignment]
    return runs


@pytest.mark.parametrize("side", Side)
def test_the_home_that_is_brought_in_is_filled_and_may_answer(
    store: CrawledGateway, side: Side
) -> None:
    put(store, Mode(Stage.SHADOW, side.other), READY)
    runs = filled(store, lacking(side, 40))
    result = store.kvctl("backfill", "articles")
    assert (result.exit_code, result.stderr) == (0, "")
    assert runs.requests == [RunRequest(NAMESPACE, 0, False, side)]
    assert result.stdout.splitlines() == [
        f"articles: 40 records (39.1 KiB) copied to {side.value}; of 49 none differ now",
        f"{side.value} may answer: `kvctl namespace mode articles active --percent 1`",
    ]


def test_in_json_it_is_one_object_and_the_rate_is_passed_on(store: CrawledGateway) -> None:
    runs = filled(store, lacking(Side.KVSP, 3))
    result = store.kvctl("backfill", NAMESPACE, "--requests-per-second", "250", "--json")
    assert result.exit_code == 0
    assert runs.requests == [RunRequest(NAMESPACE, 0, False, Side.KVSP, 250)]
    assert json.loads(result.stdout) == {
        "id": NAMESPACE, "title": "articles", "home": "kvsp", "copied": 3, "copied_bytes": 3000,
        "compared": 12, "left": 0, "crawls": 1, "ready": True, "objections": [],
    }  # fmt: skip


def test_once_more_it_copies_nothing_and_says_so(store: CrawledGateway) -> None:
    store.found(EQUAL)
    filled(store, EQUAL)
    result = store.kvctl("backfill", "articles")
    assert result.exit_code == 0
    assert "0 records (0 bytes) copied to kvsp; of 49 none differ now" in result.stdout


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        (Mode(Stage.SINGLE, Side.S3), "articles is kept in s3 alone."),
        (Mode(Stage.SINGLE, Side.KVSP), "`kvctl namespace mode articles shadow`"),
        (Mode(Stage.ACTIVE, Side.S3, 10), "none is being brought in"),
        (Mode(), "`kvctl drift scan -n articles` compares and repairs them."),
    ],
)
def test_without_a_home_that_is_brought_in_nothing_is_copied(
    store: CrawledGateway, mode: Mode, told: str
) -> None:
    put(store, mode, READY)
    runs = filled(store, EQUAL)
    result = store.kvctl("backfill", "articles")
    assert (result.exit_code, result.stdout) == (1, "")
    assert told in result.stderr
    assert runs.requests == []


@pytest.mark.parametrize(
    "late", [replace(READY, id="g2.1", epoch=9), replace(READY, id="g2.1", since_us=0)]
)
def test_no_crawl_begins_before_every_gateway_writes_to_both_homes(
    store: CrawledGateway, late: WorkerView
) -> None:
    put(store, Mode(Stage.SHADOW, Side.S3), READY, late)
    runs = filled(store, EQUAL)
    result = store.kvctl("backfill", "articles", *QUICK)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing was copied: not every gateway goes by the mode yet: g2.1" in result.stderr
    assert runs.requests == []


@pytest.mark.parametrize(
    ("since_us", "looked_us", "waits_s"),
    [(1_000_000, 9_000_000, 0.0), (1_000_000, 1_000_000, 3.0), (2_000_000, 4_000_000, 1.0)],
)
def test_a_crawl_begins_when_it_counts_whatever_the_homes_clocks_say(
    since_us: int, looked_us: int, waits_s: float
) -> None:
    views = (replace(READY, since_us=since_us, looked_us=looked_us), replace(READY, since_us=1))
    views = (views[0], replace(views[1], looked_us=looked_us - 1))
    assert _until_counted_s(ModeReport(Namespace(NAMESPACE, "n"), (), views)) == waits_s


def test_what_a_crawl_does_not_take_away_is_told_after_a_few(store: CrawledGateway) -> None:
    runs = script(store, lacking(Side.KVSP, 4))
    result = store.kvctl("backfill", "articles")
    assert result.exit_code == 1
    assert "kvsp must not answer yet:\n  no crawl has found both" in result.stderr
    assert len(runs.requests) == 5, "a bound holds"


@pytest.mark.parametrize(
    ("outcome", "status", "told"),
    [
        (lacking(Side.KVSP, 5, failure="s3: timeout"), 3, "not everything was compared"),
        (lacking(Side.KVSP, 5, stopped="repairing would touch 9 of 12 records"), 5, "breaker"),
    ],
)
def test_a_crawl_that_does_not_come_to_its_end_ends_it(
    store: CrawledGateway, outcome: Crawled, status: int, told: str
) -> None:
    filled(store, outcome)
    result = store.kvctl("backfill", "articles", "--json")
    assert (result.exit_code, result.stdout) == (status, "")
    assert told in result.stderr


@pytest.mark.parametrize("rate", ["0", "-1", "1000001", "quick"])
def test_rates_beyond_their_bounds_are_refused(store: CrawledGateway, rate: str) -> None:
    result = store.kvctl("backfill", "articles", "--requests-per-second", rate)
    assert (result.exit_code, result.stdout) == (2, "")


def test_an_unknown_namespace_is_told(store: CrawledGateway) -> None:
    result = store.kvctl("backfill", "article")
    assert result.exit_code == 1
    assert "did you mean 'articles'?" in result.stderr
