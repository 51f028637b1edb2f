"""Settings of a gateway that must fit together."""

import pytest

from kvgateway.settings import SOCKET_DIRECTORY_BYTES_MAX, GatewaySettings
from tandem.runtime.settings import SettingsError, Sources, load

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
