"""Messages of deleting for good <-> the core's types: KVSP's side and its client's, beside each
other."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tandem.core.cluster_life import ClusterLife, floors_by_namespace
from tandem.core.envelope import DIGEST_BYTES
from tandem.core.floors import RangeFloors
from tandem.core.key import decode_name
from tandem.core.limits import KEY_NAME_BYTES_MAX
from tandem.core.namespace import check_namespace_form
from tandem.core.removal import (
    FloorRaise,
    FloorReply,
    NamespacePurge,
    PurgeRow,
    Removal,
    Renewal,
    Renewed,
    RowPurge,
    Span,
)
from tandem.core.reply import Failed, Reason
from tandem.core.version import Version
from tandem.errors import InvalidArgument
from tandem.wire.v1 import storage_pb2 as pb

PURGED_ROWS_MAX: Final = 1_000
PURGED_NAMESPACE_ROWS_MAX: Final = 10_000

_REMOVALS: Final = {
    Removal.DONE: pb.COLLECT_OUTCOME_DONE,
    Removal.ABSENT: pb.COLLECT_OUTCOME_ABSENT,
    Removal.DIFFERENT: pb.COLLECT_OUTCOME_DIFFERENT,
    Removal.LIVE: pb.COLLECT_OUTCOME_LIVE,
    Removal.ABOVE_FLOOR: pb.COLLECT_OUTCOME_ABOVE_FLOOR,
    Removal.OTHER_INCARNATION: pb.COLLECT_OUTCOME_OTHER_INCARNATION,
}
_REMOVED: Final = {outcome: removal for removal, outcome in _REMOVALS.items()}
_FLOOR_REPLIES: Final = {
    FloorReply.RAISED: pb.COLLECT_OUTCOME_DONE,
    FloorReply.OTHER_INCARNATION: pb.COLLECT_OUTCOME_OTHER_INCARNATION,
    FloorReply.TOO_MANY_RANGES: pb.COLLECT_OUTCOME_TOO_MANY_RANGES,
}
_RAISED: Final = {outcome: reply for reply, outcome in _FLOOR_REPLIES.items()}


def clusters_reply(
    lives: Sequence[ClusterLife], home_time_us: int, floors: bool
) -> pb.ClustersReply:
    """The message that shows `lives`."""
    reply = pb.ClustersReply(home_time_us=home_time_us)
    for life in lives:
        reply.clusters.add(
            name=life.name,
            incarnation=life.incarnation,
            commits=life.commits,
            floors=_floors(life.floors) if floors else (),
            failure=life.failure,
            opening=life.opening,
        )
    return reply


def parse_clusters(reply: pb.ClustersReply) -> tuple[ClusterLife, ...]:
    """The clusters in the message."""
    return tuple(
        ClusterLife(
            cluster.name,
            cluster.incarnation,
            cluster.commits,
            _parse_floors(cluster.floors),
            cluster.failure,
            cluster.opening,
        )
        for cluster in reply.clusters
    )


def raise_request(raising: FloorRaise) -> pb.RaiseFloorRequest:
    """The message that asks for it."""
    span = raising.span
    return pb.RaiseFloorRequest(
        namespace=span.namespace,
        start=span.raw_start,
        end=span.raw_end,
        floor=raising.floor,
        incarnations=_named(raising.incarnations),
    )


def parse_raise(request: pb.RaiseFloorRequest) -> FloorRaise:
    """What the message asks for; InvalidArgument when a field is out of bounds."""
    start, end = request.start, request.end
    if max(len(start), len(end)) > KEY_NAME_BYTES_MAX:
        raise InvalidArgument("range", f"names have at most {KEY_NAME_BYTES_MAX} bytes")
    if end and end <= start:
        raise InvalidArgument("range", "ends before it begins")
    span = Span(
        check_namespace_form(request.namespace),
        decode_name(start, "start") if start else "",
        decode_name(end, "end") if end else "",
    )
    return FloorRaise(span, _version(request.floor, "floor"), _parse_named(request.incarnations))


def raise_reply(
    replies: Mapping[str, FloorReply | Failed], home_time_us: int
) -> pb.RaiseFloorReply:
    """The message that says what each cluster answers."""
    reply = pb.RaiseFloorReply(home_time_us=home_time_us)
    for cluster, outcome in replies.items():
        if isinstance(outcome, Failed):
            failed = pb.COLLECT_OUTCOME_FAILED
            reply.clusters.add(cluster=cluster, outcome=failed, failure=str(outcome))
        else:
            reply.clusters.add(cluster=cluster, outcome=_FLOOR_REPLIES[outcome])
    return reply


def parse_raised(reply: pb.RaiseFloorReply) -> dict[str, FloorReply | Failed]:
    """What each cluster answers."""
    return {
        one.cluster: _RAISED.get(one.outcome) or Failed(Reason.ERROR, one.failure)
        for one in reply.clusters
    }


def purge_request(purge: RowPurge) -> pb.PurgeRowsRequest:
    """The message that asks for it."""
    request = pb.PurgeRowsRequest(
        namespace=purge.namespace, incarnations=_named(purge.incarnations)
    )
    for row in purge.rows:
        request.rows.add(name=row.raw_name, version=row.version, digest=row.digest)
    return request


def parse_purge(request: pb.PurgeRowsRequest) -> RowPurge:
    """What the message asks for; InvalidArgument when a field is out of bounds."""
    if len(request.rows) > PURGED_ROWS_MAX:
        raise InvalidArgument("rows", f"are more than {PURGED_ROWS_MAX}")
    rows = []
    for row in request.rows:
        decode_name(row.name, "row")
        if len(row.digest) != DIGEST_BYTES:
            raise InvalidArgument("digest", f"has {len(row.digest)} bytes")
        rows.append(PurgeRow(row.name, _version(row.version, "version"), row.digest))
    named = _parse_named(request.incarnations)
    return RowPurge(check_namespace_form(request.namespace), rows, named)


def purge_reply(outcomes: Sequence[Removal | Failed], home_time_us: int) -> pb.PurgeRowsReply:
    """The message that says what became of each row."""
    return pb.PurgeRowsReply(
        outcomes=[
            pb.COLLECT_OUTCOME_FAILED if isinstance(one, Failed) else _REMOVALS[one]
            for one in outcomes
        ],
        home_time_us=home_time_us,
    )


def parse_purged(reply: pb.PurgeRowsReply, count: int) -> tuple[Removal | Failed, ...]:
    """What became of each of `count` rows; ValueError when it tells of more or fewer."""
    if len(reply.outcomes) != count:
        raise ValueError(f"{len(reply.outcomes)} outcomes for {count} rows")
    return tuple(
        _REMOVED.get(outcome) or Failed(Reason.ERROR, "KVSP could not remove the row")
        for outcome in reply.outcomes
    )


def renew_request(renewal: Renewal) -> pb.RenewClusterRequest:
    """The message that asks for it."""
    return pb.RenewClusterRequest(
        cluster=renewal.cluster,
        incarnation=renewal.incarnation,
        past_incarnation=renewal.past.incarnation,
        floors=_floors(renewal.past.floors),
    )


def parse_renewal(request: pb.RenewClusterRequest) -> Renewal:
    """What the message asks for; InvalidArgument when a field is out of bounds."""
    past = ClusterLife(request.cluster, request.past_incarnation, 0, _parse_floors(request.floors))
    return Renewal(request.cluster, request.incarnation, past)


def renew_reply(outcome: Renewed | Removal | Failed) -> pb.RenewClusterReply:
    """The message that says what became of it."""
    match outcome:
        case Renewed(incarnation, rows):
            done = pb.COLLECT_OUTCOME_DONE
            return pb.RenewClusterReply(outcome=done, incarnation=incarnation, rows_removed=rows)
        case Removal():
            return pb.RenewClusterReply(outcome=_REMOVALS[outcome])
        case Failed():
            failed = pb.COLLECT_OUTCOME_FAILED
            return pb.RenewClusterReply(outcome=failed, failure=str(outcome))


def parse_renewed(reply: pb.RenewClusterReply) -> Renewed | Removal | Failed:
    """What became of it."""
    if reply.outcome == pb.COLLECT_OUTCOME_DONE:
        return Renewed(reply.incarnation, reply.rows_removed)
    return _REMOVED.get(reply.outcome) or Failed(Reason.ERROR, reply.failure)


def parse_namespace_purge(request: pb.PurgeNamespaceRequest) -> tuple[str, int]:
    """The namespace and how many rows; InvalidArgument when a field is out of bounds."""
    if not 1 <= request.limit <= PURGED_NAMESPACE_ROWS_MAX:
        raise InvalidArgument("limit", f"must be from 1 to {PURGED_NAMESPACE_ROWS_MAX}")
    return check_namespace_form(request.namespace), request.limit


def namespace_purge_reply(outcome: NamespacePurge | Removal | Failed) -> pb.PurgeNamespaceReply:
    """The message that says what was done."""
    match outcome:
        case NamespacePurge(removed, more):
            return pb.PurgeNamespaceReply(deleted=True, rows_removed=removed, more=more)
        case Removal():
            return pb.PurgeNamespaceReply()
        case Failed():
            return pb.PurgeNamespaceReply(deleted=True, more=True, failure=str(outcome))


def parse_namespace_purged(reply: pb.PurgeNamespaceReply) -> NamespacePurge | Removal | Failed:
    """What was done; `Removal.LIVE` for a namespace that is not known to be deleted."""
    if not reply.deleted:
        return Removal.LIVE
    if reply.failure:
        return Failed(Reason.ERROR, reply.failure)
    return NamespacePurge(reply.rows_removed, reply.more)


def _floors(floors: Mapping[str, RangeFloors]) -> list[pb.RangeFloor]:
    return [
        pb.RangeFloor(namespace=namespace, start=start, floor=floor)
        for namespace, ranges in sorted(floors.items())
        for start, floor in ranges
    ]


def _parse_floors(floors: Iterable[pb.RangeFloor]) -> dict[str, RangeFloors]:
    return floors_by_namespace(
        [(one.namespace, one.start, _version(one.floor, "floor")) for one in floors]
    )


def _named(incarnations: Mapping[str, str]) -> list[pb.NamedIncarnation]:
    return [
        pb.NamedIncarnation(cluster=cluster, incarnation=incarnation)
        for cluster, incarnation in incarnations.items()
    ]


def _parse_named(named: Iterable[pb.NamedIncarnation]) -> dict[str, str]:
    return {one.cluster: one.incarnation for one in named}


def _version(raw: bytes, field: str) -> Version:
    try:
        return Version.parse(raw)
    except ValueError as error:
        raise InvalidArgument(field, str(error)) from None
