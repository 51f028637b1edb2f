"""What gRPC says of a connection that did not come about, in words that a person can use."""

from typing import Final

_WORDS: Final = (
    ("Connection refused", "connection refused"),
    ("Failed parsing HTTP/2", "gRPC is not spoken there"),
    ("Socket closed", "the connection was closed"),
    ("Connection reset by peer", "the connection was closed"),
    ("Hostname Verification Check failed", "its certificate is for other names"),
    ("certificate has expired", "its certificate has expired"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is of no authority that is trusted here"),
    ("Name or service not known", "no such host"),
    ("No route to host", "no route to it"),
    ("Network is unreachable", "its network cannot be reached"),
)
"""What details contain, and what that means."""


def in_words(details: str) -> str:
    """`details` of a failed call in a few words; as they are where none are known for them."""
    for theirs, ours in _WORDS:
        if theirs in details:
            return ours
    return details
