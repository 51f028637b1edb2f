"""Numbered pages. One past the end is empty: that is how Cloudflare's clients find the end."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from kvgateway.http.rest.call import Call
from tandem.core.limits import LIST_PAGE_MAX
from tandem.errors import Breach, InvalidArgument

PER_PAGE_DEFAULT: Final = 20


class Page(NamedTuple):
    """One page, and its `result_info`."""

    items: Sequence[object]
    info: Mapping[str, int]


def page_of(call: Call, items: Sequence[object]) -> Page:
    """The page of `items` that `page` and `per_page` of the query ask for."""
    page = _positive(call, "page", 1)
    size = _positive(call, "per_page", PER_PAGE_DEFAULT)
    if size > LIST_PAGE_MAX:
        raise InvalidArgument(
            "per_page", f"{size} is not between 1 and {LIST_PAGE_MAX}", Breach.TOO_MUCH, size
        )
    found = items[(page - 1) * size : page * size]
    info = {
        "page": page,
        "per_page": size,
        "count": len(found),
        "total_count": len(items),
        "total_pages": -(-len(items) // size),
    }
    return Page(found, info)


def _positive(call: Call, parameter: str, default: int) -> int:
    number = call.number(parameter, parameter)
    if number is None:
        return default
    if number < 1:
        raise InvalidArgument(parameter, f"{number} is below 1", Breach.TOO_LITTLE, number)
    return number
