"""Inputs that are nearly right: bytes with a few edits, and documents with a wild value in them."""

import copy
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

_DEEP = "[" * 2_000
WILD_VALUES: Sequence[Any] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**400, 0.5, float("inf"), float("-inf"),
    float("nan"), "", "x", "é", "0" * 32, "\ud800", "\x00", [], [[]], {}, {"a": 1}, [None],
)  # fmt: skip


@st.composite
def edited(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    """One of `samples` after up to four edits: bytes changed, cut out, put in, or said twice."""
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        until = min(len(data), at + draw(st.integers(0, 8)))
        match draw(st.sampled_from(["flip", "cut", "insert", "repeat", "end"])):
            case "flip":
                data[at:until] = bytes(byte ^ draw(st.integers(0, 255)) for byte in data[at:until])
            case "cut":
                del data[at:until]
            case "insert":
                data[at:at] = draw(st.binary(max_size=8))
            case "repeat":
                data[at:at] = data[at:until] * draw(st.integers(1, 3))
            case _:
                del data[at:]
    return bytes(data)


@st.composite
def edited_json(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    """One of `samples`, which are JSON, with a wild value somewhere in it, or in place of it."""
    document = json.loads(draw(st.sampled_from(samples)))
    holder = {"all": copy.deepcopy(document)}
    spots = [*_spots(holder)]
    for _ in range(draw(st.integers(1, 2))):
        parent, name = draw(st.sampled_from(spots))
        parent[name] = draw(st.sampled_from(WILD_VALUES))
    return json.dumps(holder["all"]).encode(errors="backslashreplace")


def _spots(node: Any) -> "list[tuple[Any, Any]]":  # noqa: ANN401 - any JSON
    found = []
    names = node if isinstance(node, dict) else range(len(node))
    for name in names:
        found.append((node, name))
        if isinstance(node[name], dict | list):
            found += _spots(node[name])
    return found


def malformed(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Edited samples, noise, and nesting without an end."""
    return edited(samples) | st.binary(max_size=200) | st.just(_DEEP.encode())


def malformed_json(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """The same for JSON."""
    return edited_json(samples) | malformed(samples)
