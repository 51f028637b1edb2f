"""What `kvctl status` shows of the crawler, of whose finds a gateway hears the good ones alone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kvctl import crawler_asking
from kvctl.crawls_seen import NOT_ASKED, CrawlsSeen, crawl_rows, differences_seen
from tandem.core.crawl_status import Crawled, CrawlerStatus, Stop
from tandem.core.drift import Drift, Sighting
from tandem.core.tally import Tally
from tests.crawler.served import BEGAN_US, A, B, Served, drifted
from tests.crawler.served import crawled as one
from tests.kvctl.crawled import CrawledGateway
from tests.kvctl.serving import invoke
from tests.kvgateway.rpc.memory_store import NAMESPACE

WHY = "repairing would touch 2000 of 6000 records"
STOP = Stop(NAMESPACE, BEGAN_US, 2000, WHY)
NOW_US = BEGAN_US + 65_000_000
ZOMBIES = Tally()
ZOMBIES.saw(Sighting(Drift.ZOMBIE))


def _seen(*crawls: Crawled, stops: tuple[Stop, ...] = ()) -> CrawlsSeen:
    status = CrawlerStatus("crawler-1", False, "resting", 1, 1, 0, 0.0, stops=stops, latest=crawls)
    return CrawlsSeen("127.0.0.1:8783", status)


@pytest.mark.parametrize(
    ("crawl", "expected"),
    [
        (one(), []),
        (one(failure="s3: timeout"), []),
        (one(tally=drifted()), [f"the last crawl of {A} left 1 key different"]),
        (one(stopped=WHY), [f"the last crawl of {A} was stopped: {WHY}"]),
        (
            one(tally=ZOMBIES),
            [f"the last crawl of {A} met 1 value that had been deleted for good"],
        ),
    ],
)
def test_what_a_crawl_left_different_is_named(crawl: Crawled, expected: list[str]) -> None:
    assert differences_seen(_seen(crawl)) == expected


def test_many_are_counted() -> None:
    crawls = [one(letter * 32, stopped=WHY) for letter in "abcde"]
    *shown, rest = differences_seen(_seen(*crawls))
    assert len(shown) == 3
    assert rest == "the last crawls of 2 more left something different"


def test_when_the_last_whole_crawl_was_and_what_it_found() -> None:
    crawls = one(), one(B, 50_000_000, failure="s3: timeout"), one("c" * 32, stopped=WHY)
    assert dict(crawl_rows(_seen(*crawls), NOW_US)) == {
        "crawler": "127.0.0.1:8783, resting",
        "crawled": "3 namespaces, all in the last 60 s: 1 equal, 1 not, 1 not seen whole",
    }
    assert (
        dict(crawl_rows(_seen(one()), NOW_US))["crawled"]
        == "1 namespace, all in the last 60 s: equal"
    )


def test_before_the_first_crawl_nothing_is_said_to_be_equal() -> None:
    assert dict(crawl_rows(_seen(), NOW_US))["crawled"] == "nothing yet"


def test_a_breaker_that_a_person_has_accepted_is_shown_no_more() -> None:
    shown = crawl_rows(_seen(stops=(replace(STOP, accepted=2000),)), NOW_US)
    assert not any("BREAKER" in text for _, text in shown)


def test_with_an_open_breaker_the_homes_are_not_called_equal(crawled: CrawledGateway) -> None:
    def stopped(crawler: Served) -> None:
        crawler.book.stop(STOP)
        crawler.found(replace(one(), namespace=NAMESPACE, stopped=WHY))

    crawled.tell(stopped)
    shown = crawled.kvctl("status").stdout
    assert f"- BREAKER OPEN: articles: {WHY}; `kvctl crawl status` says more" in shown
    assert f"- the last crawl of articles was stopped: {WHY}" in shown
    document = crawled.json("status")
    assert document["equal"] is False
    assert f"the last crawl of {NAMESPACE} was stopped: {WHY}" in document["differences"]
    crawler = document["crawler"]
    assert crawler["breakers"] == [{"namespace": NAMESPACE, "why": WHY}]
    assert crawler["not_equal"] == [NAMESPACE]
    assert crawler["oldest_ended_us"] == one().ended_us


@pytest.mark.parametrize("told", ["nobody", "flag", "variable", "file"])
def test_a_gateway_of_another_machine_has_its_own_crawler(
    crawled: CrawledGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    """The one at the default address may be of another store, and is not shown that token."""
    crawler = crawled.crawler.address
    monkeypatch.setattr(crawler_asking, "is_here", lambda host: False)
    config = tmp_path / "tandem.toml"
    config.write_text(f'crawler_address = "{crawler}"\n' if told == "file" else "")
    flags = ("--crawler", crawler) if told == "flag" else ()
    environment = {"TANDEM_CONFIG": str(config)}
    if told == "variable":
        environment["TANDEM_CRAWLER"] = crawler
    asked = ("status", "--gateway", crawled.address, *flags)
    document = json.loads(invoke(*asked, "--json", environment=environment).stdout)["crawler"]
    shown = " ".join(invoke(*asked, environment=environment).stdout.split())
    if told == "nobody":
        assert (document["address"], document["trouble"]) == (None, NOT_ASKED)
        assert f" crawler {NOT_ASKED} " in shown
    else:
        assert (document["address"], document["trouble"]) == (crawler, None)
        assert f" crawler {crawler}, " in shown


def test_a_crawler_that_lets_nobody_in_is_no_failure(tmp_path: Path) -> None:
    with CrawledGateway(tmp_path / "book.sqlite", "right") as closed:
        result = closed.kvctl("status")
    assert result.exit_code == 0
    assert "no answer: it wants its admin token" in result.stdout
