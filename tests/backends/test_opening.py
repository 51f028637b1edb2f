"""Opening homes: in which order their legs begin."""

from typing import cast

import pytest

from tandem.backends.kvsp import KvspBackend
from tandem.backends.opening import HomeLabel, Homes
from tandem.backends.port import CollectableObjects
from tandem.core.reply import Side


@pytest.mark.parametrize(
    ("kind", "order"),
    [("file", (Side.S3, Side.KVSP)), ("s3", (Side.KVSP, Side.S3))],
)
def test_legs_that_cost_the_loop_least_begin_first(kind: str, order: tuple[Side, Side]) -> None:
    labels = {side: HomeLabel(kind, "somewhere", str) for side in Side}
    homes = Homes(cast(KvspBackend, None), cast(CollectableObjects, None), labels)
    assert homes.leg_order == order
    assert set(order) == set(homes.backends)
