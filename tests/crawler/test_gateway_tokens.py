"""Which token the crawler shows to a gateway."""

from pathlib import Path

import pytest

from crawler.gateways import RemoteGateways
from crawler.settings import CrawlerSettings
from crawler.tokens import tokens_of
from tandem.core.operations import CrawlReport
from tandem.errors import ConfigurationError
from tandem.runtime.local_tokens import make_crawler_token
from tandem.runtime.randomness import SystemEntropy
from tandem.runtime.settings import Address, SettingsError, load, read_sources
from tests.kvgateway.open_entrance import OpenEntrance
from tests.kvgateway.rpc.running import Running

OTHER_MACHINE = "10.0.0.5:8781"
LOOPBACK = ("127.0.0.1:8781", "localhost:1", "[::1]:8781")


def test_its_own_token_wins_over_the_admin_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("an-admin-token-3")
    both = CrawlerSettings(data=tmp_path, token="own", admin_token="an-admin-token-1")
    one = CrawlerSettings(data=tmp_path, admin_token="an-admin-token-1")
    file = CrawlerSettings(data=tmp_path, admin_token_file=str(tmp_path / "token"))
    for gateway in (*LOOPBACK, OTHER_MACHINE):
        assert tokens_of(both).to_show(gateway) == "own"
        assert tokens_of(one).to_show(gateway) == "an-admin-token-1"
        assert tokens_of(file).to_show(gateway) == "an-admin-token-3"
    with pytest.raises(ConfigurationError, match="admin_token"):
        tokens_of(CrawlerSettings(data=tmp_path, admin_token="short"))


def test_what_the_gateway_beside_it_has_made_is_shown_to_no_other_machine(tmp_path: Path) -> None:
    settings = CrawlerSettings(data=tmp_path)
    assert tokens_of(settings).to_show(LOOPBACK[0]) == ""
    made = make_crawler_token(tmp_path, SystemEntropy())
    assert {tokens_of(settings).to_show(gateway) for gateway in LOOPBACK} == {made}
    assert tokens_of(settings).to_show(OTHER_MACHINE) == ""
    exposed = CrawlerSettings(data=tmp_path, grpc_address=Address("0.0.0.0", 8781))
    assert exposed.gateway_addresses() == ("0.0.0.0:8781",)
    assert tokens_of(exposed).to_show("0.0.0.0:8781") == made
    assert tokens_of(exposed).to_show(OTHER_MACHINE) == ""


@pytest.mark.parametrize("gateways", ["nowhere", "a:1,b", ",", "grpc,a:1", "a:99999"])
def test_what_is_no_address_of_a_gateway_is_a_mistake(gateways: str) -> None:
    with pytest.raises(SettingsError, match="expected grpc, or host:port of every gateway"):
        _loaded("--gateways", gateways)


@pytest.mark.parametrize(
    ("gateways", "addresses"),
    [
        ("grpc", ("127.0.0.1:8781",)),
        ("a:1", ("a:1",)),
        (" a:1, [::1]:2,", ("a:1", "[::1]:2")),
    ],
)
def test_gateways_are_named_with_commas(gateways: str, addresses: tuple[str, ...]) -> None:
    assert _loaded("--gateways", gateways).gateway_addresses() == addresses


def _loaded(*arguments: str) -> CrawlerSettings:
    return load(CrawlerSettings, "crawler", read_sources(arguments, {}, "crawler")).settings


async def test_every_question_and_report_carries_it() -> None:
    gateway = Running()
    entrance = OpenEntrance(gateway.store, gateway.registry, gateway.operations)
    entrance.refused.add("wrong")
    gateway.entrance = entrance
    await gateway.start()
    crawler = RemoteGateways([gateway.address], lambda _: "right")
    assert await crawler.enabled()
    report = CrawlReport("ab" * 16, 1, equal=True)
    await crawler.tell(report)
    assert gateway.operations.reports == [report]
    assert set(entrance.seen) == {"right"}
    refused = RemoteGateways([gateway.address], lambda _: "wrong")
    assert not await refused.enabled()
    await refused.tell(report)
    assert gateway.operations.reports == [report]
    await gateway.stop()
