"""Where requests go: as boto3 would send them, whatever decides that."""

from pathlib import Path

import pytest

from tandem.backends.s3.address import Location, resolve
from tandem.errors import ConfigurationError
from tests.backends.s3.opened import resolved


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("location", "url", "port", "region"),
    [
        (Location("b-1", "http://127.0.0.1:9000"), "http://127.0.0.1:9000/b-1/", 9000, "us-east-1"),
        (Location("b-1", "https://s3.test"), "https://s3.test/b-1/", 443, "us-east-1"),
        (Location("b-1", "https://s3.test/x/"), "https://s3.test/x/b-1/", 443, "us-east-1"),
        (
            Location("b-1", region="eu-west-1"),
            "https://b-1.s3.eu-west-1.amazonaws.com/",
            443,
            "eu-west-1",
        ),
        (
            Location("dotted.b", region="eu-west-1"),
            "https://s3.eu-west-1.amazonaws.com/dotted.b/",
            443,
            "eu-west-1",
        ),
    ],
)
def test_the_address_is_boto3s(location: Location, url: str, port: int, region: str) -> None:
    address = resolve(location)
    assert (address.url, address.port, address.region) == (url, port, region)
    assert address.encrypted == url.startswith("https")


@pytest.mark.parametrize("port", [9000, 9001])
def test_an_address_that_tests_remember_is_the_same(port: int) -> None:
    location = Location("b-1", f"http://127.0.0.1:{port}", "eu-west-1")
    assert resolved(location) == resolve(location)


def test_boto3s_own_settings_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "[profile here]\nregion = eu-north-1\nendpoint_url = https://store.test\n"
        "s3 =\n  addressing_style = virtual\n"
    )
    monkeypatch.setenv("AWS_CA_BUNDLE", "/authority.pem")
    monkeypatch.setenv("AWS_PROFILE", "here")
    address = resolve(Location("b-1"))
    assert address.url == "https://b-1.store.test/"
    assert (address.host, address.region) == ("b-1.store.test", "eu-north-1")
    assert address.ca_bundle == "/authority.pem"


@pytest.mark.parametrize(
    ("location", "complaint"),
    [
        (Location("b", "not a url"), "not a url"),
        (Location("Not_A/Bucket?", "http://127.0.0.1:1"), "bucket"),
    ],
)
def test_what_boto3_refuses_is_a_mistake_of_the_configuration(
    location: Location, complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        resolve(location)


def test_so_is_a_profile_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "absent")
    with pytest.raises(ConfigurationError, match="absent"):
        resolve(Location("b-1"))
