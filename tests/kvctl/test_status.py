"""`kvctl status`, `backend` and `queue`."""

import json
from dataclasses import replace

import pytest

from kvctl.crawls_seen import CrawlsSeen
from kvctl.status import status_text
from tandem.core.differences import differences
from tandem.core.operations import HomeStatus, QueueStatus, Status
from tandem.core.reply import Side
from tests.kvctl.serving import Gateway
from tests.kvgateway.rpc.memory_store import NAMESPACE

KVSP = HomeStatus(Side.KVSP, "kvsp", "127.0.0.1:8782", "closed", True, True)
S3 = HomeStatus(Side.S3, "file", "data/objects", "closed", True, True)
NO_CRAWLER = CrawlsSeen("127.0.0.1:8783", trouble="connection refused")
NOBODY = "127.0.0.1:1"
HEALTHY = Status((KVSP, S3), QueueStatus(), "gateway-1", 10)


def test_a_gateway_that_knows_of_no_difference_calls_both_homes_equal() -> None:
    assert differences(HEALTHY) == []
    assert differences(replace(HEALTHY, queue=QueueStatus(healed=4, failed_tries=5))) == []
    assert differences(replace(HEALTHY, homes=(replace(KVSP, reads_enabled=False), S3))) == []


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (replace(HEALTHY, queue=QueueStatus(depth=1)), "1 repair queued"),
        (replace(HEALTHY, queue=QueueStatus(dirty_ranges=2)), "2 ranges left to the crawler"),
        (replace(HEALTHY, queue=QueueStatus(needs_person=1)), "1 repair waiting for a person"),
        (replace(HEALTHY, journal_pending=3), "3 writes not confirmed by the second home yet"),
        (
            replace(HEALTHY, namespaces_equal=False),
            "the list of namespaces was not found equal in both homes",
        ),
        (
            replace(HEALTHY, homes=(KVSP, replace(S3, writes_enabled=False))),
            "s3 is switched off for writes",
        ),
        (
            replace(HEALTHY, homes=(replace(KVSP, breaker="open"), S3)),
            "kvsp does not answer (breaker open)",
        ),
        (
            replace(HEALTHY, homes=(KVSP, replace(S3, behind=("*", "a")))),
            "s3 may lack writes of any namespace, until a crawl has found it equal",
        ),
        (
            replace(HEALTHY, homes=(KVSP, replace(S3, behind=tuple("abcde")))),
            "s3 may lack writes of a, b, c and 2 more, until a crawl has found it equal",
        ),
    ],
)
def test_each_known_difference_is_named(status: Status, expected: str) -> None:
    assert differences(status) == [expected]


def test_status_as_json(gateway: Gateway) -> None:
    status = gateway.json("status", "--crawler", NOBODY)
    assert len(status.pop("differences")) == 7
    home = {
        "home": "kvsp", "kind": "kvsp", "location": "127.0.0.1:8782", "detail": "ok",
        "breaker": "closed", "reads": True, "writes": True, "behind": ["*"],
        "last_failure": "none", "switch_epoch": 7,
    }  # fmt: skip
    assert status == {
        "gateway_id": "gateway-1",
        "doubled": True,
        "now_us": 10,
        "workers": 2,
        "worker_restarts": 3,
        "process": 4711,
        "equal": False,
        "homes": [home, {**home, "home": "s3", "kind": "file", "location": "data/objects"}],
        "queue": {
            "depth": 1, "oldest_age_us": 2, "dirty_ranges": 3, "healed": 4, "failed_tries": 5,
            "needs_person": 6,
        },
        "journal": {"pending": 3, "writable": False},
        "clock": {"offset_us": -5, "alarm": True},
        "namespaces_equal": False,
        "crawler": {
            "address": NOBODY, "trouble": "connection refused", "doing": None, "breakers": [],
            "namespaces": 0, "oldest_ended_us": None, "not_equal": [], "not_seen_whole": [],
        },
        "certificate": {
            "subject": "CN=node", "serial": "4D2", "not_before_us": -10,
            "not_after_us": 15 * 86_400_000_000, "trouble": "tls_key node.key: cannot be read",
        },
        "settings": {
            "read_us": 5, "mistakes": ["t.toml: [gateway] drian: unknown setting"],
            "waiting": ["data", "workers"],
        },
    }  # fmt: skip


def test_status_for_people_shows_what_is_wrong(gateway: Gateway) -> None:
    shown = gateway.kvctl("status", "--crawler", NOBODY).stdout
    lines = [line.split(maxsplit=1) for line in shown.splitlines() if line]
    assert ["queue", "1 repair, the oldest for 2 us; 4 healed, 5 failed tries; 3 dirty ranges"] in (
        lines
    )
    doubled = "; DOUBLED: another gateway uses this id"
    assert ["gateway", f"gateway-1, 2 workers, restarted 3 times{doubled}"] in lines
    assert ["journal", "3 open writes; NOT WRITABLE: writes wait for both homes"] in lines
    assert ["clock", "-5 us from the homes' clocks; ALARM: they disagree"] in lines
    assert ["crawler", f"{NOBODY}: no answer: connection refused"] in lines
    assert ["equal", "not yet"] in lines
    assert ["certificate", "CN=node, serial 4D2; 15 days left"] in lines
    assert ["-", "TROUBLE: tls_key node.key: cannot be read"] in lines
    assert ["settings", "those in force were read 10 us ago"] in lines
    assert ["-", "REFUSED: t.toml: [gateway] drian: unknown setting"] in lines
    assert ["-", "wait for a restart: data, workers"] in lines


def test_a_repair_that_is_not_due_yet_has_no_age() -> None:
    shown = status_text(replace(HEALTHY, queue=QueueStatus(depth=2)), NO_CRAWLER)
    assert "2 repairs; 0 healed" in shown


def test_a_switch_changes_one_use_and_leaves_the_other(gateway: Gateway) -> None:
    disabled = gateway.kvctl("backend", "disable", "s3", "--writes")
    assert disabled.exit_code == 0
    assert "s3 serves reads only; what it misses is queued for repair." in disabled.stdout
    homes = {home["home"]: home for home in gateway.json("status")["homes"]}
    assert (homes["s3"]["reads"], homes["s3"]["writes"]) == (True, False)
    both = gateway.json("backend", "disable", "s3")["homes"][1]
    assert (both["reads"], both["writes"]) == (False, False)
    reads = gateway.json("backend", "enable", "s3", "--reads")["homes"][1]
    assert (reads["reads"], reads["writes"]) == (True, False)
    enabled = gateway.kvctl("backend", "enable", "s3")
    assert "s3 serves reads and writes." in enabled.stdout


@pytest.mark.parametrize(
    ("first", "then", "refused"),
    [
        ((), (), "reads"),
        (("--reads",), (), "reads"),
        (("--writes",), (), "writes"),
        (("--writes",), ("--writes",), "writes"),
        (("--reads",), ("--writes",), None),
        (("--writes",), ("--reads",), None),
    ],
)
def test_the_last_home_of_a_use_stays_unless_forced(
    gateway: Gateway, first: tuple[str, ...], then: tuple[str, ...], refused: str | None
) -> None:
    assert gateway.kvctl("backend", "disable", "s3", *first).exit_code == 0
    before = gateway.json("status")
    result = gateway.kvctl("backend", "disable", "kvsp", *then)
    if refused is None:
        assert result.exit_code == 0
        return
    assert result.exit_code == 2
    assert f"s3 is out of {refused} already: without kvsp all {refused} would fail" in result.stderr
    assert gateway.json("status") == before
    assert gateway.kvctl("backend", "disable", "kvsp", *then, "--force").exit_code == 0
    assert gateway.json("status") != before


def test_a_home_that_is_off_already_can_be_switched_off_again(gateway: Gateway) -> None:
    for _ in range(2):
        assert gateway.kvctl("backend", "disable", "s3").exit_code == 0


def test_namespaces_that_a_home_may_lack_writes_of_are_called_by_their_titles(
    gateway: Gateway,
) -> None:
    homes = gateway.operations.homes
    homes[Side.S3] = replace(homes[Side.S3], behind=(NAMESPACE,))
    assert "s3 may lack writes of articles, until a crawl" in gateway.kvctl("status").stdout
    assert gateway.json("status")["homes"][1]["behind"] == [NAMESPACE]


def test_queue_shows_the_next_repairs(gateway: Gateway) -> None:
    lines = gateway.kvctl("queue", "--json").stdout.splitlines()
    assert json.loads(lines[0]) == {
        "namespace": NAMESPACE, "key": "naïve", "version": "0" * 12 + "5000" + "0" * 16,
        "attempts": 1, "age_us": 2, "due_in_us": -3, "last_failure": "timeout",
    }  # fmt: skip
    assert len(lines) == 2
    first = gateway.kvctl("queue", "--limit", "1")
    assert first.stdout.splitlines()[1].split() == [
        "articles", "naïve", "1", "2", "us", "now", "timeout",
    ]  # fmt: skip
    assert first.stderr == "only the next 1 are shown; see more with --limit\n"
    assert gateway.kvctl("queue", "--limit", "1001").exit_code == 2


@pytest.mark.parametrize("every", ["0s", "99ms", "-1s", "soon"])
def test_a_watch_without_a_breath_is_refused(gateway: Gateway, every: str) -> None:
    result = gateway.kvctl("status", "--watch", "--every", every)
    assert (result.exit_code, result.stdout) == (2, "")
