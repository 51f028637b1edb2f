"""Runs that somebody asks for: when they come, what they show, and what they say that failed."""

import asyncio

from tandem.core.crawl_status import RunRequest
from tandem.core.key import SYSTEM_NAMESPACE
from tandem.core.operations import CrawlReport as Told
from tandem.core.reply import Side
from tests.crawler.rounds_world import A, B, World, in_a_world
from tests.crawler.test_rounds import Breaking, Refusing, replace_home


@in_a_world
async def test_what_is_asked_for_comes_between_two_crawls_of_a_round(world: World) -> None:
    run_id = world.board.ask(RunRequest(B)).id
    await world.rounds.round()
    assert world.gateways.equal() == [SYSTEM_NAMESPACE, B, A, B]
    [ended] = world.board.runs
    assert (ended.id, ended.ended, [one.namespace for one in ended.crawls]) == (run_id, True, [B])


@in_a_world
async def test_two_runs_that_are_asked_for_during_a_rest_come_one_after_the_other(
    world: World,
) -> None:
    """What is asked for then does not wait for the next round, and what fails in it is told."""
    rounds = asyncio.create_task(world.rounds.run())
    await asyncio.sleep(1.0)
    assert world.board.doing == "resting between two rounds"
    asked = [world.board.ask(RunRequest()) for _ in range(2)]
    await asyncio.sleep(1.0)
    assert world.rounds.counters.rounds == 1
    numbers = [[one.number for one in run.crawls] for run in world.board.runs]
    assert numbers == [[2, 2, 2], [3, 3, 3]]
    assert [(run.id, run.ended, run.failure) for run in world.board.runs] == [
        (one.id, True, "") for one in asked
    ]
    rounds.cancel()


@in_a_world
async def test_a_run_that_raises_has_failed_and_ends_nothing_else(world: World) -> None:
    replace_home(world, Side.S3, Breaking)
    world.rounds = world.rounds_for(world.gateways)
    world.board.ask(RunRequest(A))
    await world.rounds.round()
    [run] = world.board.runs
    assert "a fault of the crawler: KeyError('a bug')" in run.failure
    assert world.rounds.counters.errors == len(("the run's crawl", "the round's"))
    assert world.gateways.equal() == [SYSTEM_NAMESPACE, B]


@in_a_world
async def test_a_run_of_which_any_crawl_was_not_whole_has_failed(world: World) -> None:
    replace_home(world, Side.KVSP, Refusing)
    world.rounds = world.rounds_for(world.gateways)
    world.board.ask(RunRequest())
    await world.rounds.round()
    [run] = world.board.runs
    assert [bool(one.failure) for one in run.crawls] == [False, True, False]
    assert run.failure == "kvsp: timeout"


@in_a_world
async def test_a_run_shows_the_crawls_that_have_ended_while_it_goes_on(world: World) -> None:
    shown: list[list[str]] = []
    tell = world.gateways.tell

    async def telling(report: Told) -> None:
        shown.append([one.namespace for run in world.board.runs for one in run.crawls])
        await tell(report)

    world.gateways.tell = telling  # type: ignore[method-assign]
    world.board.ask(RunRequest())
    running = asyncio.create_task(world.rounds.run())
    await asyncio.sleep(5.0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [SYSTEM_NAMESPACE] in shown
    assert [SYSTEM_NAMESPACE, A] in shown
