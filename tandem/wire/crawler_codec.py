"""Messages of the Crawler service <-> the values of `tandem.core.crawl_status`, both ways."""

from collections.abc import Sequence
from typing import Final

from tandem.core.crawl_status import (
    Crawled,
    CrawlerStatus,
    HistoryPage,
    Place,
    RangeProgress,
    Run,
    RunRequest,
    Stop,
)
from tandem.core.drift import Drift
from tandem.core.namespace import check_namespace_form
from tandem.core.reply import Side
from tandem.core.tally import Tally
from tandem.errors import InvalidArgument
from tandem.wire.ops_codec import home_of, side_of
from tandem.wire.v1 import crawler_pb2 as pb

REPORT_PAGE_MAX: Final = 50
"""A crawl with 20 keys that it could not repair takes up to 25 KiB; a message takes 4 MiB."""
DEEP_PARTS_MAX: Final = 1_000_000
_DIGITS_MAX: Final = 18
_EVERY_MS_MIN: Final = 100
_EVERY_MS_DEFAULT: Final = 1_000
_SAME: Final = (
    "equal", "tombstones", "oldest_tombstone_us", "deep", "repaired", "repair_sum_us",
    "repair_max_us", "unhealed_keys", "rows_removed", "objects_removed",
    "kvsp_requests", "s3_requests", "bytes_read",
)  # fmt: skip
"""Fields of a tally that are called alike in its message."""


def run_request_of(message: pb.RunCrawlRequest) -> RunRequest:
    """What is asked for; InvalidArgument when it makes no sense."""
    if message.deep_parts > DEEP_PARTS_MAX:
        raise InvalidArgument("deep_parts", f"must be at most {DEEP_PARTS_MAX}")
    return _request_of(message)


def run_request_message(request: RunRequest) -> pb.RunCrawlRequest:
    """The message that asks for it."""
    return pb.RunCrawlRequest(
        namespace=request.namespace, deep_parts=request.deep_parts, dry_run=request.dry_run,
        rebuild=home_of(request.rebuild) if request.rebuild else None,
        requests_per_s=request.requests_per_s,
    )  # fmt: skip


def _request_of(message: pb.RunCrawlRequest) -> RunRequest:
    rebuild = side_of(message.rebuild) if message.rebuild else None
    namespace = _namespace(message.namespace)
    return RunRequest(
        namespace, message.deep_parts, message.dry_run, rebuild, message.requests_per_s
    )


def history_page_of(message: pb.DriftReportRequest) -> HistoryPage:
    """The page that is asked for; InvalidArgument when there is none such."""
    if message.limit > REPORT_PAGE_MAX:
        raise InvalidArgument("limit", f"must be at most {REPORT_PAGE_MAX}")
    after = _place(message.after) if message.after else None
    limit = message.limit or REPORT_PAGE_MAX
    return HistoryPage(_namespace(message.namespace), message.since_us, limit, after)


def report_reply(crawls: Sequence[Crawled], limit: int) -> pb.DriftReportReply:
    """A page of at most `limit` crawls; with so many of them, more may follow."""
    last = crawls[-1].place if len(crawls) == limit else None
    return pb.DriftReportReply(
        crawls=[crawled_message(one) for one in crawls],
        next="/".join(map(str, last)) if last else "",
    )


def _place(text: str) -> Place:
    began_us, _, rest = text.partition("/")
    namespace, _, plan = rest.partition("/")
    if not began_us.isdecimal() or len(began_us) > _DIGITS_MAX or not _namespace(namespace):
        raise InvalidArgument("after", "is no place in the history")
    return Place(int(began_us), namespace, plan)


def every_s_of(message: pb.WatchCrawlerRequest) -> float:
    """How often the status is wanted."""
    return max(message.every_ms or _EVERY_MS_DEFAULT, _EVERY_MS_MIN) / 1000


def _namespace(text: str) -> str:
    return check_namespace_form(text) if text else text


def status_message(status: CrawlerStatus) -> pb.CrawlerStatusReply:
    """The message that shows a status."""
    return pb.CrawlerStatusReply(
        crawler_id=status.crawler_id,
        paused=status.paused,
        doing=status.doing,
        rounds=status.rounds,
        crawls=status.crawls,
        errors=status.errors,
        waited_s=status.waited_s,
        ranges=[
            pb.RangeProgress(
                namespace=one.namespace, number=one.number, ranges=one.ranges,
                position=one.position.encode(), compared=one.compared, drifted=one.drifted,
            )
            for one in status.ranges
        ],
        stops=[
            pb.CrawlStop(
                namespace=one.namespace, at_us=one.at_us, changes=one.changes, why=one.why,
                accepted=one.accepted,
            )
            for one in status.stops
        ],
        latest=[crawled_message(one) for one in status.latest],
        runs=[_run_message(run) for run in status.runs],
    )  # fmt: skip


def status_of(message: pb.CrawlerStatusReply) -> CrawlerStatus:
    """The status that a message shows."""
    return CrawlerStatus(
        message.crawler_id,
        message.paused,
        message.doing,
        message.rounds,
        message.crawls,
        message.errors,
        message.waited_s,
        tuple(
            RangeProgress(
                one.namespace, one.number, one.ranges, one.position.decode(), one.compared,
                one.drifted,
            )
            for one in message.ranges
        ),
        tuple(
            Stop(one.namespace, one.at_us, one.changes, one.why, one.accepted)
            for one in message.stops
        ),
        tuple(crawled_of(one) for one in message.latest),
        tuple(_run_of(one) for one in message.runs),
    )  # fmt: skip


def _run_message(run: Run) -> pb.CrawlRun:
    return pb.CrawlRun(
        id=run.id,
        request=run_request_message(run.request),
        ended=run.ended,
        failure=run.failure,
        crawls=[crawled_message(one) for one in run.crawls],
    )


def _run_of(message: pb.CrawlRun) -> Run:
    return Run(
        message.id,
        _request_of(message.request),
        message.ended,
        message.failure,
        tuple(crawled_of(one) for one in message.crawls),
    )


def crawled_message(crawled: Crawled) -> pb.EndedCrawl:
    """The message that shows a crawl that has ended."""
    return pb.EndedCrawl(
        namespace=crawled.namespace,
        plan=crawled.plan,
        number=crawled.number,
        began_us=crawled.began_us,
        ended_us=crawled.ended_us,
        deep_parts=crawled.deep_parts,
        dry_run=crawled.dry_run,
        ranges=crawled.ranges,
        failure=crawled.failure,
        stopped=crawled.stopped,
        tally=_tally_message(crawled.tally),
        withheld=crawled.withheld,
        alone=home_of(crawled.alone) if crawled.alone else None,
    )


def crawled_of(message: pb.EndedCrawl) -> Crawled:
    """The crawl that a message shows."""
    return Crawled(
        message.namespace,
        message.plan,
        message.number,
        message.began_us,
        message.ended_us,
        message.deep_parts,
        message.dry_run,
        message.ranges,
        message.failure,
        message.stopped,
        _tally_of(message.tally),
        message.withheld,
        side_of(message.alone) if message.alone else None,
    )


def _tally_message(tally: Tally) -> pb.DriftTally:
    message = pb.DriftTally(
        copied_to_kvsp=tally.copied[Side.KVSP],
        copied_to_s3=tally.copied[Side.S3],
        unhealed=[text.encode(errors="backslashreplace").decode() for text in tally.unhealed],
        drift=[
            pb.DriftCount(
                drift=drift.name, keys=tally.keys[drift], bytes=tally.bytes[drift],
                oldest_us=tally.oldest_us[drift],
            )
            for drift in Drift
            if tally.keys[drift]
        ],
    )  # fmt: skip
    for name in _SAME:
        setattr(message, name, getattr(tally, name))
    return message


def _tally_of(message: pb.DriftTally) -> Tally:
    tally = Tally()
    for name in _SAME:
        setattr(tally, name, getattr(message, name))
    tally.copied = {Side.KVSP: message.copied_to_kvsp, Side.S3: message.copied_to_s3}
    tally.unhealed = [*message.unhealed]
    for one in message.drift:
        drift = Drift[one.drift] if one.drift in Drift.__members__ else Drift.UNKNOWN
        tally.keys[drift] += one.keys
        tally.bytes[drift] += one.bytes
        tally.oldest_us[drift] = one.oldest_us
    return tally
