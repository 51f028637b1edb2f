"""For each alert the numbers with which it fires, and others, near them, with which it does not.

Values are in promtool's notation, one a minute: "0+2x90" grows by two, "0x9 1x90" jumps after ten.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

MINUTES: Final = 250
"""When it is looked which alerts fire; more than any window and `for` together."""
CALM: Final = "0x300"
ONCE_LATELY: Final = "0x235 1x60"
"""A counter that has moved a quarter of an hour before."""
LONG_AGO: Final = "0x60 1x240"
A_MOMENT: Final = "0x249 1x50"
"""A gauge that has just begun: not for long enough where an alert waits."""
ONE: Final = "1x300"

Series: TypeAlias = Mapping[str, str]
"""Values by name and labels; the job and the instance are added."""


@dataclass(frozen=True, slots=True)
class Case:
    """One alert."""

    fires: Series
    quiet: Series
    job: str = "tandem-gateway"


def _gauge(series: str, job: str = "tandem-gateway", on: str = ONE) -> Case:
    return Case({series: on}, {series: A_MOMENT}, job)


def _slow(operation: str, target_s: str) -> Case:
    """Two of a hundred above the target, or one of two hundred."""

    def grown(above: int, total: int) -> Series:
        labels = f'operation="{operation}"'
        buckets = {target_s: total - above, "10.0": total, "+Inf": total}
        return {
            f'tandem_answer_seconds_bucket{{{labels},le="{bound}"}}': f"0+{count}x300"
            for bound, count in buckets.items()
        }

    return Case(grown(2, 100), grown(1, 200))


CASES: Final[Mapping[str, Case]] = {
    "TandemGatewayDown": Case({"up": CALM}, {"up": "1x249 0x50"}),
    "TandemWritesFailing": Case(
        {'tandem_unavailable_total{operation="write"}': "0+2x300"},
        {
            'tandem_unavailable_total{operation="write"}': ONCE_LATELY,
            'tandem_unavailable_total{operation="read"}': "0+2x300",
        },
    ),
    "TandemReadsFailing": Case(
        {'tandem_unavailable_total{operation="read"}': "0+2x300"},
        {
            'tandem_unavailable_total{operation="read"}': ONCE_LATELY,
            'tandem_unavailable_total{operation="write"}': "0+2x300",
        },
    ),
    "TandemOverloaded": Case(
        {'tandem_overloaded_total{operation="read"}': "0+2x300"},
        {'tandem_overloaded_total{operation="read"}': ONCE_LATELY},
    ),
    "TandemReadsSlow": _slow("read", "0.25"),
    "TandemWritesSlow": _slow("write", "0.5"),
    "TandemWorkerMissing": Case(
        {'tandem_worker_up{worker="0"}': ONE, 'tandem_worker_up{worker="1"}': CALM},
        {'tandem_worker_up{worker="0"}': ONE, 'tandem_worker_up{worker="1"}': "1x249 0x50"},
    ),
    "TandemWorkersDie": Case(
        {'tandem_worker_died_total{worker="1"}': ONCE_LATELY},
        {'tandem_worker_died_total{worker="1"}': LONG_AGO},
    ),
    "TandemBugs": Case(
        {
            'tandem_bugs_total{part="rpc"}': ONCE_LATELY,
            'tandem_home_bugs_total{home="s3"}': CALM,
        },
        {
            'tandem_bugs_total{part="rpc"}': LONG_AGO,
            'tandem_home_bugs_total{home="s3"}': CALM,
        },
    ),
    "TandemRoundsFailing": Case(
        {'tandem_rounds_failed_total{loop="repair"}': "0+2x300"},
        {'tandem_rounds_failed_total{loop="repair"}': ONCE_LATELY},
    ),
    "TandemNotRegistered": Case({"tandem_registered": CALM}, {"tandem_registered": "1x249 0x50"}),
    "TandemLogLinesLost": Case(
        {"tandem_log_lines_lost_total": ONCE_LATELY}, {"tandem_log_lines_lost_total": LONG_AGO}
    ),
    "TandemHomeDown": _gauge('tandem_breaker_open{home="s3",worker="0"}'),
    "TandemHomeFailing": Case(
        {
            'tandem_home_failures_total{home="s3",reason="timeout"}': "0+6x300",
            'tandem_home_latency_seconds_count{home="s3",operation="get"}': "0+100x300",
            'tandem_breaker_open{home="s3",worker="0"}': "1 1 1 0 " * 75,
        },
        {
            'tandem_home_failures_total{home="s3",reason="timeout"}': "0+4x300",
            'tandem_home_failures_total{home="s3",reason="switched off"}': "0+90x300",
            'tandem_home_latency_seconds_count{home="s3",operation="get"}': "0+100x300",
            'tandem_home_failures_total{home="kvsp",reason="unreachable"}': "0+100x300",
            'tandem_home_latency_seconds_count{home="kvsp",operation="get"}': "0+100x300",
            'tandem_breaker_open{home="kvsp",worker="0"}': ONE,
            'tandem_home_failures_total{home="back",reason="unreachable"}': "0+100x243 24300x57",
            'tandem_home_latency_seconds_count{home="back",operation="get"}': "0+100x300",
            'tandem_breaker_open{home="back",worker="0"}': "1x243 0x57",
        },
    ),
    "TandemHomeBehind": Case(
        {'tandem_home_behind{home="kvsp"}': ONE},
        {'tandem_home_behind{home="kvsp"}': "0x140 1x160"},
    ),
    "TandemHomeSwitchedOff": Case(
        {'tandem_home_enabled{home="s3",use="writes"}': CALM},
        {'tandem_home_enabled{home="s3",use="writes"}': "1x140 0x160"},
    ),
    "TandemKvspListingsBroken": Case(
        {"tandem_kvsp_scans_failed_total": CALM, "tandem_kvsp_scans_incomplete_total": "0+1x300"},
        {"tandem_kvsp_scans_failed_total": LONG_AGO, "tandem_kvsp_scans_incomplete_total": CALM},
        "tandem-kvsp",
    ),
    "TandemClocksDisagree": _gauge("tandem_clock_alarm"),
    "TandemProgramSilent": Case({"up": CALM}, {"up": "1x246 0x50"}, "tandem-crawler"),
    "TandemJournalUnwritable": Case(
        {'tandem_journal_writable{worker="0"}': ONE, 'tandem_journal_writable{worker="1"}': CALM},
        {'tandem_journal_writable{worker="0"}': "1x249 0x50"},
    ),
    "TandemRepairsUnqueued": _gauge("tandem_repairs_unqueued", on="40x300"),
    "TandemSingleCopies": Case(
        {"tandem_single_copy_seconds": "0+60x300"}, {"tandem_single_copy_seconds": "880x300"}
    ),
    "TandemRepairQueueGrows": Case(
        {'tandem_queue_depth{home="s3"}': "0+100x300"},
        {
            'tandem_queue_depth{home="s3"}': "90000-100x300",
            'tandem_queue_depth{home="kvsp"}': "0+3x300",
        },
    ),
    "TandemRepairsParked": Case({"tandem_needs_person": ONE}, {"tandem_needs_person": CALM}),
    "TandemCorruption": Case(
        {"tandem_corruption_total": ONCE_LATELY}, {"tandem_corruption_total": LONG_AGO}
    ),
    "TandemCrawlsMissing": Case(
        {"tandem_crawler_rounds_total": "0+1x30 30x270"},
        {"tandem_crawler_rounds_total": "0x150 1x150"},
        "tandem-crawler",
    ),
    "TandemCrawlsIncomplete": Case(
        {"tandem_crawler_incomplete_total": "0+1x300"},
        {"tandem_crawler_incomplete_total": ONCE_LATELY},
        "tandem-crawler",
    ),
    "TandemCrawlerWaits": Case(
        {"tandem_crawler_breakers_open": ONE},
        {"tandem_crawler_breakers_open": CALM},
        "tandem-crawler",
    ),
    "TandemCrawlerPaused": _gauge("tandem_crawler_paused", "tandem-crawler"),
    "TandemDriftStays": Case(
        {"tandem_crawler_unhealed_total": "0+1x300"},
        {"tandem_crawler_unhealed_total": ONCE_LATELY},
        "tandem-crawler",
    ),
    "TandemDriftFound": Case(
        {'tandem_drift_keys{drift="missing_in_s3"}': "7x300"},
        {
            'tandem_drift_keys{drift="missing_in_s3"}': A_MOMENT,
            'tandem_drift_keys{drift="retired"}': "7x300",
        },
        "tandem-crawler",
    ),
    "TandemSettingsRefused": _gauge("tandem_settings_refused", "tandem-crawler"),
    "TandemCertificateExpires": Case(
        {"tandem_certificate_days_left": "13.9x300"}, {"tandem_certificate_days_left": "14.1x300"}
    ),
    "TandemCertificateExpired": Case(
        {"tandem_certificate_days_left": "-2x300"}, {"tandem_certificate_days_left": "1.1x300"}
    ),
    "TandemCertificateRefused": _gauge("tandem_certificate_trouble", "tandem-kvsp"),
    "TandemHandshakesFail": Case(
        {'tandem_http_refused_total{why="handshake"}': "0+90x300"},
        {
            'tandem_http_refused_total{why="handshake"}': "0+30x300",
            'tandem_http_refused_total{why="slow"}': "0+90x300",
        },
    ),
    "TandemHttpConnectionsFull": Case(
        {'tandem_http_refused_total{why="connections"}': "0+3x300"},
        {'tandem_http_refused_total{why="connections"}': ONCE_LATELY},
    ),
    "TandemAuthenticationFailures": Case(
        {'tandem_authentication_failures_total{why="invalid"}': "0+30x300"},
        {'tandem_authentication_failures_total{why="invalid"}': "0+10x300"},
    ),
    "TandemQuotaRefusals": Case(
        {'tandem_quota_refused_total{namespace="guests",limit="operations"}': "0+90x300"},
        {'tandem_quota_refused_total{namespace="guests",limit="operations"}': "0+30x300"},
    ),
    "TandemDiskFilling": Case(
        {"tandem_disk_free_share": "0.14x300"}, {"tandem_disk_free_share": "0.16x300"}
    ),
    "TandemDiskFull": Case(
        {"tandem_disk_free_share": "0.04x300"}, {"tandem_disk_free_share": "0.06x300"},
        "tandem-kvsp",
    ),
}  # fmt: skip
