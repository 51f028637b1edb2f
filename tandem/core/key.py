"""What a key is, and how it becomes the name of an object.

Keys have one order everywhere: the byte order of the UTF-8 name. Python's `str` order (by code
point), SQLite's BLOB order and the order of an S3 listing agree on it, and base32hex keeps it
(RFC 4648 section 7), so a listing of objects is a listing of keys.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from tandem.core.limits import KEY_NAME_BYTES_MAX
from tandem.errors import Breach, InvalidArgument

SYSTEM_NAMESPACE: Final = "0" * 32
"""Holds the records of the namespaces themselves."""

IDENTITY_NAMESPACE: Final = "0" * 31 + "1"
"""Holds what a home or a process says of itself: the store id, mirrors of clusters, who is there,
copies of the switches, plans of crawls. Never healed nor crawled: of a store id a difference is an
alarm, and the others are written anew by whom they are about."""

NAMESPACE_RECORD: Final = "ns/"
"""In SYSTEM_NAMESPACE, the record of namespace ID has this and ID as its name."""

RESERVED_NAMESPACES: Final = frozenset({SYSTEM_NAMESPACE, IDENTITY_NAMESPACE})

_HEX: Final = frozenset("0123456789abcdef")
_DIGITS: Final = b"0123456789ABCDEFGHIJKLMNOPQRSTUV"
_BASE32HEX: Final = frozenset(_DIGITS.decode())
_PAIRS: Final = [first + second for first in _DIGITS.decode() for second in _DIGITS.decode()]
"""The two digits of each number of ten bits."""
_NO_NAMES: Final = frozenset({"", ".", ".."})
_OBJECT_NAME_BYTES_MAX: Final = 1024
"""What S3 allows."""
_LONGEST_KEY_CHARS: Final = len(f"{SYSTEM_NAMESPACE}/") + (KEY_NAME_BYTES_MAX * 8 + 4) // 5
OBJECT_PREFIX_BYTES_MAX: Final = _OBJECT_NAME_BYTES_MAX - _LONGEST_KEY_CHARS


class Key(NamedTuple):
    """One key: the id of its namespace (32 hex digits) and its name (1 to 512 bytes of UTF-8)."""

    namespace: str
    name: str


def check_name(name: str, field: str = "key") -> None:
    """Raises InvalidArgument unless `name` can be the name of a key."""
    if not name:
        raise InvalidArgument(field, "must not be empty", Breach.EMPTY)
    if name in _NO_NAMES:
        raise InvalidArgument(field, f'"{name}" is not allowed as a name', Breach.RESERVED, name)
    check_name_length(name, field)


def check_name_length(name: str, field: str = "key") -> None:
    """Raises InvalidArgument when `name` (or a prefix of one) is longer than a name may be."""
    try:
        length = len(name) if name.isascii() else len(name.encode())
    except UnicodeEncodeError as error:
        raise InvalidArgument(field, f"is not valid Unicode at character {error.start}") from None
    if length > KEY_NAME_BYTES_MAX:
        raise InvalidArgument(
            field,
            f"UTF-8 length of {length} bytes exceeds the limit of {KEY_NAME_BYTES_MAX}",
            Breach.TOO_MUCH,
            length,
        )


def decode_name(raw: bytes, field: str = "key") -> str:
    """The name in `raw`; InvalidArgument unless it is valid UTF-8 and a valid name."""
    try:
        name = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgument(field, f"is not valid UTF-8 at byte {error.start}") from None
    check_name(name, field)
    return name


def is_namespace_id(text: str) -> bool:
    """Whether `text` has the form of a namespace id: 32 lower-case hex digits."""
    return len(text) == 32 and _HEX.issuperset(text)


def is_object_prefix(text: str) -> bool:
    """Whether the names of all objects may begin so: a path with "/" at its end that every store
    takes as it stands, with room for the longest key; or nothing."""
    path, slash, rest = text.rpartition("/")
    short = len(text.encode(errors="surrogatepass")) <= OBJECT_PREFIX_BYTES_MAX
    plain = text.isprintable() and _NO_NAMES.isdisjoint(path.split("/"))
    return not text or (bool(slash) and not rest and short and plain)


def object_name(prefix: str, key: Key) -> str:
    """The name of the object that holds `key` below `prefix`."""
    return f"{prefix}{key.namespace}/{encode_name(key.name)}"


def encode_name(name: str) -> str:
    """`name` in base32hex without padding: order-preserving, letters and digits only.

    It is asked at every write to an object home; `base64` takes twice as long for most names.
    """
    raw = name.encode()
    length = (len(raw) * 8 + 4) // 5
    bits = (length + 1) // 2 * 10
    number = int.from_bytes(raw) << (bits - len(raw) * 8)
    return "".join([_PAIRS[number >> at & 1023] for at in range(bits - 10, -1, -10)])[:length]


def decode_object_name(encoded: str) -> str | None:
    """The key name behind the last part of an object's name; None for a foreign object."""
    spare_bits = len(encoded) * 5 % 8
    if not encoded or spare_bits >= 5 or not _BASE32HEX.issuperset(encoded):
        return None
    number = int(encoded, 32)
    if number & ((1 << spare_bits) - 1):
        return None
    try:
        return decode_name((number >> spare_bits).to_bytes(len(encoded) * 5 // 8, "big"))
    except InvalidArgument:
        return None


def decode_object_names(encoded: Sequence[str]) -> list[str | None]:
    """`decode_object_name` of a page of names, in a third of the time while none is foreign."""
    names = _decode_together(encoded)
    if names is None:
        return [decode_object_name(one) for one in encoded]
    return [*names]


def _decode_together(encoded: Sequence[str]) -> list[str] | None:
    """The names read as one number, each in a field that is wider than the longest; None when any
    of them is foreign."""
    lengths = {len(one) for one in encoded}
    if not lengths or any(length * 5 % 8 >= 5 for length in lengths):
        return None
    field = max(lengths) // 8 * 8 + 8
    width, digits = field * 5 // 8, "".join([one.ljust(field, "0") for one in encoded])
    if digits.encode().translate(None, _DIGITS):
        return None
    raw = int(digits, 32).to_bytes(len(encoded) * width, "big")
    raw_names = [raw[at * width : at * width + len(one) * 5 // 8] for at, one in enumerate(encoded)]
    spare_bits_are_zero = b"".join([name.ljust(width, b"\0") for name in raw_names]) == raw
    if not spare_bits_are_zero or max(map(len, raw_names)) > KEY_NAME_BYTES_MAX:
        return None
    try:
        names = [name.decode() for name in raw_names]
    except UnicodeDecodeError:
        return None
    return names if _NO_NAMES.isdisjoint(names) else None


def encoded_prefix(prefix: str) -> str:
    """The longest encoded text with which the encoded name of every key below `prefix` begins.

    Five bits make a character, so up to four last bits of the prefix are not covered: a listing
    by the result must still be filtered.
    """
    whole = len(prefix.encode()) * 8 // 5
    return encode_name(prefix)[:whole]
