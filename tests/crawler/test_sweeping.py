"""What S3 holds below the floors and KVSP has dropped: when it goes, and who is asked before."""

from dataclasses import replace
from pathlib import Path

import pytest

from crawler.book import Book
from tandem.core.collect import Withheld
from tandem.core.drift import Drift
from tandem.core.envelope import seal
from tandem.core.key import Key
from tandem.core.limits import KEY_NAME_BYTES_MAX
from tandem.core.version import Version
from tests.crawler.crawling import NAMESPACE, RULE, Ground, Said
from tests.crawler.test_collecting import DAY_US, GONE, collecting, graveyard
from tests.sim.loop import EPOCH_US, run


@pytest.mark.parametrize(("lost", "swept"), [(100, True), (101, False)])
def test_a_kvsp_that_loses_rows_silently_does_not_lose_what_s3_still_has(
    lost: int, swept: bool, tmp_path: Path
) -> None:
    """Below the floor a row that is not there counts as deleted for good. Few are swept, and told
    as drift; with more the crawler waits for a person, who can bring them back from S3."""

    async def main() -> None:
        world, old = Ground(), Version.at(EPOCH_US - 5 * DAY_US)
        for n in range(lost + 40):
            await world.hold(f"{n:04}", seal(old, b"value"))
        await world.hold("gone", GONE)
        one_range = replace(RULE, range_names=1000)
        crawls = collecting(world, tmp_path / "book", rule=one_range)
        assert (await crawls.crawl(NAMESPACE)).tally.rows_removed == 1
        for n in range(lost):
            world.kvsp.drop(Key(NAMESPACE, f"{n:04}"))
        crawled = await crawls.crawl(NAMESPACE)
        assert (crawled.equal, crawled.tally.keys[Drift.ZOMBIE]) == (False, lost)
        kept = sum(world.copies(f"{n:04}")[1] is not None for n in range(lost))
        assert kept == (0 if swept else lost)
        if not swept:
            told = (
                f"sweeping values that KVSP has dropped would touch {lost} of {lost + 40} records"
            )
            assert crawled.stopped == told
            Book(tmp_path / "book").accept()
            assert (await crawls.crawl(NAMESPACE)).tally.objects_removed == lost

    run(main())


@pytest.mark.parametrize("name", ["gone", "x" * KEY_NAME_BYTES_MAX])
def test_a_zombie_is_swept_though_a_home_is_behind_and_the_next_crawl_is_equal(
    name: str, tmp_path: Path
) -> None:
    """It is behind until then, so nothing could come of it if the sweep waited for that."""

    async def main() -> None:
        world = await graveyard()
        await collecting(world, tmp_path / "book").crawl(NAMESPACE)
        zombie = seal(Version.at(EPOCH_US - 3 * DAY_US), b"back again")
        await world.hold(name, None, zombie)
        crawls = collecting(world, tmp_path / "behind", said=Said(dirty=True))
        crawled = await crawls.crawl(NAMESPACE)
        assert (crawled.equal, crawled.tally.keys[Drift.ZOMBIE]) == (False, 1)
        assert world.copies(name) == (None, None)
        assert (await crawls.crawl(NAMESPACE)).equal

    run(main())


def test_nothing_is_swept_while_a_home_is_switched_off(tmp_path: Path) -> None:
    async def main() -> None:
        world = await graveyard()
        await collecting(world, tmp_path / "book").crawl(NAMESPACE)
        zombie = seal(Version.at(EPOCH_US - 3 * DAY_US), b"back again")
        await world.hold("gone", None, zombie)
        crawled = await collecting(world, tmp_path / "off", said=Said(off=True)).crawl(NAMESPACE)
        assert (crawled.equal, crawled.withheld) == (False, Withheld.UNHEALTHY.value)
        assert world.copies("gone") == (None, zombie)

    run(main())
