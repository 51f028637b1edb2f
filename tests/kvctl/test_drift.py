"""`kvctl drift report` and `scan`: every form of the report, and how the commands end."""

import asyncio
import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tandem.core.crawl_status import Crawled, Run, RunRequest
from tandem.core.drift import Drift, Sighting
from tandem.core.reply import Side
from tandem.core.tally import UNHEALED_MAX, Tally
from tests.crawler.served import BEGAN_US, Served, drifted
from tests.crawler.served import crawled as one
from tests.kvctl.crawled import CrawledGateway
from tests.kvctl.serving import invoke
from tests.kvgateway.rpc.memory_store import NAMESPACE

ALL = ("--days", "36500")
OTHER = "cd" * 16
WHY = "5,000 of 6,000 keys would change"


def _lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_before_the_first_crawl_nothing_is_known(crawled: CrawledGateway) -> None:
    result = crawled.kvctl("drift", "report")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no crawl of the last 30 days has ended: nothing is known of drift" in result.stderr


def test_the_table_shows_the_last_crawl_of_each_namespace(crawled: CrawledGateway) -> None:
    crawled.found(one(NAMESPACE, tally=drifted()), one(OTHER, 1_000_000), one(NAMESPACE, 9_000_000))
    result = crawled.kvctl("drift", "report", *ALL)
    assert (result.exit_code, result.stderr) == (0, "")
    assert _lines(result.stdout) == [
        ["NAMESPACE", "CRAWLED", "KEYS", "DRIFT", "PPM", "BYTES", "REPAIRED", "LEFT", "EQUAL"],
        ["articles", "2023-11-14T22:13:34Z", "4", "0", "0.0", "0", "bytes", "0", "0", "yes"],
        [OTHER, "2023-11-14T22:13:26Z", "4", "0", "0.0", "0", "bytes", "0", "0", "yes"],
    ]


def test_below_the_table_stands_what_differed(crawled: CrawledGateway) -> None:
    crawled.found(one(NAMESPACE, tally=drifted()))
    result = crawled.kvctl("drift", "report", *ALL)
    assert result.exit_code == 4
    _, row, blank, *details = result.stdout.splitlines()
    assert row.split()[2:] == ["1236", "2", "1618.1", "4.2", "KiB", "1", "1", "NO"]
    assert blank == ""
    assert details == [
        "articles: 1 key missing in s3, 4.2 KiB, the oldest for 65 s",
        "articles: 1 key older in kvsp, 17 bytes, the oldest for 8 s",
        "articles: repaired 1 key, 65 s after the write on average, 65 s at most",
        "articles: not repaired: stuck: s3: timeout",
    ]


def test_a_key_cannot_speak_to_the_terminal(crawled: CrawledGateway) -> None:
    tally = Tally()
    tally.not_healed("a\x1b[2J\nb: gone")
    crawled.found(one(NAMESPACE, tally=tally))
    shown = crawled.kvctl("drift", "report", *ALL).stdout
    assert shown.splitlines()[-1] == "articles: not repaired: a\\x1b[2J\\nb: gone"


UNSEEN = Tally()
UNSEEN.saw(Sighting(Drift.IN_FLIGHT))
UNSEEN.saw(Sighting(Drift.FOREIGN))
UNHEALED = Tally()
UNHEALED.not_healed("key: s3: timeout")


@pytest.mark.parametrize(
    ("crawls", "status"),
    [
        ([one(NAMESPACE)], 0),
        ([one(NAMESPACE, tally=UNSEEN)], 0),
        ([one(NAMESPACE, tally=drifted()), one(NAMESPACE, 1)], 0),
        ([one(NAMESPACE), one(NAMESPACE, 1, tally=drifted())], 4),
        ([one(NAMESPACE, tally=UNHEALED)], 4),
        ([one(NAMESPACE, tally=drifted()), one(OTHER, 1)], 4),
        ([one(NAMESPACE, failure="s3: timeout", tally=drifted())], 3),
        ([one(NAMESPACE, stopped=WHY), one(OTHER, failure="s3: timeout", tally=drifted())], 5),
    ],
)
def test_the_exit_status_tells_the_worst_of_the_last_crawls(
    crawled: CrawledGateway, crawls: list[Crawled], status: int
) -> None:
    crawled.found(*crawls)
    for form in ((), ("--json",), ("--csv",)):
        assert crawled.kvctl("drift", "report", *ALL, *form).exit_code == status


def test_a_breaker_is_spelled_out(crawled: CrawledGateway) -> None:
    crawled.found(one(NAMESPACE, stopped=WHY))
    shown = crawled.kvctl("drift", "report", *ALL).stdout
    assert f"articles: STOPPED: {WHY}; `kvctl crawl resume --accept` allows it" in shown


def test_the_report_of_one_namespace_and_of_some_days(crawled: CrawledGateway) -> None:
    crawled.found(one(NAMESPACE), one(OTHER, tally=drifted()))
    for which in ("articles", NAMESPACE):
        result = crawled.kvctl("drift", "report", *ALL, "-n", which, "--json")
        assert result.exit_code == 0
        assert [json.loads(line)["namespace"] for line in result.stdout.splitlines()] == [NAMESPACE]
    assert crawled.kvctl("drift", "report", "--days", "1").exit_code == 1
    assert crawled.kvctl("drift", "report", "-n", "nowhere").exit_code == 1


def test_a_report_that_is_cut_off_says_so(
    crawled: CrawledGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvctl.drift._SHOWN_MAX", 2)
    crawled.found(*(one(NAMESPACE, at) for at in range(2)))
    crawled.found(one(OTHER, 7))
    result = crawled.kvctl("drift", "report", *ALL, "--json")
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr == "kvctl: only the last 2 crawls; --days or -n narrow it\n"


@pytest.mark.parametrize(
    "wrong",
    [
        ("report", "--days", "inf"),
        ("report", "--days", "-1"),
        ("scan", "--deep-parts", "0"),
        ("scan", "--deep-parts", "1000001"),
        ("scan", "--deep-parts", "5000000000"),
    ],
)
def test_numbers_beyond_their_bounds_are_refused(
    crawled: CrawledGateway, wrong: tuple[str, ...]
) -> None:
    result = crawled.kvctl("drift", *wrong)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"kvctl: {wrong[1]}: " in result.stderr
    assert crawled.crawler.board.runs == ()


def test_json_is_one_crawl_a_line_the_newest_first(crawled: CrawledGateway) -> None:
    crawled.found(one(NAMESPACE, tally=drifted()), one(OTHER, 1))
    lines = crawled.kvctl("drift", "report", *ALL, "--json").stdout.splitlines()
    newest, older = map(json.loads, lines)
    assert (newest["namespace"], newest["title"], newest["equal"]) == (OTHER, None, True)
    assert older["drift"].pop("missing_in_s3") == {
        "keys": 1, "bytes": 4321, "oldest_us": BEGAN_US - 60_000_000,
    }  # fmt: skip
    assert older["drift"].pop("older_in_kvsp")["keys"] == 1
    assert set(older["drift"]) == {drift.name.lower() for drift in Drift} - {
        "missing_in_s3", "older_in_kvsp",
    }  # fmt: skip
    assert {(d["keys"], d["bytes"], d["oldest_us"]) for d in older.pop("drift").values()} == {
        (0, 0, None)
    }
    assert older == {
        "namespace": NAMESPACE, "title": "articles", "crawl": 7, "began_us": BEGAN_US,
        "ended_us": BEGAN_US + 5_000_000, "deep_parts": 0, "dry_run": False, "ranges": 2,
        "alone": None, "equal": False, "failure": None, "stopped": None, "keys": 1236, "drifted": 2,
        "ppm": 1618.123, "equal_keys": 1234, "tombstones": 0, "oldest_tombstone_us": None,
        "deep_keys": 0, "copied": {"kvsp": 0, "s3": 1}, "repaired": 1,
        "repair_mean_us": 65_000_000, "repair_max_us": 65_000_000, "unhealed_keys": 1,
        "unhealed": ["stuck: s3: timeout"], "requests": {"kvsp": 0, "s3": 0}, "bytes_read": 0,
    }  # fmt: skip


def test_csv_is_one_crawl_a_line_with_a_column_a_class(crawled: CrawledGateway) -> None:
    crawled.found(one(NAMESPACE, tally=drifted()), one(OTHER, 1))
    text = crawled.kvctl("drift", "report", *ALL, "--csv").stdout
    newest, older = csv.DictReader(io.StringIO(text))
    assert (newest["namespace"], newest["title"], newest["equal"]) == (OTHER, "", "True")
    counts = {drift.name.lower(): older[drift.name.lower()] for drift in Drift}
    assert {name for name, count in counts.items() if count != "0"} == {
        "missing_in_s3", "older_in_kvsp",
    }  # fmt: skip
    assert {name: older[name] for name in older if name not in counts} == {
        "namespace": NAMESPACE, "title": "articles", "crawl": "7",
        "began": "2023-11-14T22:13:20Z", "ended": "2023-11-14T22:13:25Z", "equal": "False",
        "keys": "1236", "drifted": "2", "ppm": "1618.123", "repaired": "1",
        "repair_max_s": "65.000", "unhealed": "1", "alone": "",
    }  # fmt: skip


def test_of_one_home_alone_nothing_says_that_two_are_equal(
    crawled: CrawledGateway, tmp_path: Path
) -> None:
    crawled.found(replace(one(NAMESPACE), alone=Side.KVSP))
    reported = crawled.kvctl("drift", "report", *ALL)
    assert reported.exit_code == 0
    assert reported.stdout.splitlines()[1].endswith("  kvsp alone")
    assert crawled.json("drift", "report", *ALL)["alone"] == "kvsp"
    [row] = csv.DictReader(io.StringIO(crawled.kvctl("drift", "report", *ALL, "--csv").stdout))
    assert row["alone"] == "kvsp"
    page = tmp_path / "page.html"
    crawled.kvctl("drift", "report", *ALL, "--html", str(page))
    assert '<td class="good">kvsp alone</td>' in page.read_text()
    assert "both homes were equal" not in page.read_text()


@pytest.mark.parametrize("title", ["=1+1", "+1", "-1", "@x"])
def test_no_spreadsheet_takes_a_title_for_a_formula(crawled: CrawledGateway, title: str) -> None:
    made = crawled.kvctl("--json", "namespace", "create", "--", title)
    namespace = json.loads(made.stdout)["id"]
    crawled.found(one(namespace))
    [row] = csv.DictReader(io.StringIO(crawled.kvctl("drift", "report", *ALL, "--csv").stdout))
    assert row["title"] == f"'{title}"


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--csv", "--json"), "--csv and --json exclude each other"),
        (("--csv", "--html", "page.html"), "--csv and --html exclude each other"),
        (("--html", "page.html", "--json"), "--html and --json exclude each other"),
    ],
)
def test_a_report_has_one_form(crawled: CrawledGateway, flags: tuple[str, ...], told: str) -> None:
    result = crawled.kvctl("drift", "report", *flags)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr


class Page(HTMLParser):
    """What a browser shows of a page, and what it would fetch or run for it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


FETCHING = {"script", "link", "img", "iframe", "object", "embed", "video", "audio", "base", "use"}
FETCHING_ATTRIBUTES = {"href", "src", "xlink:href", "srcset", "data", "action", "background"}


def test_html_is_one_file_that_holds_the_numbers_and_needs_nothing(
    crawled: CrawledGateway, tmp_path: Path
) -> None:
    crawled.found(
        one(NAMESPACE, tally=drifted()), one(OTHER, 1), one(NAMESPACE, 9, tally=drifted())
    )
    file = tmp_path / "reports" / "drift.html"
    file.parent.mkdir()
    result = crawled.kvctl("drift", "report", *ALL, "--html", str(file))
    assert (result.exit_code, result.stdout) == (4, f"wrote {file}\n")
    assert list(file.parent.iterdir()) == [file]
    text = file.read_text("utf-8")
    page = Page(text)
    assert not FETCHING & {*page.tags}
    assert not FETCHING_ATTRIBUTES & {name for name, _ in page.attributes}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not re.search(r"https?:|//|@import|url\(", text)
    shown = " ".join(page.text.split())
    assert "articles 1,236 2 1618.1 1 1 2023-11-14T22:13:25Z no" in shown
    assert f"{OTHER} 4 0 0.0 0 0 2023-11-14T22:13:25Z yes" in shown
    for line in (
        "1 key missing in s3, 4.2 KiB, the oldest for 65 s",
        "repaired 1 key, 65 s after the write on average, 65 s at most",
        "not repaired: stuck: s3: timeout",
        "both homes were equal",
    ):
        assert line in shown
    assert page.tags.count("svg") == 2, "there is nothing to draw of the other one"
    assert "none in 1 crawl, the last one at 2023-11-14T22:13:25Z" in shown
    assert shown.index("articles 1,236") < shown.index(f"{OTHER} 4"), "the worst comes first"
    assert "older in s3" not in shown, "a key without a line"


def test_html_of_no_crawl_says_so(crawled: CrawledGateway, tmp_path: Path) -> None:
    file = tmp_path / "drift.html"
    assert crawled.kvctl("drift", "report", "--html", str(file)).exit_code == 1
    assert "no crawl has ended yet" in Page(file.read_text("utf-8")).text


def test_html_escapes_titles_and_keys(crawled: CrawledGateway, tmp_path: Path) -> None:
    hostile = "<script>é&\"'</script>"
    namespace = crawled.json("namespace", "create", hostile)["id"]
    tally = Tally()
    tally.not_healed(f"{hostile}: gone")
    crawled.found(one(namespace, tally=tally))
    file = tmp_path / "drift.html"
    assert crawled.kvctl("drift", "report", *ALL, "--html", str(file)).exit_code == 4
    page = Page(file.read_text("utf-8"))
    assert "script" not in page.tags
    assert page.text.count(hostile) == 3


def test_html_that_cannot_be_written_is_told(crawled: CrawledGateway, tmp_path: Path) -> None:
    crawled.found(one(NAMESPACE, tally=drifted()))
    file = tmp_path / "nowhere" / "drift.html"
    result = crawled.kvctl("drift", "report", *ALL, "--html", str(file))
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"kvctl: {file}: cannot be written: No such file or directory" in result.stderr


@pytest.mark.parametrize(
    ("failure", "crawls", "status"),
    [
        ("", (one(NAMESPACE),), 0),
        ("", (one(NAMESPACE, tally=drifted()),), 4),
        ("", (one(NAMESPACE, stopped=WHY),), 5),
        ("s3: timeout", (one(NAMESPACE, failure="s3: timeout"),), 3),
        ("no home knows a namespace", (), 3),
    ],
)
def test_a_scan_shows_its_crawls_and_ends_with_what_they_found(
    crawled: CrawledGateway, failure: str, crawls: tuple[Crawled, ...], status: int
) -> None:
    crawled.tell(lambda crawler: _answer_runs(crawler, failure, crawls))
    result = crawled.kvctl("drift", "scan", "-n", "articles", "--deep-parts", "3", "--dry-run")
    assert result.exit_code == status
    assert ("articles" in result.stdout) == bool(crawls)
    assert (f"not everything was compared: {failure}" in result.stderr) == bool(failure)
    [run] = crawled.crawler.board.runs
    asked = run.request
    assert (asked.namespace, asked.deep_parts, asked.dry_run) == (NAMESPACE, 3, True)


def test_who_waits_for_a_crawler_that_is_paused_hears_of_it(crawled: CrawledGateway) -> None:
    def pausing(crawler: Served) -> None:
        ask = crawler.board.ask

        def asking(request: RunRequest) -> Run:
            run, loop = ask(request), asyncio.get_running_loop()
            crawler.board.pause()
            loop.call_later(1.0, crawler.board.go_on)
            loop.call_later(1.0, crawler.board.ended, run, "", (one(NAMESPACE),))
            return run

        crawler.board.ask = asking  # type: ignore[method-assign]

    crawled.tell(pausing)
    result = crawled.kvctl("drift", "scan", "-n", "articles")
    assert result.exit_code == 0
    paused = "kvctl: the crawler is paused; `kvctl crawl resume` lets it go on\n"
    assert result.stderr == paused


def _answer_runs(crawler: Served, failure: str, crawls: tuple[Crawled, ...]) -> None:
    """Has whatever run is asked for end so at once."""
    ask = crawler.board.ask

    def answering(request: RunRequest) -> Run:
        run = ask(request)
        crawler.board.ended(run, failure, crawls)
        return run

    crawler.board.ask = answering  # type: ignore[method-assign]


@pytest.mark.parametrize("command", [("drift", "report"), ("drift", "scan"), ("drift", "watch")])
def test_a_report_needs_a_crawler_that_answers(command: tuple[str, ...]) -> None:
    environment = {"TANDEM_CRAWLER": "127.0.0.1:1", "TANDEM_GRPC": "127.0.0.1:1"}
    result = invoke(*command, "--timeout", "300ms", environment=environment)
    assert result.exit_code == 3
    assert result.stderr.startswith("kvctl: no crawler at 127.0.0.1:1: ")
    assert "Start one with `kvctl up` or `crawler`" in result.stderr


def test_how_many_more_stayed_unequal_is_told(crawled: CrawledGateway) -> None:
    tally = Tally(equal=1)
    for at in range(UNHEALED_MAX + 3):
        tally.not_healed(f"key {at}: s3: timeout")
    crawled.found(one(NAMESPACE, tally=tally))
    *_, last, more = crawled.kvctl("drift", "report", *ALL).stdout.splitlines()
    assert last == f"articles: not repaired: key {UNHEALED_MAX - 1}: s3: timeout"
    assert more == "articles: not repaired: 3 more"
