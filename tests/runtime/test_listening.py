"""What is known of an address before anybody listens on it."""

import pytest

from tandem.runtime.listening import is_here


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True), ("localhost", True), ("0.0.0.0", True),
        ("192.0.2.7", False), ("2001:db8::7", False), ("nowhere.invalid", False),
    ],
)  # fmt: skip
def test_whether_a_host_is_this_machine(host: str, here: bool) -> None:
    assert is_here(host) is here
