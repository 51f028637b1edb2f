"""`kvctl backend rebuild`: which home may be filled, what is asked and told, and how it ends."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tandem.core.crawl_status import Crawled, Run, RunRequest
from tandem.core.drift import LACKED, Drift, Sighting
from tandem.core.mode import Mode, Stage
from tandem.core.reply import Side
from tandem.core.tally import Tally
from tests.crawler.served import Served, crawled
from tests.kvctl.crawled import CrawledGateway
from tests.kvctl.serving import Gateway, invoke
from tests.kvgateway.rpc.memory_store import NAMESPACE
from tests.servers.ports import free_port

REBUILD = ("backend", "rebuild")
YES = ("--yes", "--json")
EQUAL = crawled(NAMESPACE, tally=Tally(equal=9))


def lacking(
    side: Side, keys: int, also: int = 0, *, failure: str = "", stopped: str = ""
) -> Crawled:
    """A crawl that found 9 equal keys, so many that a home lacks, and so many that the other one
    does."""
    tally = Tally(equal=9)
    for one, count in ((side, keys), (side.other, also)):
        for number in range(count):
            drift = sorted(LACKED[one], key=lambda drift: drift.value)[number % 2]
            tally.saw(Sighting(drift, 1000))
    return crawled(NAMESPACE, tally=tally, failure=failure, stopped=stopped)


class Scripted:
    """What the crawls of a guide find, one after the other; the last one again and again."""

    def __init__(self, served: Served, *outcomes: Crawled) -> None:
        self.requests: list[RunRequest] = []
        self.failure = ""
        self._outcomes = list(outcomes)
        self._served = served
        self._ask = served.board.ask
        served.board.ask = self._answer  # type: ignore[method-assign]

    def _answer(self, request: RunRequest) -> Run:
        run = self._ask(request)
        self.requests.append(request)
        one = self._outcomes.pop(0) if self._outcomes[1:] else self._outcomes[0]
        self._served.board.ended(run, self.failure, (one,))
        return run

    def wanted(self) -> Sequence[str]:
        """What the crawls were asked for."""
        return [
            "look" if one.dry_run else one.rebuild.value if one.rebuild else "repair"
            for one in self.requests
        ]


@pytest.fixture
def store(crawled: CrawledGateway) -> CrawledGateway:
    """A gateway that trusts both homes, until it is told otherwise, and a crawler."""
    _trusting(crawled)
    return crawled


def _trusting(gateway: Gateway) -> None:
    operations = gateway.operations
    for side, home in operations.homes.items():
        operations.homes[side] = replace(home, behind=())


def script(store: CrawledGateway, *outcomes: Crawled) -> Scripted:
    made: list[Scripted] = []
    store.tell(lambda served: made.append(Scripted(served, *outcomes)))
    return made[0]


def heals(store: Gateway, side: Side) -> list[Side]:
    """Has the gateway trust the home as soon as somebody has marked it; who was marked."""
    marked: list[Side] = []
    operations = store.operations

    async def mark_behind(home: Side) -> Any:  # noqa: ANN401 - what the service answers
        marked.append(home)
        return await operations.status()

    operations.mark_behind = mark_behind  # type: ignore[method-assign]
    return marked


@pytest.mark.parametrize("side", Side)
def test_the_guide_looks_marks_fills_and_looks_again(store: CrawledGateway, side: Side) -> None:
    lost = lacking(side, 40)
    runs, marked = script(store, lost, lost, EQUAL), heals(store, side)
    result = store.kvctl(*REBUILD, side.value, "--yes")
    assert (result.exit_code, result.stderr) == (0, "")
    assert marked == [side]
    assert runs.wanted() == ["look", side.value, "look"]
    home, other = side.value, side.other.value
    lines = result.stdout.splitlines()
    assert lines[0].split() == [
        "NAMESPACE", "RECORDS", home.upper(), "LACKS", "BYTES", other.upper(), "LACKS",
    ]  # fmt: skip
    assert lines[1].split() == ["articles", "49", "40", "39.1", "KiB", "0"]
    assert lines[3].startswith(f"40 records (39.1 KiB) will be copied from {other} to {home};")
    assert lines[-1] == (
        f"{home} is rebuilt: 40 records (39.1 KiB) copied; a second look at 9 records found no"
        " difference"
    )


@pytest.mark.parametrize("side", Side)
def test_it_tells_what_was_kept_in_the_home_alone(store: CrawledGateway, side: Side) -> None:
    namespace = store.registry._found[NAMESPACE]
    alone = replace(namespace.settings, mode=Mode(Stage.SINGLE, Side.S3))
    store.registry.changed(replace(namespace, settings=alone, account="another one's"))
    script(store, lacking(side, 4), lacking(side, 4), EQUAL)
    heals(store, side)
    told = store.kvctl(*REBUILD, side.value, "--yes").stdout
    assert ("articles is kept in s3 alone: nothing brings back" in told) == (side is Side.S3)


def test_in_json_it_is_one_object(store: CrawledGateway) -> None:
    script(store, lacking(Side.S3, 3), lacking(Side.S3, 4), EQUAL)
    heals(store, Side.S3)
    result = store.kvctl(*REBUILD, "s3", *YES)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "home": "s3", "lacked": 3, "copied": 4, "copied_bytes": 4000, "crawls": 1, "verified": 9,
        "left": 0, "trusted": True,
    }  # fmt: skip


def test_what_drifts_meanwhile_takes_another_crawl(store: CrawledGateway) -> None:
    runs = script(
        store, lacking(Side.S3, 30), lacking(Side.S3, 30), lacking(Side.S3, 2),
        lacking(Side.S3, 2), EQUAL,
    )  # fmt: skip
    heals(store, Side.S3)
    result = store.kvctl(*REBUILD, "s3", *YES)
    assert result.exit_code == 0
    assert runs.wanted() == ["look", "s3", "look", "s3", "look"]
    assert json.loads(result.stdout)["copied"] == 32


def test_homes_that_never_become_equal_end_with_drift(store: CrawledGateway) -> None:
    runs = script(store, lacking(Side.KVSP, 7))
    heals(store, Side.KVSP)
    result = store.kvctl(*REBUILD, "kvsp", "--yes")
    assert result.exit_code == 4
    assert "kvsp is not equal yet: 7 of 16 records differ" in result.stdout
    assert len(runs.requests) == 11, "a bound holds"


def test_a_home_that_lacks_nothing_is_left_alone(store: CrawledGateway) -> None:
    runs, marked = script(store, EQUAL), heals(store, Side.S3)
    result = store.kvctl(*REBUILD, "s3", "--yes")
    assert (result.exit_code, result.stdout) == (0, "s3 lacks nothing: 9 records compared\n")
    assert (runs.wanted(), marked) == (["look"], [])


def test_a_home_that_is_marked_already_is_not_marked_again(store: CrawledGateway) -> None:
    marked, operations = heals(store, Side.S3), store.operations
    operations.homes[Side.S3] = replace(operations.homes[Side.S3], behind=("*",))
    runs = script(store, EQUAL)

    def trust(request: RunRequest) -> None:
        if request.rebuild:
            operations.homes[Side.S3] = replace(operations.homes[Side.S3], behind=())

    answer = store.crawler.board.ask

    def answering(request: RunRequest) -> Run:
        trust(request)
        return answer(request)

    store.crawler.board.ask = answering  # type: ignore[method-assign]
    result = store.kvctl(*REBUILD, "s3", *YES)
    assert result.exit_code == 0
    assert (runs.wanted(), marked) == (["look", "s3", "look"], [])


@pytest.mark.parametrize("side", Side)
def test_the_wrong_home_is_refused(store: CrawledGateway, side: Side) -> None:
    runs, marked = script(store, lacking(side.other, 50, also=2)), heals(store, side)
    result = store.kvctl(*REBUILD, side.value, "--yes")
    assert (result.exit_code, result.stdout) == (1, "")
    other = side.other.value
    assert f"it is {other} that lacks 50 records; {side.value} lacks 2." in result.stderr
    assert f"`kvctl backend rebuild {other}`" in result.stderr
    assert (runs.wanted(), marked) == (["look"], [])


@pytest.mark.parametrize(
    ("which", "change", "status", "told"),
    [
        ("kvsp", {"reads_enabled": False}, 1, "kvsp is switched off, and so nothing is copied"),
        ("s3", {"writes_enabled": False}, 1, "`kvctl backend enable s3`"),
        ("kvsp", {"breaker": "open"}, 3, "kvsp does not answer: none"),
        ("s3", {"breaker": "half-open"}, 3, "s3 does not answer: none"),
        ("s3", {"behind": ("*",)}, 1, "s3 may itself lack writes of all namespaces"),
        ("s3", {"behind": ("a", "b")}, 1, "s3 may itself lack writes of 2 namespaces"),
    ],
)
def test_homes_that_are_not_fit_for_it_are_left_alone(
    store: CrawledGateway, which: str, change: dict[str, Any], status: int, told: str
) -> None:
    runs, marked, side = script(store, lacking(Side.KVSP, 5)), heals(store, Side.KVSP), Side(which)
    store.operations.homes[side] = replace(store.operations.homes[side], **change)
    result = store.kvctl(*REBUILD, "kvsp", "--yes")
    assert (result.exit_code, result.stdout) == (status, "")
    assert told in result.stderr
    assert "Nothing was changed." in result.stderr
    assert (runs.requests, marked) == ([], [])


def test_force_fills_from_a_home_that_may_lack_writes_itself(store: CrawledGateway) -> None:
    store.operations.homes[Side.S3] = replace(store.operations.homes[Side.S3], behind=("*",))
    runs = script(store, lacking(Side.KVSP, 5), lacking(Side.KVSP, 5), EQUAL)
    heals(store, Side.KVSP)
    assert store.kvctl(*REBUILD, "kvsp", "--yes", "--force").exit_code == 0
    assert runs.wanted() == ["look", "kvsp", "look"]


def test_without_a_terminal_it_does_not_ask(store: CrawledGateway) -> None:
    runs = script(store, lacking(Side.KVSP, 5))
    result = store.kvctl(*REBUILD, "kvsp")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "confirm with --yes" in result.stderr
    assert runs.requests == []


@pytest.mark.parametrize(
    ("outcome", "status", "told"),
    [
        (
            lacking(Side.S3, 5, failure="s3: timeout"),
            3,
            "not everything was compared: s3: timeout",
        ),
        (
            lacking(Side.S3, 5, stopped="repairing would touch 9 of 12 records"),
            5,
            "Copies to s3 pass it",
        ),
    ],
)
def test_a_crawl_that_does_not_come_to_its_end_ends_the_guide(
    store: CrawledGateway, outcome: Crawled, status: int, told: str
) -> None:
    script(store, lacking(Side.S3, 5), outcome)
    heals(store, Side.S3)
    result = store.kvctl(*REBUILD, "s3", *YES)
    assert (result.exit_code, result.stdout) == (status, "")
    assert told in result.stderr


def test_a_crawler_that_may_not_crawl_is_told(store: CrawledGateway) -> None:
    script(store, EQUAL).failure = "kvsp does not answer"
    result = store.kvctl(*REBUILD, "kvsp", "--yes")
    assert result.exit_code == 3
    assert "not everything was compared: kvsp does not answer" in result.stderr


def test_a_paused_crawler_is_told(store: CrawledGateway) -> None:
    store.tell(lambda served: served.board.pause())
    result = store.kvctl(*REBUILD, "kvsp", "--yes")
    assert result.exit_code == 2
    assert "`kvctl crawl resume` lets it go on" in result.stderr


@pytest.fixture
def second() -> Iterator[Gateway]:
    with Gateway() as gateway:
        _trusting(gateway)
        yield gateway


def test_every_gateway_that_is_named_is_asked_and_told(
    store: CrawledGateway, second: Gateway
) -> None:
    script(store, lacking(Side.S3, 5), lacking(Side.S3, 5), EQUAL)
    marked = heals(store, Side.S3), heals(second, Side.S3)
    both = ("--gateway", store.address, "--gateway", second.address)
    assert store.kvctl(*REBUILD, "s3", *YES, *both).exit_code == 0
    assert marked == ([Side.S3], [Side.S3])
    second.operations.homes[Side.KVSP] = replace(second.operations.homes[Side.KVSP], behind=("*",))
    refused = store.kvctl(*REBUILD, "s3", *YES, *both)
    assert refused.exit_code == 1
    assert f"{second.address}: kvsp may itself lack writes" in refused.stderr


def test_a_gateway_that_is_not_there_ends_it() -> None:
    silent = f"127.0.0.1:{free_port()}"
    result = invoke(*REBUILD, "s3", "--yes", "--gateway", silent)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"kvctl: no gateway at {silent}")


def test_every_real_drift_but_corruption_and_zombies_is_something_that_a_home_lacks() -> None:
    assert set[Drift]().union(*LACKED.values()) == {
        Drift.MISSING_IN_KVSP, Drift.OLDER_IN_KVSP, Drift.MISSING_IN_S3, Drift.OLDER_IN_S3,
    }  # fmt: skip
    assert not LACKED[Side.KVSP] & LACKED[Side.S3]


def test_a_gateway_that_never_trusts_the_home_is_told(
    store: CrawledGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvctl.rebuild.command.TRUSTED_S", 0.5)
    runs = script(store, lacking(Side.S3, 5), lacking(Side.S3, 5), EQUAL)
    result = store.kvctl(*REBUILD, "s3", "--yes")
    assert result.exit_code == 1
    assert "s3 holds everything: 5 records (4.9 KiB) copied" in result.stdout
    assert "some gateway holds s3 to be behind still" in result.stderr
    assert runs.wanted().count("s3") == 5, "a bound holds"
