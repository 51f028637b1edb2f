"""What an adversary found, for people and for programs."""

from typing import Final

from kvctl.adversary.checker import Broken
from kvctl.adversary.evidence import Evidence
from kvctl.adversary.tally import Tally
from kvctl.output import columns, duration
from tandem.core.counted import counted

UNEQUAL_SHOWN_MAX: Final = 20


def text_of(tally: Tally, evidence: Evidence) -> str:
    """A report for people."""
    rate = tally.operations / tally.seconds if tally.seconds else 0
    puts, deletes = counted(tally.writes, "put"), counted(tally.deletes, "delete")
    rows = [
        ("operations", f"{tally.operations} in {tally.seconds:.1f} s, {rate:.0f} a second"),
        ("answered", f"{counted(tally.reads, 'read')}, {puts}, {deletes}"),
        ("errors", f"{tally.failed} failed, {counted(tally.ambiguous, 'write')} of unknown end"),
        *((broken.value, _found(tally, broken)) for broken in Broken),
        ("convergence", _convergence(tally)),
    ]
    lines = [columns(rows)]
    lines += [f"{count} x {message}" for message, count in tally.errors.most_common()]
    lines += [f"not equal: {line}" for line in tally.unequal[:UNEQUAL_SHOWN_MAX]]
    if evidence.cases:
        kept = f"{evidence.cases} of {counted(tally.broken.total(), 'violation')}"
        lines.append(f"evidence of {kept} is in {evidence.path}")
    if tally.interrupted:
        lines.append("interrupted: not everything was asked")
    return "\n".join(lines)


def _found(tally: Tally, broken: Broken) -> str:
    found = counted(tally.broken[broken], "violation")
    if broken in {Broken.OWN_WRITES, Broken.MONOTONIC}:
        return f"{found}, {100 * tally.share(broken):.4g}% of reads"
    return found


def _convergence(tally: Tally) -> str:
    if not tally.converged_us:
        return "nothing was seen to converge"
    p50, p99, most = (duration(tally.converged(share) or 0) for share in (0.5, 0.99, 1.0))
    keys = counted(len(tally.converged_us), "key")
    return f"{keys} equal in both homes: p50 {p50}, p99 {p99}, max {most} after the last write"


def document_of(tally: Tally, evidence: Evidence) -> dict[str, object]:
    """A report for programs."""
    return {
        "operations": tally.operations,
        "seconds": round(tally.seconds, 3),
        "reads": tally.reads,
        "writes": tally.writes,
        "deletes": tally.deletes,
        "failed": tally.failed,
        "ambiguous": tally.ambiguous,
        "errors": dict(tally.errors),
        "violations": {broken.value: tally.broken[broken] for broken in Broken},
        "read_your_own_writes_share": tally.share(Broken.OWN_WRITES),
        "monotonic_reads_share": tally.share(Broken.MONOTONIC),
        "converged": len(tally.converged_us),
        "convergence_p50_us": tally.converged(0.5),
        "convergence_p99_us": tally.converged(0.99),
        "convergence_max_us": tally.converged(1.0),
        "unequal": tally.unequal,
        "evidence": str(evidence.path) if evidence.cases else None,
        "evidence_cases": evidence.cases,
        "complete": not tally.interrupted,
    }
