"""`kvctl namespace mode`: shows, waits, asks, steps, and says why not."""

import json
from dataclasses import replace

import pytest

from tandem.core.mode import Mode, Stage
from tandem.core.mode_step import WorkerView
from tandem.core.reply import Side
from tests.kvctl.serving import Gateway
from tests.kvgateway.rpc.memory_store import NAMESPACE

READY = WorkerView("g1.0", 1_000_000, 0, 1, compared=30, different=2)
QUICK = ("--wait", "600ms")


def _in(gateway: Gateway, mode: Mode, *views: WorkerView) -> None:
    """The namespace is in this mode, and these processes are there."""
    namespace = gateway.registry._found[NAMESPACE]
    settings = replace(namespace.settings, mode=mode)
    gateway.registry.changed(replace(namespace, settings=settings))
    gateway.operations.views = list(views) or [READY]


def test_a_namespace_shows_where_it_is(gateway: Gateway) -> None:
    _in(gateway, Mode(Stage.SHADOW, Side.S3), READY, replace(READY, id="g2.0", epoch=7))
    gateway.operations.crawled_us = 5_000_000
    shown = gateway.kvctl("namespace", "mode", "articles").stdout
    assert shown.splitlines() == [
        f"id        {NAMESPACE}",
        "title     articles",
        "mode      shadow(s3)",
        "epoch     0",
        "crawled   1970-01-01T00:00:05Z",
        "compared  60 reads, 4 different",
        "next      single(s3), active(s3, 1 %), active",
        "",
        "GATEWAY  EPOCH  STATE",
        "g1.0     0      ready",
        "g2.0     7      has not seen the mode",
    ]
    document = gateway.json("namespace", "mode", NAMESPACE)
    assert document["mode"] == {"stage": "shadow", "home": "s3", "percent": 100}
    assert not document["everywhere"]
    assert [one["id"] for one in document["gateways"]] == ["g1.0", "g2.0"]
    assert (document["compared"], document["different"], document["stepped"]) == (60, 4, False)


def test_the_state_of_a_gateway_is_told(gateway: Gateway) -> None:
    waits = replace(READY, since_us=0, behind=(Side.KVSP,), waiting=(Side.S3,))
    _in(gateway, Mode(Stage.SHADOW, Side.S3), waits)
    shown = gateway.kvctl("namespace", "mode", "articles").stdout.splitlines()
    assert shown[-1].endswith("ends writes of the mode before; kvsp is behind; repairs wait for s3")


def test_a_step_tells_what_it_changes_and_is_taken(gateway: Gateway) -> None:
    _in(gateway, Mode(Stage.SINGLE, Side.S3))
    result = gateway.kvctl("namespace", "mode", "articles", "shadow", "--to", "kvsp", "--yes")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[:2] == [
        "articles: single(s3) -> shadow(s3)",
        "  Writes go to both homes.",
    ]
    assert "mode      shadow(s3)" in result.stdout
    gateway.operations.crawled_us = 10**15
    again = gateway.kvctl("namespace", "mode", "articles", "shadow", "--yes")
    assert (again.exit_code, again.stderr) == (0, ""), "it is there already"
    back = gateway.json("namespace", "mode", "articles", "single", "--home", "s3", "--yes")
    assert (back["stepped"], back["mode_epoch"], back["everywhere"]) == (True, 2, True)


def test_a_share_of_keys_is_given(gateway: Gateway) -> None:
    _in(gateway, Mode(Stage.SHADOW, Side.KVSP))
    gateway.operations.crawled_us = 10**15
    done = gateway.json("namespace", "mode", "articles", "active", "--percent", "10", "--yes")
    assert done["mode"] == {"stage": "active", "home": "kvsp", "percent": 10}


def test_what_passes_is_waited_for_and_what_does_not_is_told_at_once(gateway: Gateway) -> None:
    _in(gateway, Mode(Stage.SHADOW, Side.S3), replace(READY, epoch=3))
    gateway.operations.crawled_us = 10**15
    refused = gateway.kvctl("namespace", "mode", "articles", "active", "--yes", *QUICK)
    assert refused.exit_code == 1
    assert refused.stderr == (
        "kvctl: no step to active now; nothing was changed:\n"
        "  gateway g1.0 goes by epoch 3 of the mode, not by 0\n"
    )
    forced = gateway.kvctl("namespace", "mode", "articles", "active", "--yes", "--force", *QUICK)
    assert forced.exit_code == 0
    assert "  FORCED: gateway g1.0 goes by epoch 3 of the mode, not by 0" in forced.stderr


def test_what_lasts_is_not_forced(gateway: Gateway) -> None:
    _in(gateway, Mode(Stage.SHADOW, Side.S3))
    for force in ((), ("--force",)):
        refused = gateway.kvctl("namespace", "mode", "articles", "active", "--yes", *force)
        assert refused.exit_code == 1
        assert "no crawl has found both homes equal" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--home", "s3"), "which mode?"),
        (("--percent", "100"), "which mode?"),
        (("single", "--yes"), "give --home"),
        (("active", "--percent", "5", "--yes"), "give --home"),
        (("shadow", "--home", "s3", "--to", "s3", "--yes"), "give one of them"),
        (("shadow", "--home", "s3", "--percent", "5", "--yes"), "--percent"),
        (("shadow", "--home", "s3"), "confirm with --yes"),
        (("single", "--home", "s3", "--yes"), "no step leads from active to single(s3)"),
        (("doubled", "--yes"), "doubled"),
    ],
)
def test_what_is_asked_wrongly_changes_nothing(
    gateway: Gateway, arguments: tuple[str, ...], text: str
) -> None:
    result = gateway.kvctl("namespace", "mode", "articles", *arguments)
    assert result.exit_code == 2
    assert text in result.stderr
    assert gateway.json("namespace", "get", "articles")["mode_epoch"] == 0


def test_a_namespace_begins_in_one_home(gateway: Gateway) -> None:
    made = gateway.json("namespace", "create", "photos", "--alone", "s3")
    assert made["mode"] == {"stage": "single", "home": "s3", "percent": 100}
    shown = gateway.kvctl("namespace", "get", "photos").stdout
    assert "mode     single(s3)" in shown
    assert json.loads(gateway.kvctl("namespace", "list", "--json").stdout.splitlines()[1]) == made
