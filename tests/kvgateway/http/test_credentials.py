"""Which credential an HTTP request carries."""

import pytest

from kvgateway.http.credentials import credential_of
from tandem.errors import Unauthenticated
from tandem.runtime.httpd import Request


def _request(*headers: tuple[bytes, bytes]) -> Request:
    return Request(b"GET", b"/", dict(headers))


@pytest.mark.parametrize(
    ("headers", "credential"),
    [
        ((), ""),
        (((b"authorization", b"Bearer abc"),), "abc"),
        (((b"authorization", b"bearer  abc"),), "abc"),
        (((b"authorization", b"BEARER \xe9"),), "é"),
        (((b"authorization", b"Bearer"),), ""),
        (((b"x-auth-email", b"a@b"), (b"x-auth-key", b"key")), "key"),
        (((b"x-auth-key", b"key"), (b"authorization", b"Bearer abc")), "abc"),
    ],
)
def test_the_credential(headers: tuple[tuple[bytes, bytes], ...], credential: str) -> None:
    assert credential_of(_request(*headers)) == credential


@pytest.mark.parametrize("value", [b"", b"Basic YTpi", b"abc", b"Bearerabc"])
def test_another_kind_of_authorization_is_not_taken_for_none(value: bytes) -> None:
    with pytest.raises(Unauthenticated, match="Bearer TOKEN"):
        credential_of(_request((b"authorization", value)))


@pytest.mark.parametrize("name", [b"origin", b"sec-fetch-site"])
@pytest.mark.parametrize("value", [b"", b"null", b"http://127.0.0.1:8780", b"same-origin"])
def test_a_web_page_needs_a_token_on_any_door(name: bytes, value: bytes) -> None:
    for nothing in ((), ((b"authorization", b"Bearer"),), ((b"x-auth-key", b""),)):
        with pytest.raises(Unauthenticated, match="web page needs a token"):
            credential_of(_request((name, value), *nothing))
    assert credential_of(_request((name, value), (b"authorization", b"Bearer abc"))) == "abc"
