"""The kinds of records that the system namespace holds: their names and their bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from tandem.core.key import NAMESPACE_RECORD, SYSTEM_NAMESPACE, Key, is_namespace_id
from tandem.core.namespace import decode_namespace, encode_namespace
from tandem.core.token import decode_token, encode_token, is_token_id


class SystemRecord(Protocol):
    """What all of them have."""

    @property
    def id(self) -> str:
        """By which it is found, for ever."""
        ...


T = TypeVar("T", bound=SystemRecord)


@dataclass(frozen=True, slots=True)
class RecordForm(Generic[T]):
    """One kind: below which prefix its records are, and how they are read and written."""

    noun: str
    prefix: str
    is_id: Callable[[str], bool]
    encode: Callable[[T], bytes]
    decode: Callable[[bytes], T]
    """ValueError for bytes that are none."""

    def key_of(self, record_id: str) -> Key:
        """The key of a record."""
        return Key(SYSTEM_NAMESPACE, self.prefix + record_id)

    def id_of(self, name: str) -> str:
        """The id behind the name of a record's key."""
        return name.removeprefix(self.prefix)


NAMESPACES: Final = RecordForm(
    "namespace", NAMESPACE_RECORD, is_namespace_id, encode_namespace, decode_namespace
)
TOKENS: Final = RecordForm("token", "token/", is_token_id, encode_token, decode_token)
