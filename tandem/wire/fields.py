"""How the fields of a message stand in its bytes, for what protobuf is kept from."""

from typing import Final, NamedTuple

BYTES: Final = 2
"""How a tag says that bytes follow."""
_VARINT_BYTES_MAX: Final = 10


class Field(NamedTuple):
    """A field: its tag, and its content from `start` to `end`."""

    tag: int
    start: int
    end: int


def field_at(raw: memoryview, at: int) -> Field | None:
    """The field that begins there; None for a group, which nobody sends, and for no whole field."""
    tag, start = varint_at(raw, at)
    match tag & 7:
        case 0:
            _, end = varint_at(raw, start)
        case 1:
            end = start + 8
        case 2:
            size, start = varint_at(raw, start)
            end = start + size
        case 5:
            end = start + 4
        case _:
            return None
    return Field(tag, start, end) if end <= len(raw) else None


def has_fields_at_most(most: int, raw: bytes) -> bool:
    """Whether a message has no more fields than that; not where that is not plain to see.

    Those of up to 16 KiB, which nearly all are, are passed over here without a call.
    """
    view, end = memoryview(raw), len(raw)
    at = 0
    for _ in range(most):
        if at >= end:
            break
        if raw[at] < 0x80 and raw[at] & 7 == BYTES and at + 2 < end:
            low, high = raw[at + 1], raw[at + 2]
            if low < 0x80:
                at += 2 + low
                continue
            if high < 0x80:
                at += 3 + (low & 0x7F | high << 7)
                continue
        field = field_at(view, at)
        if field is None:
            return False
        at = field.end
    return at == end


def varint_at(raw: memoryview, at: int) -> tuple[int, int]:
    """The number that begins there, and where it ends; beyond all bytes if nowhere."""
    number = 0
    for position, byte in enumerate(raw[at : at + _VARINT_BYTES_MAX]):
        number |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            return number, at + position + 1
    return 0, len(raw) + 1


def field_head(number: int, size: int) -> bytes:
    """What stands before so many bytes of a field."""
    return _varint(number << 3 | BYTES) + _varint(size)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
