"""Namespaces under a few titles come and go: nothing of one is seen in the next; each broken rule
is seen."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from unittest.mock import patch

import pytest

from crawler import deleted
from kvgateway.registry.namespace_changes import Namespaces
from kvgateway.registry.namespaces import Registry
from tandem.core.namespace import Namespace
from tests.sim.endings import ended

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@pytest.mark.parametrize("seed", range(2))
def test_what_a_deleted_namespace_held_is_gone_and_its_title_is_another_ones(seed: int) -> None:
    endings = ended(seed)
    assert not endings.wrong, "\n".join(endings.wrong[:5])
    assert len(endings.deleted_s) > 10
    assert len(endings.acked) > 100


def _one_id() -> AbstractContextManager[object]:
    """Every namespace gets the same id."""
    return patch.object(Namespaces, "_new_id", lambda self: "c" * 32)


def _nothing_ends() -> AbstractContextManager[object]:
    """What a deleted namespace held is left where it is."""

    async def left(*_: object) -> None:
        return None

    return patch.object(deleted, "end_namespace", left)


def _known_for_ever() -> AbstractContextManager[object]:
    """Who has once seen a namespace goes on with it."""
    resolve, known = Registry.resolve, dict[tuple[int, str], Namespace]()

    async def resolved(self: Registry, namespace_id: str) -> Namespace:
        at = (id(self), namespace_id)
        if at not in known:
            known[at] = await resolve(self, namespace_id)
        return known[at]

    return patch.object(Registry, "resolve", resolved)


CANARIES: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "an id is used again": _one_id,
    "what was deleted stays in the homes": _nothing_ends,
    "a deleted namespace is served by who knows it": _known_for_ever,
}


@pytest.mark.parametrize("name", CANARIES)
def test_a_broken_rule_is_seen(name: str) -> None:
    with CANARIES[name]():
        assert ended(0, until_broken=True).wrong
