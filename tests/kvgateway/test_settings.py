"""Settings of a gateway that must fit together."""

import pytest

from crawler.settings import CrawlerSettings
from kvctl.settings import UpSettings
from kvgateway.settings import SOCKET_DIRECTORY_BYTES_MAX, GatewaySettings
from kvsp.settings import KvspSettings
from tandem.runtime.settings import ADDRESS, SettingsError, Sources, load
from tandem.runtime.tls import TlsFiles
from tandem.runtime.tls.configured import client_files, server_files, warn_of_plain_text
from tests.runtime.wire import Recorded

ONE = "0f2ac74b498b48028cb68387c421e279"
OTHER = "1" * 32


def _loaded(**settings: str) -> GatewaySettings:
    environ = {f"TANDEM_{name.upper()}": text for name, text in settings.items()}
    return load(GatewaySettings, "gateway", Sources(environ=environ)).settings


@pytest.mark.parametrize(
    ("text", "namespaces"),
    [(ONE, [ONE]), (f"{ONE},{OTHER}", [ONE, OTHER]), (f" {ONE} , {OTHER},", [ONE, OTHER])],
)
def test_namespaces_with_sockets(text: str, namespaces: list[str]) -> None:
    settings = _loaded(kv_sockets="/run/tandem", kv_socket_ids=text)
    assert settings.socket_namespaces() == namespaces


def test_without_any_no_namespace_has_one() -> None:
    assert _loaded().socket_namespaces() == []


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({"kv_sockets": "/run"}, "are given together"),
        ({"kv_socket_ids": ONE}, "are given together"),
        ({"kv_sockets": "/run", "kv_socket_ids": "articles"}, "'articles' is not the id"),
        ({"kv_sockets": "/run", "kv_socket_ids": ONE.upper()}, "is not the id"),
        (
            {"kv_sockets": "/" + "d" * SOCKET_DIRECTORY_BYTES_MAX, "kv_socket_ids": ONE},
            f"has at most {SOCKET_DIRECTORY_BYTES_MAX} bytes",
        ),
    ],
)
def test_sockets_that_cannot_be_served(settings: dict[str, str], mistake: str) -> None:
    with pytest.raises(SettingsError, match=mistake):
        _loaded(**settings)


PAIR = {"tls_certificate": "node.crt", "tls_key": "node.key"}


@pytest.mark.parametrize(
    ("declared", "program"),
    [
        (GatewaySettings, "gateway"), (KvspSettings, "kvsp"), (CrawlerSettings, "crawler"),
        (UpSettings, "kvctl"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({"tls_certificate": "node.crt"}, "a certificate and its key are given together"),
        ({"tls_key": "node.key"}, "a certificate and its key are given together"),
        ({"tls_client_ca": "ca.crt"}, "has one of its own"),
        ({**PAIR, "tls_ca": "ca.crt", "tls_client_ca": "ca.crt"}, None),
        ({"tls_ca": "system"}, None),
        ({"s3_endpoint": "http://127.0.0.1:9"}, "a bucket must be given with an endpoint"),
        ({"s3_endpoint": "http://127.0.0.1:9", "s3_bucket": "bucket"}, None),
    ],
)
def test_settings_that_need_each_other(
    declared: type, program: str, given: dict[str, str], mistake: str | None
) -> None:
    if declared is KvspSettings and "s3_endpoint" in given:
        mistake = None  # it is no setting of KVSP
    environ = {f"TANDEM_{name.upper()}": text for name, text in given.items()}
    if mistake is None:
        load(declared, program, Sources(environ=environ))
        return
    with pytest.raises(SettingsError, match=mistake):
        load(declared, program, Sources(environ=environ))


def test_no_two_doors_share_an_address() -> None:
    with pytest.raises(SettingsError, match="each must have an address of its own") as refused:
        _loaded(grpc="h:1", http="h:1")
    [mistake] = refused.value.mistakes
    assert mistake.startswith("grpc_address (TANDEM_GRPC), http_address (TANDEM_HTTP): ")
    for grpc, http in (("h:1", "h:2"), ("h:1", "g:1"), ("h:0", "h:0")):
        assert _loaded(grpc=grpc, http=http).http_address == ADDRESS.parse(http)


def test_parts_that_are_started_together_must_know_whom_to_trust() -> None:
    environ = {f"TANDEM_{name.upper()}": text for name, text in PAIR.items()}
    with pytest.raises(SettingsError, match="must know whom to trust"):
        load(UpSettings, "kvctl", Sources(environ=environ))
    assert server_files(_loaded(**PAIR)) == TlsFiles(
        "", "node.crt", "node.key", ca_setting="tls_client_ca"
    )
    assert client_files(_loaded(**PAIR)) is None


def test_doors_that_show_nothing_may_be_spoken_to_by_clients_that_do() -> None:
    settings = _loaded(**PAIR, tls_ca="ca.crt")
    assert client_files(settings) == TlsFiles("ca.crt", "node.crt", "node.key")
    assert server_files(_loaded(tls_ca="ca.crt")) is None


@pytest.mark.parametrize(
    ("doors", "given", "told"),
    [
        (["127.0.0.1:1", "[::1]:2"], {}, None),
        (["10.0.0.1:1"], PAIR, None),
        (["10.0.0.1:1", "127.0.0.1:2"], {}, ["10.0.0.1:1"]),
    ],
)
def test_plain_text_that_others_can_read_is_told(
    doors: list[str], given: dict[str, str], told: list[str] | None
) -> None:
    log = Recorded()
    warn_of_plain_text(_loaded(**given), log, *(ADDRESS.parse(door) for door in doors))
    assert [fields["doors"] for _, fields in log.events] == ([told] if told else [])
