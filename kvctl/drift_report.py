"""A report of drift as a table, as JSON, as CSV."""

import csv
import io
from collections.abc import Sequence
from typing import Final

from kvctl.output import columns, duration, printable, size, when
from kvctl.titles import shown_name
from tandem.core.counted import counted
from tandem.core.crawl_status import Crawled
from tandem.core.drift import Drift

UNKNOWN: Final = "nothing is known of drift; `kvctl crawl status` shows more"
NO_CRAWL: Final = f"no crawl has ended yet: {UNKNOWN}"
_MICRO: Final = 1_000_000


def table(crawls: Sequence[Crawled], names: dict[str, str]) -> str:
    """The last crawl of each namespace, and below it what differed."""
    rows = [("NAMESPACE", "CRAWLED", "KEYS", "DRIFT", "PPM", "BYTES", "REPAIRED", "LEFT", "EQUAL")]
    details = []
    for crawled in crawls:
        tally, name = crawled.tally, shown_name(crawled.namespace, names)
        rows.append(
            (
                name, when(crawled.ended_us // _MICRO), str(tally.records), str(tally.drifted),
                f"{tally.drift_ppm:.1f}", size(sum(tally.bytes.values())), str(tally.repaired),
                str(tally.unhealed_keys), verdict(crawled),
            )
        )  # fmt: skip
        details += [printable(f"{name}: {line}") for line in findings(crawled)]
    return "\n".join([columns(rows), *([""] if details else []), *details])


def verdict(crawled: Crawled) -> str:
    """Whether both homes are equal, if there are both."""
    if crawled.alone is not None and crawled.equal:
        return f"{crawled.alone.value} alone"
    return "yes" if crawled.equal else "NO"


def findings(crawled: Crawled) -> list[str]:
    """What one crawl found, in words."""
    tally = crawled.tally
    lines = [
        f"{counted(tally.keys[drift], 'key')} {drift.value}"
        + (f", {size(tally.bytes[drift])}" if tally.bytes[drift] else "")
        + _age(crawled, tally.oldest_us[drift])
        for drift in Drift
        if tally.keys[drift]
    ]
    if tally.repaired:
        mean_us = tally.repair_sum_us // tally.repaired
        lines.append(
            f"repaired {counted(tally.repaired, 'key')}, {duration(mean_us)} after the write on"
            f" average, {duration(tally.repair_max_us)} at most"
        )
    if tally.deep:
        lines.append(f"read the bytes of {counted(tally.deep, 'key')}")
    lines += [f"not repaired: {text}" for text in tally.unhealed]
    if more := tally.unhealed_keys - len(tally.unhealed):
        lines.append(f"not repaired: {more} more")
    if crawled.alone is not None:
        lines.append(f"kept in {crawled.alone.value} alone: there was nothing to compare")
    if crawled.failure:
        lines.append(f"did not see everything: {crawled.failure}")
    if crawled.stopped:
        lines.append(f"STOPPED: {crawled.stopped}; `kvctl crawl resume --accept` allows it")
    return lines


def _age(crawled: Crawled, oldest_us: int) -> str:
    return f", the oldest for {duration(crawled.ended_us - oldest_us)}" if oldest_us else ""


def document(crawled: Crawled, names: dict[str, str]) -> dict[str, object]:
    """One crawl for programs."""
    tally = crawled.tally
    return {
        "namespace": crawled.namespace,
        "title": names.get(crawled.namespace),
        "crawl": crawled.number,
        "began_us": crawled.began_us,
        "ended_us": crawled.ended_us,
        "deep_parts": crawled.deep_parts,
        "dry_run": crawled.dry_run,
        "ranges": crawled.ranges,
        "alone": crawled.alone.value if crawled.alone else None,
        "equal": crawled.equal,
        "failure": crawled.failure or None,
        "stopped": crawled.stopped or None,
        "keys": tally.records,
        "drifted": tally.drifted,
        "ppm": round(tally.drift_ppm, 3),
        "drift": {
            drift.name.lower(): {
                "keys": tally.keys[drift],
                "bytes": tally.bytes[drift],
                "oldest_us": tally.oldest_us[drift] or None,
            }
            for drift in Drift
        },
        "equal_keys": tally.equal,
        "tombstones": tally.tombstones,
        "oldest_tombstone_us": tally.oldest_tombstone_us or None,
        "deep_keys": tally.deep,
        "copied": {side.value: count for side, count in tally.copied.items()},
        "repaired": tally.repaired,
        "repair_mean_us": tally.repair_sum_us // tally.repaired if tally.repaired else None,
        "repair_max_us": tally.repair_max_us or None,
        "unhealed_keys": tally.unhealed_keys,
        "unhealed": tally.unhealed,
        "requests": {"kvsp": tally.kvsp_requests, "s3": tally.s3_requests},
        "bytes_read": tally.bytes_read,
    }


def as_csv(crawls: Sequence[Crawled], names: dict[str, str]) -> str:
    """One line a crawl, the newest first, with a column for each class of drift."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(
        ["namespace", "title", "crawl", "began", "ended", "equal", "keys", "drifted", "ppm",
         *(drift.name.lower() for drift in Drift), "repaired", "repair_max_s", "unhealed", "alone"]
    )  # fmt: skip
    for crawled in crawls:
        tally = crawled.tally
        writer.writerow(
            [crawled.namespace, _cell(names.get(crawled.namespace, "")), crawled.number,
             when(crawled.began_us // _MICRO), when(crawled.ended_us // _MICRO), crawled.equal,
             tally.records, tally.drifted, f"{tally.drift_ppm:.3f}",
             *(tally.keys[drift] for drift in Drift), tally.repaired,
             f"{tally.repair_max_us / _MICRO:.3f}", tally.unhealed_keys,
             crawled.alone.value if crawled.alone else ""]
        )  # fmt: skip
    return text.getvalue()


def _cell(title: str) -> str:
    """A title that no spreadsheet takes for a formula."""
    return f"'{title}" if title[:1] in {"=", "+", "-", "@"} else title
