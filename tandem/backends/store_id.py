"""Where a home keeps the id of the store that it belongs to, and what it shows of it."""

from typing import Final

from tandem.core.key import IDENTITY_NAMESPACE, Key
from tandem.core.reply import Failed, Found, Glimpsed, Missing, ReadReply

STORE_ID_KEY: Final = Key(IDENTITY_NAMESPACE, "store-id")


def shown(reply: ReadReply) -> str | None:
    """The id, "" for an empty home, None for no answer."""
    match reply:
        case Found(record):
            return record.value.decode("ascii", "replace")
        case Missing():
            return ""
        case Glimpsed() | Failed():
            return None
