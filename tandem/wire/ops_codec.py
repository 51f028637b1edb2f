"""Messages of the Ops service <-> the values of `tandem.core.operations`, both ways."""

from typing import Final

from tandem.core.certificate import Certificate, CertificateInUse
from tandem.core.key import Key, check_name_length, decode_name
from tandem.core.namespace import check_namespace_id
from tandem.core.operations import (
    Compared,
    Copy,
    CrawlReport,
    Healed,
    HomeStatus,
    Inspection,
    QueuedRepair,
    QueueStatus,
    Status,
)
from tandem.core.reply import Side
from tandem.core.settings_in_force import SettingsInForce
from tandem.core.version import Version
from tandem.errors import InvalidArgument
from tandem.wire.v1 import ops_pb2

QUEUE_PAGE_MAX: Final = 1000

_HOMES: Final = {Side.KVSP: ops_pb2.HOME_KVSP, Side.S3: ops_pb2.HOME_S3}
SIDES: Final = {number: side for side, number in _HOMES.items()}


def side_of(home: ops_pb2.Home) -> Side:
    """The side that a message names; InvalidArgument when it names none."""
    side = SIDES.get(home)
    if side is None:
        raise InvalidArgument("home", f"{int(home)} is not a home: it is kvsp (1) or s3 (2)")
    return side


def home_of(side: Side) -> ops_pb2.Home:
    """The name of a side in messages."""
    return _HOMES[side]


def key_of(message: ops_pb2.InspectRequest | ops_pb2.HealKeyRequest) -> Key:
    """The key that a message names, checked."""
    return Key(check_namespace_id(message.namespace), decode_name(message.key))


def comparison_of(message: ops_pb2.CompareKeysRequest) -> tuple[str, str, str]:
    """Namespace, prefix and last name of what is to be compared, checked."""
    prefix, after = _text(message.prefix, "prefix"), _text(message.after, "after")
    return check_namespace_id(message.namespace), prefix, after


def _text(raw: bytes, field: str) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidArgument(field, f"is not valid UTF-8 at byte {error.start}") from None
    check_name_length(text, field)
    return text


def compared_message(compared: Compared) -> ops_pb2.CompareKeysReply:
    """The message that shows a comparison."""
    return ops_pb2.CompareKeysReply(
        equal=compared.equal,
        differing=[name.encode() for name in compared.differing],
        next_after=(compared.next_after or "").encode(),
    )


def compared_of(message: ops_pb2.CompareKeysReply) -> Compared:
    """The comparison that a message shows."""
    names = tuple(name.decode() for name in message.differing)
    return Compared(message.equal, names, message.next_after.decode() or None)


def queue_limit_of(message: ops_pb2.ListQueueRequest) -> int:
    """How many rows a message asks for; 0 stands for the most."""
    if message.limit > QUEUE_PAGE_MAX:
        raise InvalidArgument("limit", f"{message.limit} is not between 1 and {QUEUE_PAGE_MAX}")
    return message.limit or QUEUE_PAGE_MAX


def crawl_report_of(message: ops_pb2.ReportCrawlRequest) -> CrawlReport:
    """A crawler's report. The reserved namespaces are crawled too."""
    return CrawlReport(message.namespace, message.began_at_us, message.equal)


def status_message(status: Status) -> ops_pb2.StatusReply:
    """The message that shows a status."""
    queue = status.queue
    return ops_pb2.StatusReply(
        homes=[_home_message(home) for home in status.homes],
        queue=ops_pb2.QueueStatus(
            depth=queue.depth,
            oldest_age_us=queue.oldest_age_us,
            dirty_ranges=queue.dirty_ranges,
            healed=queue.healed,
            failed_tries=queue.failed_tries,
            needs_person=queue.needs_person,
        ),
        gateway_id=status.gateway_id,
        now_us=status.now_us,
        clock_offset_us=status.clock_offset_us,
        clock_alarm=status.clock_alarm,
        workers=status.workers,
        journal_pending=status.journal_pending,
        journal_writable=status.journal_writable,
        namespaces_equal=status.namespaces_equal,
        process=status.process,
        worker_restarts=status.worker_restarts,
        certificate=_certificate_message(status.certificate),
        settings=ops_pb2.SettingsInForce(
            read_us=status.settings.read_us,
            mistakes=status.settings.mistakes,
            waiting=status.settings.waiting,
        ),
        doubled=status.doubled,
    )


def _certificate_message(in_use: CertificateInUse | None) -> ops_pb2.CertificateInUse | None:
    if in_use is None:
        return None
    certificate = in_use.certificate
    return ops_pb2.CertificateInUse(
        subject=certificate.subject,
        serial=certificate.serial,
        not_before_us=certificate.not_before_us,
        not_after_us=certificate.not_after_us,
        trouble=in_use.trouble,
    )


def _certificate_of(message: ops_pb2.StatusReply) -> CertificateInUse:
    shown = message.certificate
    return CertificateInUse(
        Certificate(shown.subject, shown.serial, shown.not_before_us, shown.not_after_us),
        shown.trouble,
    )


def status_of(message: ops_pb2.StatusReply) -> Status:
    """The status that a message shows."""
    queue = message.queue
    return Status(
        homes=tuple(_home_status_of(home) for home in message.homes),
        queue=QueueStatus(
            queue.depth,
            queue.oldest_age_us,
            queue.dirty_ranges,
            queue.healed,
            queue.failed_tries,
            queue.needs_person,
        ),
        gateway_id=message.gateway_id,
        now_us=message.now_us,
        clock_offset_us=message.clock_offset_us,
        clock_alarm=message.clock_alarm,
        workers=message.workers,
        journal_pending=message.journal_pending,
        journal_writable=message.journal_writable,
        namespaces_equal=message.namespaces_equal,
        process=message.process,
        worker_restarts=message.worker_restarts,
        certificate=_certificate_of(message) if message.HasField("certificate") else None,
        settings=SettingsInForce(
            message.settings.read_us,
            tuple(message.settings.mistakes),
            tuple(message.settings.waiting),
        ),
        doubled=message.doubled,
    )


def inspection_message(inspection: Inspection) -> ops_pb2.InspectReply:
    """The message that shows a key in both homes."""
    return ops_pb2.InspectReply(
        copies=[
            ops_pb2.Copy(
                home=home_of(copy.side),
                found=copy.found,
                version=copy.version or b"",
                digest=copy.digest,
                tombstone=copy.tombstone,
                expires_at_s=copy.expires_at_s,
                value_bytes=copy.value_bytes,
                metadata=copy.metadata,
                failure=copy.failure,
            )
            for copy in inspection.copies
        ],
        equal=inspection.equal,
        object_name=inspection.object_name,
        plan=inspection.plan,
    )


def inspection_of(message: ops_pb2.InspectReply) -> Inspection:
    """The key in both homes that a message shows."""
    copies = tuple(
        Copy(
            side_of(copy.home),
            copy.found,
            _version_of(copy.version),
            copy.digest,
            copy.tombstone,
            copy.expires_at_s,
            copy.value_bytes,
            copy.metadata,
            copy.failure,
        )
        for copy in message.copies
    )
    return Inspection(copies, message.equal, message.object_name, message.plan)


def healed_message(healed: Healed) -> ops_pb2.HealKeyReply:
    """The message that says what a heal did."""
    return ops_pb2.HealKeyReply(
        equal=healed.equal,
        copied=[home_of(side) for side in healed.copied],
        reasons=healed.reasons,
    )


def healed_of(message: ops_pb2.HealKeyReply) -> Healed:
    """What a heal did."""
    copied = tuple(side_of(home) for home in message.copied)
    return Healed(message.equal, copied, tuple(message.reasons))


def repair_message(repair: QueuedRepair) -> ops_pb2.QueuedRepair:
    """The message that shows a row of the queue."""
    return ops_pb2.QueuedRepair(
        namespace=repair.key.namespace,
        key=repair.key.name.encode(),
        version=repair.version or b"",
        attempts=repair.attempts,
        age_us=repair.age_us,
        due_in_us=repair.due_in_us,
        last_failure=repair.last_failure,
    )


def repair_of(message: ops_pb2.QueuedRepair) -> QueuedRepair:
    """The row of the queue that a message shows."""
    return QueuedRepair(
        Key(message.namespace, message.key.decode()),
        _version_of(message.version),
        message.attempts,
        message.age_us,
        message.due_in_us,
        message.last_failure,
    )


def _home_message(home: HomeStatus) -> ops_pb2.HomeStatus:
    return ops_pb2.HomeStatus(
        home=home_of(home.side),
        kind=home.kind,
        location=home.location,
        breaker=home.breaker,
        reads_enabled=home.reads_enabled,
        writes_enabled=home.writes_enabled,
        behind=home.behind,
        last_failure=home.last_failure,
        detail=home.detail,
        switch_epoch=home.switch_epoch,
    )


def _home_status_of(message: ops_pb2.HomeStatus) -> HomeStatus:
    return HomeStatus(
        side_of(message.home),
        message.kind,
        message.location,
        message.breaker,
        message.reads_enabled,
        message.writes_enabled,
        tuple(message.behind),
        message.last_failure,
        message.detail,
        message.switch_epoch,
    )


def _version_of(raw: bytes) -> Version | None:
    return Version(raw) if raw else None
