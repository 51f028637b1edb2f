"""A restored cluster begins its new life though KVSP is out of use; never by a foreign mirror."""

from pathlib import Path
from random import Random

from crawler.board import Board
from crawler.book import Book
from crawler.renewing import Renewing
from crawler.rounds import Rounds
from tandem.backends.store_id import STORE_ID_KEY
from tandem.core.cluster_life import life_of
from tandem.core.envelope import seal
from tandem.core.reply import Failed
from tandem.core.version import Version
from tests.crawler.crawling import NAMESPACE, Ground, Said, collector, work
from tests.crawler.rounds_world import NearGateways
from tests.crawler.test_collecting import collecting, graveyard
from tests.sim.loop import EPOCH_US, SeededEntropy, run


def renewing(world: Ground) -> Renewing:
    return Renewing(world.homes, collector(world.kvsp, world.s3, Said(dirty=True)))


async def restored(path: Path, *, same_store: bool = True) -> Ground:
    """A store whose KVSP is exchanged for a copy from before something was deleted for good."""
    world = await graveyard()
    for home, store_id in ((world.kvsp, "5"), (world.s3, "5" if same_store else "6")):
        home.place(STORE_ID_KEY, seal(Version.at(EPOCH_US), store_id.encode() * 32))
    image = world.kvsp.image()
    await collecting(world, path / "book").crawl(NAMESPACE)
    assert world.copies("gone") == (None, None)
    world.kvsp.restore(image)
    assert world.copies("gone")[0] is not None
    return world


async def life(world: Ground) -> int:
    lives = await world.kvsp.clusters(1.0)
    assert not isinstance(lives, Failed)
    return life_of(lives[0].incarnation)


def test_a_restored_cluster_loses_what_was_deleted_since_the_copy(tmp_path: Path) -> None:
    async def main() -> None:
        world = await restored(tmp_path)
        looks = renewing(world)
        await looks.look()
        assert (await life(world), looks.looks) == (1, 0)
        assert world.copies("gone") == (None, None)
        await looks.look()
        assert (await life(world), looks.looks) == (1, 1)

    run(main())


def test_a_cluster_is_looked_at_though_the_one_with_the_store_id_was_lost(tmp_path: Path) -> None:
    """Seed 1395 of the simulator: KVSP, out of use, was given no id, and the operator waited."""

    async def main() -> None:
        world = await restored(tmp_path)
        world.kvsp.drop(STORE_ID_KEY)
        looks = renewing(world)
        await looks.look()
        await looks.look()
        assert (await life(world), looks.looks) == (1, 1)
        world.s3.drop(STORE_ID_KEY)
        await looks.look()
        assert looks.looks == 1

    run(main())


def test_the_mirrors_of_another_store_say_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        world = await restored(tmp_path, same_store=False)
        looks = renewing(world)
        await looks.look()
        assert (await life(world), looks.looks) == (0, 0)
        assert world.copies("gone")[0] is not None

    run(main())


def test_it_comes_before_a_round_that_the_gateways_do_not_allow(tmp_path: Path) -> None:
    async def main() -> None:
        world, gateways = await restored(tmp_path), NearGateways()
        gateways.off_from_look = 0
        book, entropy = Book(tmp_path / "rounds"), SeededEntropy(Random(2))
        board = Board(book, entropy)
        rounds = Rounds(
            homes=world.homes, enabled=gateways.enabled, gateways=gateways, board=board,
            work=work(
                collecting(world, tmp_path / "other"), world.kvsp, world.s3, world.clock
            ),
        )  # fmt: skip
        await rounds.round()
        assert "waiting" in board.doing
        assert await life(world) == 1
        assert world.copies("gone") == (None, None)

    run(main())
