"""Where a home keeps the id of the store that it belongs to, and what it shows of it."""

import re
from typing import Final

from tandem.core.key import IDENTITY_NAMESPACE, Key
from tandem.core.reply import Failed, Found, Glimpsed, Missing, ReadReply

STORE_ID_KEY: Final = Key(IDENTITY_NAMESPACE, "store-id")
_ID: Final = re.compile(r"[0-9a-f]{32}")


def is_store_id(text: str) -> bool:
    """Whether `text` has the form of one: 16 bytes in hex digits."""
    return _ID.fullmatch(text) is not None


def shown(reply: ReadReply) -> str | None:
    """The id, "" for an empty home, None for no answer."""
    match reply:
        case Found(record):
            return record.value.decode("ascii", "replace")
        case Missing():
            return ""
        case Glimpsed() | Failed():
            return None
