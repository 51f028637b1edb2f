"""What a cluster answers: the values that pass between an engine and the store.

Outcomes of writes carry no time of their own: the message that takes them to the gateway does.
"""

from dataclasses import dataclass

from tandem.core.reply import Failed
from tandem.core.version import Version
from tandem.wire.scan_codec import Row


@dataclass(frozen=True, slots=True)
class Absent:
    """No record; the key's range accepts no insert at or below `floor`."""

    floor: Version


@dataclass(frozen=True, slots=True)
class InBlob:
    """A large record, whose envelope lies outside its row."""

    blob: str
    digest: bytes
    version: Version
    size: int
    """Of the envelope, in bytes."""


ReadAnswer = bytes | Absent | InBlob | Failed
"""The envelope's bytes, checked against their digest, or why there are none."""


@dataclass(frozen=True, slots=True)
class ScanPart:
    """One cluster's names in byte order."""

    rows: list[Row]
    ended: bool
    last: bytes
    """Continue after this name; it may be one that was left out."""
