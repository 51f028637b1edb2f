"""The plan of one crawl and the leases of its ranges: values, and what they are as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass

from crawler.report import CrawlReport
from tandem.core.crawl_range import Range, ranges
from tandem.core.mass_change import NeedsPerson
from tandem.core.reply import Side
from tandem.core.tally import Tally


@dataclass(frozen=True, slots=True)
class Plan:
    """One crawl of one namespace, by whoever takes part."""

    id: str
    namespace: str
    number: int
    splits: tuple[str, ...] = ()
    deep_parts: int = 0
    rebuild: Side | None = None
    requests_per_s: int = 0
    alone: Side | None = None
    """The only home of the namespace, where nothing is compared."""
    mode_epoch: int = 0
    """Of the mode in which it is the only one."""

    @property
    def ranges(self) -> tuple[Range, ...]:
        """Its parts."""
        return ranges(self.splits)

    def document(self) -> dict[str, object]:
        """As JSON has it; the namespace is in the record's name."""
        return {
            "id": self.id, "number": self.number, "splits": self.splits,
            "deep_parts": self.deep_parts, "rebuild": self.rebuild.value if self.rebuild else "",
            "requests_per_s": self.requests_per_s, "alone": self.alone.value if self.alone else "",
            "mode_epoch": self.mode_epoch,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lease:
    """Who is at a range, and once it is done, what was found."""

    holder: str
    until_us: int
    report: CrawlReport | None = None


def plan_of(namespace: str, content: Mapping[str, object]) -> Plan:
    """What `Plan.document` made; ValueError, LookupError or TypeError for anything else."""
    return Plan(
        str(content["id"]), namespace, int(str(content["number"])), _names(content["splits"]),
        int(str(content["deep_parts"])), _side(content["rebuild"]),
        int(str(content["requests_per_s"])), _side(content.get("alone", "")),
        int(str(content.get("mode_epoch", 0))),
    )  # fmt: skip


def report_document(report: CrawlReport) -> dict[str, object]:
    """What a lease says of a range that is done, as JSON has it."""
    return {
        "began_at_us": report.began_at_us,
        "ended_at_us": report.ended_at_us,
        "splits": report.splits,
        "withheld": report.withheld,
        "stopped": report.stopped.document() if report.stopped else [],
        "tally": report.tally.document(),
    }


def report_of(namespace: str, content: Mapping[str, object]) -> CrawlReport:
    """What `report_document` made; ValueError, LookupError or TypeError for anything else."""
    return CrawlReport(
        namespace,
        int(str(content["began_at_us"])),
        int(str(content["ended_at_us"])),
        Tally.of(content["tally"]),
        [*_names(content["splits"])],
        stopped=NeedsPerson.of(content["stopped"]) if content["stopped"] != [] else None,
        withheld=str(content["withheld"]),
    )


def _names(splits: object) -> tuple[str, ...]:
    if not isinstance(splits, list):
        raise TypeError(f"{splits!r} instead of names")
    return tuple(map(str, splits))


def _side(home: object) -> Side | None:
    return Side(str(home)) if home else None
