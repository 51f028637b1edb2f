"""The reply to a question about a namespace's mode <-> the domain's report."""

from tandem.core.mode_step import ModeReport
from tandem.wire.mode_codec import (
    mode_message,
    mode_of,
    objection_message,
    objection_of,
    worker_message,
    worker_of,
)
from tandem.wire.namespace_codec import namespace_message, namespace_of
from tandem.wire.v1 import namespaces_pb2


def mode_report_message(report: ModeReport) -> namespaces_pb2.NamespaceModeReply:
    """The message that shows a report."""
    return namespaces_pb2.NamespaceModeReply(
        namespace=namespace_message(report.namespace),
        next=[mode_message(mode) for mode in report.next],
        workers=[worker_message(view) for view in report.workers],
        crawled_at_us=report.crawled_us,
        effects=report.effects,
        objections=[objection_message(objection) for objection in report.objections],
        stepped=report.stepped,
    )


def mode_report_of(message: namespaces_pb2.NamespaceModeReply) -> ModeReport:
    """The report that a message shows."""
    return ModeReport(
        namespace=namespace_of(message.namespace),
        next=tuple(mode_of(mode) for mode in message.next),
        workers=tuple(worker_of(view) for view in message.workers),
        crawled_us=message.crawled_at_us,
        effects=tuple(message.effects),
        objections=tuple(objection_of(objection) for objection in message.objections),
        stepped=message.stepped,
    )
