"""The S3 home's tests run on both event loops: they differ in when a lost connection is noticed."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    loops = {"uvloop": uvloop.new_event_loop}
    return (
        loops
        if item.get_closest_marker("one_loop")
        else {"asyncio": asyncio.new_event_loop, **loops}
    )
