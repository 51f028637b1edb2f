"""A report of drift as one HTML file with charts: no script, and nothing from outside."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from kvctl.drift_report import NO_CRAWL, findings, verdict
from kvctl.output import duration, when
from kvctl.titles import shown_name
from tandem.core.counted import counted
from tandem.core.crawl_status import Crawled
from tandem.core.drift import REAL, Drift

_MICRO: Final = 1_000_000
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 720, 220, 64, 28, 12
_COLOURS: Final = {
    Drift.MISSING_IN_S3: "#1f77b4", Drift.MISSING_IN_KVSP: "#ff7f0e", Drift.OLDER_IN_S3: "#17becf",
    Drift.OLDER_IN_KVSP: "#bcbd22", Drift.OTHER_BYTES: "#d62728", Drift.ZOMBIE: "#9467bd",
}  # fmt: skip
_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.5rem}h3{font-size:1rem;color:#555}
table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;text-align:right}
td,th{white-space:nowrap}td:first-child,th:first-child{text-align:left;white-space:normal;
overflow-wrap:anywhere;min-width:9rem}.wide{overflow-x:auto}tr+tr{border-top:1px solid #ddd}
.bad{color:#b00020;font-weight:600}.good{color:#1b7f3b}svg{width:100%;height:auto}
text{font:11px system-ui,sans-serif;fill:#555}.key{margin-right:1rem;white-space:nowrap}
.key i{display:inline-block;width:.8em;height:.8em;margin-right:.3em}
"""


def page(crawls: Sequence[Crawled], names: dict[str, str], made_us: int) -> str:
    """The whole file; `crawls` with the newest first."""
    by_namespace: dict[str, list[Crawled]] = {}
    for crawled in reversed(crawls):
        by_namespace.setdefault(crawled.namespace, []).append(crawled)
    by_namespace = dict(sorted(by_namespace.items(), key=lambda one: _worst_first(one[1], names)))
    body = _summary(by_namespace, names) if by_namespace else f"<p>{escape(NO_CRAWL)}</p>"
    sections = "".join(_section(shown_name(n, names), c) for n, c in by_namespace.items())
    made = when(made_us // _MICRO)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Drift between the homes, {made}</title><style>{_STYLE}</style></head>"
        f"<body><h1>Drift between the homes</h1><p>Made {made}. Drift is what differs between"
        " KVSP and S3 though its write is over; times are the homes' own.</p>"
        f"{body}{sections}</body></html>\n"
    )


def _worst_first(crawls: Sequence[Crawled], names: dict[str, str]) -> tuple[bool, int, str]:
    last = crawls[-1]
    return last.equal, -last.tally.drifted, shown_name(last.namespace, names)


def _summary(by_namespace: dict[str, list[Crawled]], names: dict[str, str]) -> str:
    rows = []
    for namespace, crawls in by_namespace.items():
        last, tally = crawls[-1], crawls[-1].tally
        tone = "good" if last.equal else "bad"
        rows.append(
            f"<tr><td>{escape(shown_name(namespace, names))}</td><td>{tally.records:,}</td>"
            f"<td>{tally.drifted:,}</td><td>{tally.drift_ppm:.1f}</td><td>{tally.repaired:,}</td>"
            f"<td>{tally.unhealed_keys:,}</td><td>{when(last.ended_us // _MICRO)}</td>"
            f'<td class="{tone}">{verdict(last).lower()}</td></tr>'
        )
    head = "".join(
        f"<th>{name}</th>"
        for name in ("Namespace", "Keys", "Drifted", "ppm", "Repaired", "Left", "Crawled", "Equal")
    )
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _section(name: str, crawls: Sequence[Crawled]) -> str:
    """One namespace: drift by class over time, time to repair, and the words of its last crawl."""
    real = [drift for drift in Drift if drift in REAL]
    series = [
        (drift.value, _COLOURS[drift], [crawled.tally.keys[drift] for crawled in crawls])
        for drift in real
    ]
    worst = [("at most", "#d62728", [crawled.tally.repair_max_us for crawled in crawls])]
    mean = [crawled.tally.repair_sum_us // max(crawled.tally.repaired, 1) for crawled in crawls]
    times = [crawled.ended_us for crawled in crawls]
    words = "".join(f"<li>{escape(line)}</li>" for line in findings(crawls[-1]))
    return (
        f"<h2>{escape(name)}</h2><h3>Keys that differed, by class</h3>"
        f"{_chart(times, series, str)}<h3>Time from a write to its repair</h3>"
        f"{_chart(times, [('on average', '#1f77b4', mean), *worst], duration)}"
        f"<h3>The last crawl</h3><ul>{words or '<li>both homes were equal</li>'}</ul>"
    )


def _chart(
    times: Sequence[int],
    series: Sequence[tuple[str, str, Sequence[int]]],
    shown: Callable[[int], str],
) -> str:
    """Lines over time with the greatest value and both ends of the time written beside them; in
    words where there is nothing to draw."""
    drawn = [one for one in series if any(one[2])]
    first, last = times[0], times[-1]
    began, ended = when(first // _MICRO), when(last // _MICRO)
    if not drawn:
        return f"<p>none in {counted(len(times), 'crawl')}, the last one at {ended}</p>"
    top = max(max(values) for _, _, values in drawn)

    def x(time: int) -> float:
        inside = (time - first) / (last - first) if last > first else 0.5
        return _LEFT + inside * (_WIDTH - _LEFT - 12)

    def y(value: int) -> float:
        return _HEIGHT - _BOTTOM - value / max(top, 1) * (_HEIGHT - _BOTTOM - _TOP)

    lines = []
    for label, colour, values in drawn:
        points = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v in zip(times, values, strict=True))
        dots = "".join(
            f'<circle cx="{x(t):.1f}" cy="{y(v):.1f}" r="2.5" fill="{colour}">'
            f"<title>{escape(label)}: {escape(shown(v))}, {when(t // _MICRO)}</title></circle>"
            for t, v in zip(times, values, strict=True)
            if v
        )
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>{dots}'
        )
    floor = _HEIGHT - _BOTTOM
    keys = "".join(
        f'<span class="key"><i style="background:{colour}"></i>{escape(label)}</span>'
        for label, colour, _ in drawn
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
        f' aria-label="from {began} to {ended}, at most {escape(shown(top))}">'
        f'<path d="M{_LEFT} {_TOP}V{floor}H{_WIDTH}" fill="none" stroke="#999"/>'
        f'<text x="{_LEFT - 6}" y="{_TOP + 8}" text-anchor="end">{escape(shown(top))}</text>'
        f'<text x="{_LEFT - 6}" y="{floor}" text-anchor="end">0</text>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 8}">{began}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 8}" text-anchor="end">{ended}</text>'
        f"{''.join(lines)}</svg><p>{keys}</p>"
    )
