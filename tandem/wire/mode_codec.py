"""Messages of namespace modes <-> the domain's modes and what is said of a step."""

from typing import Final

from tandem.core.mode import ACTIVE, WHOLE_SHARE, Mode, Stage
from tandem.core.mode_step import Objection, WorkerView
from tandem.errors import InvalidArgument
from tandem.wire.ops_codec import SIDES, home_of
from tandem.wire.v1 import namespaces_pb2

_STAGES: Final = {
    Stage.SINGLE: namespaces_pb2.STAGE_SINGLE,
    Stage.SHADOW: namespaces_pb2.STAGE_SHADOW,
    Stage.ACTIVE: namespaces_pb2.STAGE_ACTIVE,
}
_STAGE_BY_NUMBER: Final = {number: stage for stage, number in _STAGES.items()}


def mode_message(mode: Mode) -> namespaces_pb2.NamespaceMode:
    """The message that shows a mode, or asks for it."""
    return namespaces_pb2.NamespaceMode(
        stage=_STAGES[mode.stage], home=home_of(mode.home), percent=mode.percent
    )


def mode_of(message: namespaces_pb2.NamespaceMode) -> Mode:
    """The mode that a message shows; the usual one where it shows none."""
    stage = _STAGE_BY_NUMBER.get(message.stage)
    home = SIDES.get(message.home, ACTIVE.home)
    return ACTIVE if stage is None else Mode(stage, home, message.percent or WHOLE_SHARE)


def wanted_mode(message: namespaces_pb2.NamespaceMode, field: str) -> Mode:
    """The mode that a request asks for; InvalidArgument unless there is such a mode."""
    stage = _STAGE_BY_NUMBER.get(message.stage)
    if stage is None:
        raise InvalidArgument(f"{field}.stage", f"{int(message.stage)} is not a stage")
    if message.home not in SIDES:
        raise InvalidArgument(f"{field}.home", f"{int(message.home)} is not a home")
    try:
        return Mode(stage, SIDES[message.home], message.percent or WHOLE_SHARE)
    except ValueError as error:
        raise InvalidArgument(f"{field}.percent", str(error)) from None


def worker_message(view: WorkerView) -> namespaces_pb2.WorkerView:
    """The message that shows what a process says of a namespace."""
    return namespaces_pb2.WorkerView(
        id=view.id,
        looked_at_us=view.looked_us,
        mode_epoch=view.epoch,
        since_us=view.since_us,
        behind=[home_of(side) for side in view.behind],
        waiting=[home_of(side) for side in view.waiting],
        compared=view.compared,
        different=view.different,
    )


def worker_of(message: namespaces_pb2.WorkerView) -> WorkerView:
    """What a message shows of a process."""
    return WorkerView(
        id=message.id,
        looked_us=message.looked_at_us,
        epoch=message.mode_epoch,
        since_us=message.since_us,
        behind=tuple(SIDES[n] for n in message.behind if n in SIDES),
        waiting=tuple(SIDES[n] for n in message.waiting if n in SIDES),
        compared=message.compared,
        different=message.different,
    )


def objection_message(objection: Objection) -> namespaces_pb2.Objection:
    """The message that shows an objection."""
    return namespaces_pb2.Objection(
        text=objection.text, passes=objection.passes, lasting=objection.lasting
    )


def objection_of(message: namespaces_pb2.Objection) -> Objection:
    """The objection that a message shows."""
    return Objection(message.text, message.passes, message.lasting)
