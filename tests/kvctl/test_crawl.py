"""`kvctl crawl` and `tombstones`: the crawler shown, paused, let go on and sent."""

import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from crawler.crawl import Crawl
from crawler.report import CrawlRule
from tandem.core.crawl_range import Range
from tandem.core.crawl_status import Crawled, Run, RunRequest, Stop
from tandem.core.drift import Drift, Sighting
from tandem.core.tally import Tally
from tandem.errors import Overloaded, TandemError
from tests.crawler.served import BEGAN_US, Served
from tests.crawler.served import crawled as one
from tests.kvctl.crawled import CrawledGateway
from tests.kvctl.serving import Gateway, invoke
from tests.kvgateway.rpc.memory_store import NAMESPACE

OTHER = "cd" * 16
STOP = Stop(NAMESPACE, BEGAN_US, 5000, "5,000 of 6,000 keys would change")
NOBODY = "127.0.0.1:1"
COMMANDS = [
    ("crawl", "status"), ("crawl", "pause"), ("crawl", "resume"), ("crawl", "run"),
    ("tombstones",),
]  # fmt: skip


def _rows(text: str) -> list[tuple[str, str]]:
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines()]


def test_status_for_people(crawled: CrawledGateway) -> None:
    def work(crawler: Served) -> None:
        counters = crawler.board.counters
        counters.rounds, counters.crawls, counters.errors = 1, 3, 2
        crawler.pace.waited_s = 1.5
        crawler.board.doing = "resting between two rounds"

    crawled.tell(work)
    result = crawled.kvctl("crawl", "status")
    assert result.exit_code == 0
    assert _rows(result.stdout) == [
        ("crawler", "crawler-1"),
        ("doing", "resting between two rounds"),
        ("so", "far   1 round, 3 crawls of a namespace, 2 faults; waited 1.5 s"),
    ]


def test_status_as_json(crawled: CrawledGateway) -> None:
    assert crawled.json("crawl", "status") == {
        "crawler_id": "crawler-1", "paused": False, "doing": "starting", "rounds": 0, "crawls": 0,
        "errors": 0, "waited_s": 0.0, "breakers": [], "ranges": [], "runs": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("position", "shown"),
    [("", ""), ("naïve", ", at naïve"), ("a\x1b[2J", ", at a\\x1b[2J")],
)
def test_status_shows_each_range_and_no_key_speaks_to_the_terminal(
    crawled: CrawledGateway, position: str, shown: str
) -> None:
    within = Range(2, position)
    crawl = Crawl({}, NAMESPACE, CrawlRule(), within=within)
    crawl.report.tally.equal = 41
    crawl.report.tally.saw(Sighting(Drift.ZOMBIE))
    crawled.tell(lambda crawler: crawler.board.began(crawl, within, 4))
    rows = _rows(crawled.kvctl("crawl", "status").stdout)
    assert rows[-1] == ("range", f"articles 3/4: 42 keys compared, 1 drifted{shown}")
    [range_] = crawled.json("crawl", "status")["ranges"]
    assert range_ == {
        "namespace": NAMESPACE, "number": 2, "ranges": 4, "position": position, "compared": 42,
        "drifted": 1,
    }  # fmt: skip


def test_a_breaker_that_is_open_ends_with_its_own_status(crawled: CrawledGateway) -> None:
    crawled.tell(lambda crawler: crawler.book.stop(STOP))
    for command in ("status", "pause", "resume"):
        result = crawled.kvctl("crawl", command)
        assert result.exit_code == 5
        way_out = "kvctl crawl resume --accept (a home that was emptied: kvctl backend rebuild)"
        shown = f"articles: {STOP.why}; OPEN: {way_out}"
        assert _rows(result.stdout)[-1] == ("breaker", shown)
    document = json.loads(crawled.kvctl("crawl", "status", "--json").stdout)
    assert document["breakers"] == [
        {
            "namespace": NAMESPACE,
            "why": STOP.why,
            "changes": 5000,
            "at_us": BEGAN_US,
            "open": True,
        }
    ]


def test_resume_accept_allows_what_the_breaker_named(crawled: CrawledGateway) -> None:
    crawled.tell(lambda crawler: crawler.book.stop(STOP))
    result = crawled.kvctl("crawl", "resume", "--accept")
    assert result.exit_code == 0
    assert "accepted for the next crawl" in result.stdout
    assert crawled.json("crawl", "status")["breakers"][0]["open"] is False

    def allowed(crawler: Served) -> None:
        assert dict(crawler.book.stops()) == {NAMESPACE: replace(STOP, accepted=5000)}

    crawled.tell(allowed)


def test_a_pause_lasts_until_resume(crawled: CrawledGateway) -> None:
    assert ("doing", "paused") in _rows(crawled.kvctl("crawl", "pause").stdout)
    assert crawled.crawler.board.paused
    refused = crawled.kvctl("crawl", "run")
    assert refused.exit_code == 2
    assert "crawler: is paused; `kvctl crawl resume` lets it go on" in refused.stderr
    assert crawled.crawler.board.runs == ()
    assert crawled.json("crawl", "resume")["paused"] is False
    assert crawled.kvctl("crawl", "run").exit_code == 0


@pytest.mark.parametrize(
    ("options", "request_"),
    [
        ((), RunRequest()),
        (("-n", "articles"), RunRequest(NAMESPACE)),
        (("-n", OTHER, "--deep"), RunRequest(OTHER, 1)),
        (("--dry-run",), RunRequest("", 0, dry_run=True)),
    ],
)
def test_run_asks_for_a_crawl(
    crawled: CrawledGateway, options: tuple[str, ...], request_: RunRequest
) -> None:
    told = crawled.kvctl("crawl", "run", *options)
    [run] = crawled.crawler.board.runs
    assert (told.exit_code, run.request) == (0, request_)
    assert told.stdout == f"run {run.id} is asked for; `kvctl crawl status` shows it\n"
    document = crawled.json("crawl", "run", *options)
    assert document == {"run": crawled.crawler.board.runs[-1].id}
    runs = [row for row in _rows(crawled.kvctl("crawl", "status").stdout) if row[0] == "run"]
    assert runs[0] == ("run", f"{run.id}: waiting or under way")
    for failure, state in (("", "done"), ("s3: timeout", "s3: timeout")):
        crawled.crawler.board.ended(run, failure, ())
        rows = _rows(crawled.kvctl("crawl", "status").stdout)
        assert ("run", f"{run.id}: {state}") in rows


@pytest.mark.parametrize(
    "command", [("crawl", "run"), ("drift", "scan"), ("drift", "report"), ("tombstones",)]
)
def test_an_empty_title_never_stands_for_all(
    crawled: CrawledGateway, command: tuple[str, ...]
) -> None:
    result = crawled.kvctl(*command, "-n", "")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "kvctl: title: must not be empty\n"


def test_run_of_an_unknown_title_is_refused(crawled: CrawledGateway) -> None:
    result = crawled.kvctl("crawl", "run", "-n", "article")
    assert result.exit_code == 1
    assert "did you mean 'articles'?" in result.stderr
    assert crawled.crawler.board.runs == ()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (Overloaded("16 runs are waiting"), "has too much to do: 16 runs are waiting"),
        (TandemError("odd"), "could not answer: INTERNAL: unexpected failure inside; the log"),
    ],
)
def test_what_the_crawler_cannot_do_is_not_blamed_on_a_gateway(
    crawled: CrawledGateway, failure: TandemError, told: str
) -> None:
    def fail(request: RunRequest) -> Run:
        raise failure

    crawled.crawler.board.ask = fail  # type: ignore[method-assign]
    result = crawled.kvctl("crawl", "run")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"kvctl: the crawler at {crawled.crawler.address} {told}")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_crawler_that_is_not_there_is_told(gateway: Gateway, command: tuple[str, ...]) -> None:
    result = gateway.kvctl(*command, "--crawler", NOBODY, "--timeout", "300ms")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"kvctl: no crawler at {NOBODY}: ")
    assert result.stderr.endswith(
        "Start one with `kvctl up` or `crawler`, or name another one with --crawler HOST:PORT or"
        " TANDEM_CRAWLER.\n"
    )


def test_a_crawler_that_never_answers_is_given_up_after_the_timeout(gateway: Gateway) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        result = gateway.kvctl("crawl", "status", "--crawler", address, "--timeout", "200ms")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"kvctl: the crawler at {address} did not answer in time\n")


def test_what_is_no_crawler_is_told_so(gateway: Gateway) -> None:
    result = gateway.kvctl("crawl", "status", "--crawler", gateway.address)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith(f"kvctl: at {gateway.address} is no crawler")
    assert result.stderr.endswith(
        "Name the crawler's port (8783 by default) with --crawler or TANDEM_CRAWLER.\n"
    )


def test_a_crawler_answers_without_a_gateway(crawled: CrawledGateway) -> None:
    crawled.found(one(NAMESPACE))
    at = ("--crawler", crawled.crawler.address)
    environment = {"TANDEM_GRPC": NOBODY, "TANDEM_CRAWLER": NOBODY}
    for command in COMMANDS:
        assert invoke(*command, *at, environment=environment).exit_code == 0
    shown = invoke("tombstones", *at, environment=environment).stdout
    assert NAMESPACE in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_a_closed_crawler_opens_to_its_token(tmp_path: Path, command: tuple[str, ...]) -> None:
    with CrawledGateway(tmp_path / "book.sqlite", "right") as crawled:
        crawled.found(one(NAMESPACE))
        for wrong in ((), ("--token", "wrong")):
            result = crawled.kvctl(*command, *wrong)
            assert (result.exit_code, result.stdout) == (1, "")
            assert f"the crawler at {crawled.crawler.address} did not let you in" in result.stderr
            assert "Give its admin token with --token or TANDEM_TOKEN." in result.stderr
        assert crawled.kvctl(*command, "--token", "right").exit_code == 0


def _dead(tombstones: int = 0, expired: int = 0) -> Tally:
    tally = Tally(equal=10)
    for at in range(tombstones):
        tally.saw_tombstone(BEGAN_US + at * 1_000_000)
    for _ in range(expired):
        tally.saw(Sighting(Drift.EXPIRED))
    return tally


def _unhealed(tally: Tally) -> Tally:
    tally.not_healed("key: s3: timeout")
    return tally


@pytest.mark.parametrize(
    ("crawl", "why"),
    [
        (one(NAMESPACE), "there are none"),
        (
            one(NAMESPACE, tally=_dead(1), failure="s3: timeout"),
            "the last crawl did not see everything: s3: timeout",
        ),
        (
            one(NAMESPACE, tally=_unhealed(_dead(1))),
            "the last crawl did not find both homes equal",
        ),
        (one(NAMESPACE, tally=_dead(1), stopped="too much"), "too much"),
        (
            replace(one(NAMESPACE, tally=_dead(1)), dry_run=True),
            "the last crawl was a dry run, which removes nothing",
        ),
        (one(NAMESPACE, tally=_dead(0, 1), withheld="a gateway is silent"), "a gateway is silent"),
        (
            one(NAMESPACE, tally=_dead(1, 1)),
            "dead for less than tombstone_grace when the last crawl began",
        ),
    ],
)
def test_tombstones_tell_why_they_are_still_there(
    crawled: CrawledGateway, crawl: Crawled, why: str
) -> None:
    crawled.found(crawl)
    assert crawled.kvctl("tombstones").stdout.splitlines()[1].endswith(f"  {why}")
    assert crawled.json("tombstones")["why_not_yet"] == why


def test_tombstones_are_counted_by_namespace(crawled: CrawledGateway) -> None:
    tally = _dead(3, 2)
    for drift in (Drift.RETIRED, Drift.RETIRED, Drift.ZOMBIE):
        tally.saw(Sighting(drift))
    crawled.found(one(NAMESPACE, tally=tally), one(OTHER))
    rows = [line.split()[:6] for line in crawled.kvctl("tombstones").stdout.splitlines()[1:]]
    assert rows == [
        ["articles", "3", "2023-11-14T22:13:20Z", "2", "2", "1"],
        [OTHER, "0", "-", "0", "0", "0"],
    ]
    document = crawled.json("tombstones", "-n", "articles")
    document.pop("why_not_yet")
    assert document == {
        "namespace": NAMESPACE, "title": "articles", "tombstones": 3, "oldest_us": BEGAN_US,
        "expired": 2, "retired": 2, "zombies": 1,
    }  # fmt: skip


def test_of_tombstones_nothing_is_known_before_the_first_crawl(crawled: CrawledGateway) -> None:
    crawled.found(one(OTHER))
    result = crawled.kvctl("tombstones", "-n", "articles")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no crawl has ended yet: nothing is known of tombstones" in result.stderr
