"""A crawl in several runs, or in several looks: what is gone on from, and what counts once."""

from collections.abc import Awaitable, Callable, Mapping

import pytest

from crawler.crawl import Crawl
from crawler.report import CHECKPOINT_AGE_MAX_US, Checkpoint, CrawlMode, CrawlReport, CrawlRule
from tandem.core.crawl_range import Range
from tandem.core.drift import Drift, Sighting
from tandem.core.key import Key
from tandem.core.limits import KEY_NAME_BYTES_MAX
from tandem.core.mass_change import MassLimit
from tandem.core.reply import Side
from tandem.core.tally import Tally
from tests.crawler.crawling import NAMESPACE, Ground, record
from tests.sim.loop import run

KEYS = 60
PAGE = 10
RULE = CrawlRule(page_names=PAGE, deadline_s=1.0)
SLACK_US = 1_000_000


async def ground(*differing: int) -> Ground:
    """Equal keys, but for those that S3 lacks."""
    world = Ground()
    for n in range(KEYS):
        await world.hold(f"{n:04}", record(n), None if n in differing else record(n))
    return world


def ending_after(pages: int) -> Callable[[], Awaitable[str]]:
    """An objection that comes when so many pages were had."""
    left = pages

    async def hold() -> str:
        nonlocal left
        left -= 1
        return "" if left >= 0 else "enough"

    return hold


@pytest.mark.parametrize(
    ("age_us", "goes_on"),
    [
        (CHECKPOINT_AGE_MAX_US - SLACK_US, True),
        (CHECKPOINT_AGE_MAX_US + SLACK_US, False),
        (-SLACK_US, False),
    ],
)
def test_what_a_checkpoint_says_holds_for_a_while(age_us: int, goes_on: bool) -> None:
    async def main() -> None:
        world = await ground()
        at_us = world.clock.now_us() - age_us
        checkpoint = Checkpoint(at_us, at_us, f"{PAGE - 1:04}", {}, (), 0, Tally().document())
        report = await Crawl(world.homes, NAMESPACE, RULE, resume=checkpoint).run()
        assert report.resumed is goes_on
        assert report.tally.equal == (KEYS - PAGE if goes_on else KEYS)
        assert (report.began_at_us == at_us) is goes_on

    run(main())


@pytest.mark.parametrize("after", ["", f"{PAGE - 1:04}"])
def test_a_range_that_is_full_when_it_is_gone_on_with_ends_behind_what_is_new(after: str) -> None:
    """A range that ended where nothing was judged would begin before all names, and count twice."""

    async def main() -> None:
        world = await ground()
        now_us = world.clock.now_us()
        rule = CrawlRule(page_names=PAGE, deadline_s=1.0, range_names=KEYS)
        full = Checkpoint(now_us, now_us, after, {}, (), KEYS, Tally().document())
        within = Range(0, "", "9")
        report = await Crawl(world.homes, NAMESPACE, rule, within=within, resume=full).run()
        assert len(report.splits) == 1
        assert all(split > after for split in report.splits)

    run(main())


@pytest.mark.parametrize("pages", range(1, 2 * KEYS // PAGE))
def test_what_is_listed_again_after_restarts_counts_once(pages: int) -> None:
    """Foreign objects, too, of which a page tells no more than how many there are."""

    async def main() -> None:
        world = await ground(KEYS // 2)
        world.s3.foreign = 1
        whole = await Crawl(world.homes, NAMESPACE, RULE, mode=CrawlMode(dry_run=True)).run()
        saved: list[Checkpoint | None] = [None]
        for some in (pages, 1, 1):
            at, hold = saved[-1], ending_after(some)
            part = Crawl(world.homes, NAMESPACE, RULE, resume=at, save=saved.append, hold=hold)
            await part.run()
        report = await Crawl(world.homes, NAMESPACE, RULE, resume=saved[-1]).run()
        assert _counted(report) == _counted(whole)

    run(main())


@pytest.mark.parametrize("calls", range(1, 52))
@pytest.mark.parametrize("accepted", [2 * PAGE, 2 * PAGE - 1])
def test_what_was_healed_before_a_restart_is_drift_once(calls: int, accepted: int) -> None:
    """Though the run that goes on finds it equal. Its breaker counts it once, too."""

    async def main() -> None:
        rule = CrawlRule(
            page_names=PAGE, deadline_s=1.0, differences_max=PAGE, heals_at_once=1,
            limit=MassLimit(0.0, accepted),
        )  # fmt: skip
        whole = await Crawl((await ground(*range(2 * PAGE))).homes, NAMESPACE, rule).run()
        world = await ground(*range(2 * PAGE))
        saved: list[Checkpoint | None] = [None]
        hold = ending_after(calls)
        await Crawl(world.homes, NAMESPACE, rule, save=saved.append, hold=hold).run()
        report = await Crawl(world.homes, NAMESPACE, rule, resume=saved[-1]).run()
        assert _counted(report) == _counted(whole)
        assert (report.tally.copied, report.stopped) == (whole.tally.copied, whole.stopped)

    run(main())


def test_what_was_to_be_healed_counts_as_what_it_is_now_where_it_was_not() -> None:
    async def main() -> None:
        world = await ground()
        now_us = world.clock.now_us()
        held = world.kvsp._namespace(NAMESPACE)
        held.floors = held.floors.raised(b"", b"", record(3).version)
        world.kvsp.drop(Key(NAMESPACE, "0003"))
        suspects = {"0003": Sighting(Drift.MISSING_IN_KVSP, 9, now_us - 9, now_us)}
        resume = Checkpoint(now_us, now_us, "0003", suspects, (), 0, Tally(equal=3).document())
        report = await Crawl(world.homes, NAMESPACE, RULE, resume=resume).run()
        assert _counted(report) == (KEYS - 1, {Drift.ZOMBIE: 1})
        assert report.remains == ["0003"]

    run(main())


def _counted(report: CrawlReport) -> tuple[int, Mapping[Drift, int]]:
    return report.tally.equal, {drift: n for drift, n in report.tally.keys.items() if n}


def test_a_breaker_that_has_opened_stays_open_for_the_whole_crawl() -> None:
    """Though what follows is equal, and the share of what differs falls below the limit again."""

    async def main() -> None:
        first, last = range(PAGE), KEYS - 1
        world = await ground(*first, last)
        rule = CrawlRule(
            page_names=PAGE, deadline_s=1.0, differences_max=PAGE, limit=MassLimit(0.3, 5)
        )
        report = await Crawl(world.homes, NAMESPACE, rule).run()
        assert report.stopped is not None
        assert report.tally.copied == dict.fromkeys(Side, 0)
        assert world.copies(f"{last:04}") == (record(last), None)

    run(main())


def test_no_range_ends_with_a_name_behind_which_no_other_can_stand() -> None:
    """Of such a range the dead records would stay for ever."""

    async def main() -> None:
        world = Ground()
        for n in range(KEYS):
            name = f"{n:04}".ljust(KEY_NAME_BYTES_MAX if n < 40 else 4, "x")
            await world.hold(name, record(n))
        rule = CrawlRule(page_names=PAGE, deadline_s=1.0, range_names=2 * PAGE)
        report = await Crawl(world.homes, NAMESPACE, rule).run()
        assert report.splits == ["0049"]

    run(main())


@pytest.mark.parametrize(
    ("differing", "always", "copied"), [(PAGE, PAGE - 1, 0), (2 * PAGE, PAGE, PAGE)]
)
def test_a_breaker_counts_on_and_stays_open_after_a_restart(
    differing: int, always: int, copied: int
) -> None:
    """Else a crawler that is killed again and again repairs as much as the limit each time."""

    async def main() -> None:
        world = await ground(*range(differing))
        rule = CrawlRule(
            page_names=PAGE, deadline_s=1.0, differences_max=PAGE, limit=MassLimit(0.1, always)
        )
        saved: list[Checkpoint] = []

        async def hold() -> str:
            return "enough" if saved and saved[-1].changes else ""

        first = await Crawl(world.homes, NAMESPACE, rule, save=saved.append, hold=hold).run()
        assert (first.failure, first.tally.copied[Side.S3]) == ("enough", copied)
        again = await Crawl(world.homes, NAMESPACE, rule, resume=saved[-1]).run()
        assert again.stopped is not None
        assert again.tally.copied[Side.S3] == copied

    run(main())


def test_what_is_listed_differently_is_read_once_by_a_deep_crawl_too() -> None:
    async def main() -> None:
        world = await ground(3)
        mode = CrawlMode(number=1, deep_parts=1)
        report = await Crawl(world.homes, NAMESPACE, RULE, mode=mode).run()
        assert report.tally.deep == KEYS - 1
        assert (report.tally.records, report.tally.copied[Side.S3]) == (KEYS, 1)

    run(main())
