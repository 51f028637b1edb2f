"""Query parameters: form-encoded, UTF-8; numbers may come as floats, as some SDKs send them."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from tandem.errors import Breach, InvalidArgument

_PARAMETERS_MAX: Final = 32
_SHOWN_CHARS_MAX: Final = 32
_WHOLE: Final = re.compile(r"(-?[0-9]{1,18})(?:\.0*)?", re.ASCII)


def parse_query(raw: bytes) -> Mapping[str, str]:
    """The parameters of a query; of one that is given twice, the last."""
    try:
        pairs = parse_qsl(
            raw.decode("latin-1"),
            keep_blank_values=True,
            encoding="latin-1",
            max_num_fields=_PARAMETERS_MAX,
        )
        return {_utf8(name): _utf8(value) for name, value in pairs}
    except ValueError as error:
        raise InvalidArgument("query", f"cannot be understood: {error}") from None


def whole(text: str, field: str) -> int:
    """The whole number in `text`; `2.0` is one, `2.5` and the empty text are not."""
    number = _WHOLE.fullmatch(text)
    if number is None:
        raise _no_number(text, field)
    return int(number[1])


def whole_number(number: float, field: str) -> int:
    """The same for a number of JSON."""
    if number != number or number in (float("inf"), float("-inf")) or number != int(number):
        raise _no_number(str(number), field)
    return int(number)


def _utf8(latin: str) -> str:
    return latin.encode("latin-1").decode()


def _no_number(text: str, field: str) -> InvalidArgument:
    if len(text) > _SHOWN_CHARS_MAX:
        text = f"{text[:_SHOWN_CHARS_MAX]}..."
    return InvalidArgument(field, f'"{text}" is not a whole number', Breach.FORM, text)
