"""The HTTP pages of a gateway, fetched and read."""

import asyncio
import http.client
from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of /metrics."""

    name: str
    labels: dict[str, str]
    value: float


async def fetch(address: str, path: str, method: str = "GET") -> tuple[int, str]:
    """Status and body of one page."""

    def blocking() -> tuple[int, str]:
        connection = http.client.HTTPConnection(address, timeout=30.0)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    return await asyncio.to_thread(blocking)


async def metrics(address: str) -> Sequence[Sample]:
    """Every sample of /metrics."""
    status, text = await fetch(address, "/metrics")
    assert status == 200
    return [
        Sample(sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def total(samples: Sequence[Sample], name: str, **labels: str) -> float:
    """The sum of the samples with this name and these labels; AssertionError without any."""
    found = [
        sample.value
        for sample in samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert found, f"no {name} with {labels}"
    return sum(found)
