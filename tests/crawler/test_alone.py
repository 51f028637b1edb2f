"""A namespace in KVSP alone: collected without S3; and what becomes of S3's old copy."""

from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest

from crawler.book import Book
from crawler.crawl import Crawl
from crawler.registry import IN_BOTH, Kept
from tandem.backends.clusters import Clusters, look_at_clusters, renew_behind
from tandem.core.collect import Homes, Withheld
from tandem.core.crawl_range import WHOLE
from tandem.core.crawl_status import RunRequest
from tandem.core.drift import Drift
from tandem.core.envelope import seal, seal_tombstone
from tandem.core.floors import RangeFloors
from tandem.core.mass_change import MassLimit
from tandem.core.mode import Mode, Stage
from tandem.core.removal import Renewed
from tandem.core.reply import Failed, Reason, Side
from tandem.core.version import Version
from tests.crawler.crawling import NAMESPACE, RULE, Ground, Said, collector, record
from tests.crawler.test_collecting import DAY_US, EXPIRED, FRESH, GONE, collecting
from tests.sim.loop import EPOCH_US, SeededEntropy, run

ALONE = Kept(Mode(Stage.SINGLE, Side.KVSP), 3)
FILLING = Kept(Mode(Stage.SHADOW, Side.KVSP), 4)
OLD = seal(Version.at(EPOCH_US - 10 * DAY_US), b"from before S3 was left")
LIVING = 20


async def left_behind(*, removes: bool = True) -> Ground:
    """What S3 holds is old: two keys are dead in KVSP that live there, and one it never knew."""
    world = Ground()
    world.s3._removes = removes
    for n in range(LIVING):
        await world.hold(f"{n:04}", record(n))
    for name, dead in (("gone", GONE), ("expired", EXPIRED)):
        await world.hold(name, dead, OLD)
    for name, dead in (("fresh", FRESH), ("unknown", GONE)):
        await world.hold(name, dead, None)
    return world


def s3_fails(world: Ground) -> None:
    """Whatever it is asked."""
    world.s3.fails = lambda: True


def test_what_is_dead_goes_and_s3_is_asked_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        world, said = await left_behind(), Said(kept=ALONE)
        s3_fails(world)
        crawls = collecting(world, tmp_path / "book", said=said)
        crawled = await crawls.crawl(NAMESPACE, kept=ALONE)
        tally = crawled.tally
        assert (crawled.alone, crawled.equal, crawled.withheld) == (Side.KVSP, True, "")
        assert (tally.records, tally.tombstones, tally.keys[Drift.EXPIRED]) == (LIVING + 4, 3, 1)
        assert (tally.drifted, tally.s3_requests) == (0, 0)
        assert (tally.rows_removed, tally.objects_removed) == (3, 0)
        assert set(said.asked) == {Homes.KVSP}
        again = await crawls.crawl(NAMESPACE, kept=ALONE)
        assert (again.tally.records, again.tally.rows_removed) == (LIVING + 1, 0)
        assert world.s3.calls == 0
        assert world.copies("gone") == (None, OLD)
        assert world.copies("fresh") == (FRESH, None)
        assert Book(tmp_path / "book").latest()[0].alone is Side.KVSP

    run(main())


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (Said(kept=FILLING), Withheld.STEPPED),
        (Said(kept=Kept(ALONE.mode, ALONE.epoch + 2)), Withheld.STEPPED),
        (Said(kept=None), Withheld.STEPPED),
        (Said(kept=ALONE, off=True), Withheld.UNHEALTHY),
    ],
)
def test_nothing_goes_once_the_mode_was_stepped_or_kvsp_was_switched_off(
    said: Said, why: Withheld, tmp_path: Path
) -> None:
    async def main() -> None:
        world = await left_behind()
        crawls = collecting(world, tmp_path / "book", said=said)
        crawled = await crawls.crawl(NAMESPACE, kept=ALONE)
        assert (crawled.withheld, crawled.tally.rows_removed) == (why.value, 0)
        assert world.copies("gone")[0] == GONE

    run(main())


def test_mass_removal_waits_for_a_person_as_elsewhere(tmp_path: Path) -> None:
    async def main() -> None:
        world, few = await left_behind(), MassLimit(0.01, always=1)
        crawls = collecting(world, tmp_path / "book", limit=few, said=Said(kept=ALONE))
        crawled = await crawls.crawl(NAMESPACE, kept=ALONE)
        assert crawled.stopped == "removing dead records would touch 3 of 24 records"
        assert world.copies("gone")[0] == GONE
        Book(tmp_path / "book").accept()
        assert (await crawls.crawl(NAMESPACE, kept=ALONE)).tally.rows_removed == 3

    run(main())


def test_a_cluster_that_was_restored_meanwhile_keeps_everything(tmp_path: Path) -> None:
    async def main() -> None:
        world = await left_behind()
        said = Said(kept=ALONE)
        collects = collector(world.kvsp, world.s3, said)
        before = await collects.look(Homes.KVSP)
        assert before is not None
        report = await Crawl({Side.KVSP: world.kvsp}, NAMESPACE, RULE).run()
        world.kvsp.restore(world.kvsp.image())
        await collects.collect(report, WHOLE, before, ALONE, 0)
        assert report.withheld == Withheld.OTHER_INCARNATION.value
        assert world.copies("gone")[0] == GONE

    run(main())


def test_deep_crawls_read_the_only_copy_and_name_what_is_damaged(tmp_path: Path) -> None:
    async def main() -> None:
        world = await left_behind()
        world.kvsp.rotten = frozenset({"0007"})
        s3_fails(world)
        crawls = world.crawler(tmp_path / "book")
        crawled = await crawls.crawl(NAMESPACE, RunRequest(NAMESPACE, deep_parts=1), kept=ALONE)
        assert crawled.tally.unhealed == ["0007: the only copy is damaged"]
        assert crawled.tally.keys[Drift.OTHER_BYTES] == 1
        assert not crawled.equal
        assert world.s3.calls == 0

    run(main())


def test_crawls_of_one_home_and_of_both_do_not_go_on_with_one_another(tmp_path: Path) -> None:
    async def main() -> None:
        world = await left_behind()
        crawls = world.crawler(tmp_path / "book")
        numbers = []
        for kept in (IN_BOTH, ALONE, ALONE, FILLING, Kept(ALONE.mode, 7)):
            crawled = await crawls.crawl(NAMESPACE, kept=kept)
            numbers.append(crawled.number)
            assert crawled.alone is kept.alone
            assert await crawls.has_begun(NAMESPACE) == kept.mode.two
        assert numbers == [1, 2, 3, 4, 5]

    run(main())


@pytest.mark.parametrize("removes", [True, False], ids=["DELETE works", "objects stay"])
def test_what_s3_kept_does_not_come_back_with_it(removes: bool, tmp_path: Path) -> None:
    """S3 counts as equal only after a crawl that has met no zombie and has told the mirrors."""

    async def main() -> None:
        world = await left_behind(removes=removes)
        alone = collecting(world, tmp_path / "alone", said=Said(kept=ALONE))
        assert (await alone.crawl(NAMESPACE, kept=ALONE)).tally.rows_removed == 3
        image = world.kvsp.image()
        crawls = collecting(world, tmp_path / "both", said=Said(kept=FILLING))
        first = await crawls.crawl(NAMESPACE, kept=FILLING)
        assert (first.equal, first.tally.keys[Drift.ZOMBIE]) == (False, 2)
        assert await mirrored(world) == {}
        second = await crawls.crawl(NAMESPACE, kept=FILLING)
        assert (second.equal, second.tally.drifted, second.failure) == (True, 0, "")
        assert OLD not in [world.copies(name)[1] for name in ("gone", "expired", "unknown")]
        assert (await mirrored(world))[NAMESPACE].of(b"gone") == GONE.version
        world.kvsp.restore(image)
        assert await renewed_rows(world) == 0
        [life] = (await clusters(world)).lives
        assert life.floors_of(NAMESPACE).of(b"gone") == GONE.version, "it knows each deletion"

    run(main())


def test_a_copy_of_kvsp_from_the_time_alone_brings_nothing_back(tmp_path: Path) -> None:
    async def main() -> None:
        world = await left_behind()
        await world.hold("came and went", OLD, None)
        image = world.kvsp.image()
        await world.hold("came and went", seal_tombstone(GONE.version))
        world.s3._namespace(NAMESPACE).remove("came and went")
        alone = collecting(world, tmp_path / "alone", said=Said(kept=ALONE))
        assert (await alone.crawl(NAMESPACE, kept=ALONE)).tally.rows_removed == 4
        crawls = collecting(world, tmp_path / "both", said=Said(kept=FILLING))
        while not (await crawls.crawl(NAMESPACE, kept=FILLING)).equal:
            pass
        world.kvsp.restore(image)
        assert world.copies("came and went")[0] == OLD
        assert await renewed_rows(world) == 4
        while not (await crawls.crawl(NAMESPACE, kept=IN_BOTH)).equal:
            pass
        assert world.equal()
        assert world.copies("came and went") == (None, None)

    run(main())


def test_while_the_mirrors_cannot_be_told_the_home_that_comes_is_not_equal(tmp_path: Path) -> None:
    async def main() -> None:
        world = await left_behind()
        alone = collecting(world, tmp_path / "alone", said=Said(kept=ALONE))
        await alone.crawl(NAMESPACE, kept=ALONE)
        crawls = collecting(world, tmp_path / "both", said=Said(kept=FILLING))
        await crawls.crawl(NAMESPACE, kept=FILLING)
        real = world.s3.replace

        async def refused(*_: object) -> Failed:
            return Failed(Reason.ERROR, "as told")

        world.s3.replace = refused  # type: ignore[method-assign, assignment]
        crawled = await crawls.crawl(NAMESPACE, kept=FILLING)
        assert not crawled.equal
        assert "the mirrors do not know all floors" in crawled.failure
        assert (await crawls.crawl(NAMESPACE, kept=IN_BOTH)).equal, "no step waits for it"
        world.s3.replace = real  # type: ignore[method-assign]
        assert (await crawls.crawl(NAMESPACE, kept=FILLING)).equal

    run(main())


async def clusters(world: Ground) -> Clusters:
    found = await look_at_clusters(world.kvsp, world.s3, 1.0)
    assert isinstance(found, Clusters), found
    return found


async def mirrored(world: Ground) -> Mapping[str, RangeFloors]:
    """The floors that the mirror of the one cluster knows."""
    [mirror] = (await clusters(world)).mirrors
    return mirror.life.floors if mirror.life is not None else {}


async def renewed_rows(world: Ground) -> int:
    """The one cluster is behind its mirror, and begins a new life; how many rows that cost."""
    entropy = SeededEntropy(Random(3))
    found = await clusters(world)
    [outcome] = (await renew_behind(world.kvsp, world.s3, found, entropy, 1.0)).values()
    assert isinstance(outcome, Renewed), outcome
    return outcome.rows_removed
