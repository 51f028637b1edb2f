"""Faults on the way to either home, drawn from a seed: no error where the other home is left to
answer, and nothing is lost."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.e2e.buckets import new_bucket
from tests.e2e.comparison import check
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.history import Mix, more, under_load
from tests.servers.fault_proxy import PASS, FaultProxy, faults_before
from tests.servers.rgw import Rgw
from tests.servers.stream_proxy import StreamProxy, streams_to
from tests.servers.weather import QUICK, Storm, Trouble

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True)
class Ways:
    """A deployment, and the proxies on its gateway's ways to the homes."""

    tandem: Deployment
    to_s3: FaultProxy
    to_kvsp: StreamProxy

    @contextmanager
    def storm(self, storm: Storm) -> Iterator[None]:
        """Weather on the way to S3 while the block runs."""
        self.to_s3.plan = storm.plan()
        try:
            yield
        finally:
            self.to_s3.plan = lambda _: PASS

    @contextmanager
    def kvsp_stalled(self) -> Iterator[None]:
        """Nothing passes between gateway and KVSP while the block runs."""
        self.to_kvsp.stall()
        try:
            yield
        finally:
            self.to_kvsp.flow()

    @contextmanager
    def kvsp_refused(self) -> Iterator[None]:
        """Every connection to KVSP is reset while the block runs."""
        self.to_kvsp.refusing = True
        self.to_kvsp.cut()
        try:
            yield
        finally:
            self.to_kvsp.refusing = False


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ways(rgw: Rgw, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ways]:
    directory = tmp_path_factory.mktemp("storms") / "tandem"
    async with (
        deployed(directory, new_bucket(rgw), workers=2) as tandem,
        faults_before(rgw.endpoint) as to_s3,
        streams_to(tandem.kvsp_address) as to_kvsp,
    ):
        tandem.kvsp.start()
        await tandem.serving(tandem.kvsp, tandem.kvsp_address)
        tandem.gateway.start(TANDEM_S3_ENDPOINT=to_s3.endpoint, TANDEM_KVSP=to_kvsp.address)
        await tandem.serving(tandem.gateway, tandem.grpc)
        yield Ways(tandem, to_s3, to_kvsp)


async def _new_namespace(ways: Ways, title: str) -> str:
    async with ways.tandem.client() as client:
        return (await client.namespaces.create(title)).id


async def test_all_that_a_store_may_do_wrong(ways: Ways) -> None:
    namespace = await _new_namespace(ways, "s3-all")
    async with under_load(ways.tandem.grpc, namespace, Mix(clients=2)) as history:
        with ways.storm(Storm(seed=0, troubles=QUICK)):
            await more(history, 800)
        await more(history, 100)
    assert not history.errors()
    await check(ways.tandem, namespace, history)


@pytest.mark.soak
@pytest.mark.parametrize("trouble", [*Trouble], ids=lambda trouble: trouble.name.lower())
async def test_one_trouble_on_the_way_to_s3(ways: Ways, trouble: Trouble) -> None:
    namespace = await _new_namespace(ways, f"s3-{trouble.name.lower()}")
    async with under_load(ways.tandem.grpc, namespace, Mix(clients=2)) as history:
        with ways.storm(Storm(seed=1, troubles=(trouble,))):
            await more(history, 800)
        await more(history, 100)
    assert not history.errors()
    await check(ways.tandem, namespace, history)


async def test_connections_to_kvsp_are_reset_again_and_again(ways: Ways) -> None:
    namespace = await _new_namespace(ways, "kvsp-resets")
    async with under_load(ways.tandem.grpc, namespace, Mix(clients=2)) as history:
        for _ in range(5):
            await more(history, 100)
            ways.to_kvsp.cut()
    assert ways.to_kvsp.cuts
    assert not history.errors()
    await check(ways.tandem, namespace, history)


@pytest.mark.soak
async def test_kvsp_cannot_be_reached_for_a_while(ways: Ways) -> None:
    namespace = await _new_namespace(ways, "kvsp-refused")
    async with under_load(ways.tandem.grpc, namespace, Mix(clients=2)) as history:
        await more(history, 100)
        with ways.kvsp_refused():
            await more(history, 400)
        await more(history, 100)
    assert not history.errors()
    await check(ways.tandem, namespace, history)


async def test_the_way_to_kvsp_stalls_and_then_delivers_what_it_held(ways: Ways) -> None:
    namespace = await _new_namespace(ways, "kvsp-stalls")
    async with under_load(ways.tandem.grpc, namespace, Mix(clients=2)) as history:
        for _ in range(3):
            await more(history, 100)
            with ways.kvsp_stalled():
                await more(history, 200)
    assert not history.errors()
    await check(ways.tandem, namespace, history)


async def test_both_ways_are_bad_at_once(ways: Ways) -> None:
    namespace = await _new_namespace(ways, "both")
    async with under_load(ways.tandem.grpc, namespace, Mix(clients=2)) as history:
        with ways.storm(Storm(seed=2, troubles=QUICK, share=0.5)):
            for _ in range(5):
                await more(history, 50)
                ways.to_kvsp.cut()
                await more(history, 20)
                with ways.kvsp_stalled():
                    await more(history, 20)
    await check(ways.tandem, namespace, history)
