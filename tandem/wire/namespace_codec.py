"""Messages of the Namespaces service <-> the domain's namespaces."""

from typing import Final, Literal, TypeAlias

from tandem.core.access import DEFAULT_ACCOUNT
from tandem.core.mode import Mode
from tandem.core.mode_step import ModeReport
from tandem.core.namespace import Namespace, Settings, SettingsChange
from tandem.core.quota import Quota, check_quota
from tandem.core.reading import ReadMode
from tandem.core.write_race import AckPolicy
from tandem.errors import InvalidArgument
from tandem.wire.mode_codec import (
    mode_message,
    mode_of,
    objection_message,
    objection_of,
    wanted_mode,
    worker_message,
    worker_of,
)
from tandem.wire.v1 import namespaces_pb2

_Limit: TypeAlias = Literal["operations_per_s", "bytes_per_s", "large_bodies_max"]
_LIMITS: Final[tuple[_Limit, ...]] = ("operations_per_s", "bytes_per_s", "large_bodies_max")
_ACK_POLICIES: Final = {
    AckPolicy.FIRST: namespaces_pb2.ACK_POLICY_FIRST,
    AckPolicy.FIRST_INTENT: namespaces_pb2.ACK_POLICY_FIRST_INTENT,
    AckPolicy.BOTH: namespaces_pb2.ACK_POLICY_BOTH,
}
_READ_MODES: Final = {
    ReadMode.RACE: namespaces_pb2.READ_MODE_RACE,
    ReadMode.KVSP: namespaces_pb2.READ_MODE_KVSP,
    ReadMode.S3: namespaces_pb2.READ_MODE_S3,
    ReadMode.HEDGED: namespaces_pb2.READ_MODE_HEDGED,
}
_ACK_POLICY_BY_NUMBER: Final = {number: policy for policy, number in _ACK_POLICIES.items()}
_READ_MODE_BY_NUMBER: Final = {number: mode for mode, number in _READ_MODES.items()}


def namespace_message(namespace: Namespace) -> namespaces_pb2.Namespace:
    """The message that shows a namespace."""
    quota = namespace.settings.quota
    return namespaces_pb2.Namespace(
        id=namespace.id,
        title=namespace.title,
        settings=namespaces_pb2.NamespaceSettings(
            ack_policy=_ACK_POLICIES[namespace.settings.ack_policy],
            read_mode=_READ_MODES[namespace.settings.read_mode],
            epoch=namespace.settings.epoch,
            operations_per_s=quota.operations_per_s or None,
            bytes_per_s=quota.bytes_per_s or None,
            large_bodies_max=quota.large_bodies_max or None,
            key_write_interval=namespace.settings.key_write_interval or None,
            mode=mode_message(namespace.settings.mode),
            mode_epoch=namespace.settings.mode_epoch,
            stepped_at_s=namespace.settings.stepped_at_s,
        ),
        created_at_s=namespace.created_at_s,
        title_conflict=namespace.title_conflict,
        account=namespace.account,
    )


def namespace_of(message: namespaces_pb2.Namespace) -> Namespace:
    """The namespace that a message shows; an unknown setting reads as the default."""
    default, shown = Settings(), message.settings
    settings = Settings(
        _ACK_POLICY_BY_NUMBER.get(shown.ack_policy, default.ack_policy),
        _READ_MODE_BY_NUMBER.get(shown.read_mode, default.read_mode),
        shown.epoch,
        Quota(shown.operations_per_s, shown.bytes_per_s, shown.large_bodies_max),
        shown.key_write_interval,
        mode_of(shown.mode),
        shown.mode_epoch,
        shown.stepped_at_s,
    )
    return Namespace(
        message.id,
        message.title,
        settings,
        message.created_at_s,
        message.account or DEFAULT_ACCOUNT,
        title_conflict=message.title_conflict,
    )


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


def change_message(change: SettingsChange) -> namespaces_pb2.NamespaceSettings:
    """The message that asks for a change; InvalidArgument for a limit that cannot be."""
    for field in _LIMITS:
        check_quota(getattr(change, field) or 0, field)
    return namespaces_pb2.NamespaceSettings(
        ack_policy=_ACK_POLICIES[change.ack_policy] if change.ack_policy else None,
        read_mode=_READ_MODES[change.read_mode] if change.read_mode else None,
        operations_per_s=change.operations_per_s,
        bytes_per_s=change.bytes_per_s,
        large_bodies_max=change.large_bodies_max,
        key_write_interval=change.key_write_interval,
        mode=None if change.mode is None else mode_message(change.mode),
    )


def change_of(message: namespaces_pb2.NamespaceSettings) -> SettingsChange:
    """The change that a message asks for; InvalidArgument for a setting that does not exist."""
    policy, mode = message.ack_policy, message.read_mode
    if policy and policy not in _ACK_POLICY_BY_NUMBER:
        raise InvalidArgument("settings.ack_policy", f"{int(policy)} is not an ack policy")
    if mode and mode not in _READ_MODE_BY_NUMBER:
        raise InvalidArgument("settings.read_mode", f"{int(mode)} is not a read mode")
    return SettingsChange(
        _ACK_POLICY_BY_NUMBER.get(policy),
        _READ_MODE_BY_NUMBER.get(mode),
        _limit(message, "operations_per_s", message.operations_per_s),
        _limit(message, "bytes_per_s", message.bytes_per_s),
        _limit(message, "large_bodies_max", message.large_bodies_max),
        message.key_write_interval if message.HasField("key_write_interval") else None,
        _mode(message),
    )


def _mode(message: namespaces_pb2.NamespaceSettings) -> Mode | None:
    given = message.HasField("mode") and message.mode.stage
    return wanted_mode(message.mode, "settings.mode") if given else None


def _limit(message: namespaces_pb2.NamespaceSettings, field: _Limit, number: int) -> int | None:
    return check_quota(number, f"settings.{field}") if message.HasField(field) else None
