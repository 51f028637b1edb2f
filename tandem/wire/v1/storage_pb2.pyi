from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WriteOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WRITE_OUTCOME_UNSPECIFIED: _ClassVar[WriteOutcome]
    WRITE_OUTCOME_STORED: _ClassVar[WriteOutcome]
    WRITE_OUTCOME_SUPERSEDED: _ClassVar[WriteOutcome]
    WRITE_OUTCOME_BELOW_FLOOR: _ClassVar[WriteOutcome]
    WRITE_OUTCOME_LATE: _ClassVar[WriteOutcome]
    WRITE_OUTCOME_FUTURE: _ClassVar[WriteOutcome]
    WRITE_OUTCOME_DELETED_NAMESPACE: _ClassVar[WriteOutcome]
    WRITE_OUTCOME_FAILED: _ClassVar[WriteOutcome]

class CollectOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COLLECT_OUTCOME_UNSPECIFIED: _ClassVar[CollectOutcome]
    COLLECT_OUTCOME_DONE: _ClassVar[CollectOutcome]
    COLLECT_OUTCOME_ABSENT: _ClassVar[CollectOutcome]
    COLLECT_OUTCOME_DIFFERENT: _ClassVar[CollectOutcome]
    COLLECT_OUTCOME_LIVE: _ClassVar[CollectOutcome]
    COLLECT_OUTCOME_ABOVE_FLOOR: _ClassVar[CollectOutcome]
    COLLECT_OUTCOME_OTHER_INCARNATION: _ClassVar[CollectOutcome]
    COLLECT_OUTCOME_TOO_MANY_RANGES: _ClassVar[CollectOutcome]
    COLLECT_OUTCOME_FAILED: _ClassVar[CollectOutcome]
WRITE_OUTCOME_UNSPECIFIED: WriteOutcome
WRITE_OUTCOME_STORED: WriteOutcome
WRITE_OUTCOME_SUPERSEDED: WriteOutcome
WRITE_OUTCOME_BELOW_FLOOR: WriteOutcome
WRITE_OUTCOME_LATE: WriteOutcome
WRITE_OUTCOME_FUTURE: WriteOutcome
WRITE_OUTCOME_DELETED_NAMESPACE: WriteOutcome
WRITE_OUTCOME_FAILED: WriteOutcome
COLLECT_OUTCOME_UNSPECIFIED: CollectOutcome
COLLECT_OUTCOME_DONE: CollectOutcome
COLLECT_OUTCOME_ABSENT: CollectOutcome
COLLECT_OUTCOME_DIFFERENT: CollectOutcome
COLLECT_OUTCOME_LIVE: CollectOutcome
COLLECT_OUTCOME_ABOVE_FLOOR: CollectOutcome
COLLECT_OUTCOME_OTHER_INCARNATION: CollectOutcome
COLLECT_OUTCOME_TOO_MANY_RANGES: CollectOutcome
COLLECT_OUTCOME_FAILED: CollectOutcome

class StorageRequest(_message.Message):
    __slots__ = ("gets", "puts")
    GETS_FIELD_NUMBER: _ClassVar[int]
    PUTS_FIELD_NUMBER: _ClassVar[int]
    gets: _containers.RepeatedCompositeFieldContainer[StorageGet]
    puts: _containers.RepeatedCompositeFieldContainer[StoragePut]
    def __init__(self, gets: _Optional[_Iterable[_Union[StorageGet, _Mapping]]] = ..., puts: _Optional[_Iterable[_Union[StoragePut, _Mapping]]] = ...) -> None: ...

class StorageGet(_message.Message):
    __slots__ = ("id", "namespace", "name")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    id: int
    namespace: str
    name: bytes
    def __init__(self, id: _Optional[int] = ..., namespace: _Optional[str] = ..., name: _Optional[bytes] = ...) -> None: ...

class StoragePut(_message.Message):
    __slots__ = ("id", "namespace", "name", "envelope", "heal_read_at_us", "over_corrupt")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    HEAL_READ_AT_US_FIELD_NUMBER: _ClassVar[int]
    OVER_CORRUPT_FIELD_NUMBER: _ClassVar[int]
    id: int
    namespace: str
    name: bytes
    envelope: bytes
    heal_read_at_us: int
    over_corrupt: bool
    def __init__(self, id: _Optional[int] = ..., namespace: _Optional[str] = ..., name: _Optional[bytes] = ..., envelope: _Optional[bytes] = ..., heal_read_at_us: _Optional[int] = ..., over_corrupt: _Optional[bool] = ...) -> None: ...

class StorageReply(_message.Message):
    __slots__ = ("reads", "writes", "home_time_us")
    READS_FIELD_NUMBER: _ClassVar[int]
    WRITES_FIELD_NUMBER: _ClassVar[int]
    HOME_TIME_US_FIELD_NUMBER: _ClassVar[int]
    reads: _containers.RepeatedCompositeFieldContainer[StorageRead]
    writes: _containers.RepeatedCompositeFieldContainer[StorageWritten]
    home_time_us: int
    def __init__(self, reads: _Optional[_Iterable[_Union[StorageRead, _Mapping]]] = ..., writes: _Optional[_Iterable[_Union[StorageWritten, _Mapping]]] = ..., home_time_us: _Optional[int] = ...) -> None: ...

class StorageRead(_message.Message):
    __slots__ = ("id", "envelope", "floor", "failure", "corrupt", "large")
    ID_FIELD_NUMBER: _ClassVar[int]
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    FLOOR_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    CORRUPT_FIELD_NUMBER: _ClassVar[int]
    LARGE_FIELD_NUMBER: _ClassVar[int]
    id: int
    envelope: bytes
    floor: bytes
    failure: str
    corrupt: bool
    large: LargeRecord
    def __init__(self, id: _Optional[int] = ..., envelope: _Optional[bytes] = ..., floor: _Optional[bytes] = ..., failure: _Optional[str] = ..., corrupt: _Optional[bool] = ..., large: _Optional[_Union[LargeRecord, _Mapping]] = ...) -> None: ...

class LargeRecord(_message.Message):
    __slots__ = ("blob", "version", "digest", "size")
    BLOB_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    blob: str
    version: bytes
    digest: bytes
    size: int
    def __init__(self, blob: _Optional[str] = ..., version: _Optional[bytes] = ..., digest: _Optional[bytes] = ..., size: _Optional[int] = ...) -> None: ...

class LargeGet(_message.Message):
    __slots__ = ("namespace", "name", "blob")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    name: bytes
    blob: str
    def __init__(self, namespace: _Optional[str] = ..., name: _Optional[bytes] = ..., blob: _Optional[str] = ...) -> None: ...

class LargePiece(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class LargePut(_message.Message):
    __slots__ = ("head", "piece")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    PIECE_FIELD_NUMBER: _ClassVar[int]
    head: LargeHead
    piece: bytes
    def __init__(self, head: _Optional[_Union[LargeHead, _Mapping]] = ..., piece: _Optional[bytes] = ...) -> None: ...

class LargeHead(_message.Message):
    __slots__ = ("namespace", "name", "trailer", "digest", "size", "heal_read_at_us", "over_corrupt")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TRAILER_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    HEAL_READ_AT_US_FIELD_NUMBER: _ClassVar[int]
    OVER_CORRUPT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    name: bytes
    trailer: bytes
    digest: bytes
    size: int
    heal_read_at_us: int
    over_corrupt: bool
    def __init__(self, namespace: _Optional[str] = ..., name: _Optional[bytes] = ..., trailer: _Optional[bytes] = ..., digest: _Optional[bytes] = ..., size: _Optional[int] = ..., heal_read_at_us: _Optional[int] = ..., over_corrupt: _Optional[bool] = ...) -> None: ...

class StorageWritten(_message.Message):
    __slots__ = ("id", "outcome", "newest", "failure")
    ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    id: int
    outcome: WriteOutcome
    newest: bytes
    failure: str
    def __init__(self, id: _Optional[int] = ..., outcome: _Optional[_Union[WriteOutcome, str]] = ..., newest: _Optional[bytes] = ..., failure: _Optional[str] = ...) -> None: ...

class ScanRequest(_message.Message):
    __slots__ = ("namespace", "after", "prefix", "limit")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    after: bytes
    prefix: bytes
    limit: int
    def __init__(self, namespace: _Optional[str] = ..., after: _Optional[bytes] = ..., prefix: _Optional[bytes] = ..., limit: _Optional[int] = ...) -> None: ...

class ScanReply(_message.Message):
    __slots__ = ("ended", "complete", "home_time_us", "names", "versions", "digests", "sizes", "kinds", "expires_at_s", "metadata")
    ENDED_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    HOME_TIME_US_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    SIZES_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_S_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ended: bool
    complete: bool
    home_time_us: int
    names: _containers.RepeatedScalarFieldContainer[bytes]
    versions: bytes
    digests: bytes
    sizes: _containers.RepeatedScalarFieldContainer[int]
    kinds: bytes
    expires_at_s: _containers.RepeatedScalarFieldContainer[int]
    metadata: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, ended: _Optional[bool] = ..., complete: _Optional[bool] = ..., home_time_us: _Optional[int] = ..., names: _Optional[_Iterable[bytes]] = ..., versions: _Optional[bytes] = ..., digests: _Optional[bytes] = ..., sizes: _Optional[_Iterable[int]] = ..., kinds: _Optional[bytes] = ..., expires_at_s: _Optional[_Iterable[int]] = ..., metadata: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ClustersRequest(_message.Message):
    __slots__ = ("floors",)
    FLOORS_FIELD_NUMBER: _ClassVar[int]
    floors: bool
    def __init__(self, floors: _Optional[bool] = ...) -> None: ...

class ClustersReply(_message.Message):
    __slots__ = ("clusters", "home_time_us")
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    HOME_TIME_US_FIELD_NUMBER: _ClassVar[int]
    clusters: _containers.RepeatedCompositeFieldContainer[ClusterLife]
    home_time_us: int
    def __init__(self, clusters: _Optional[_Iterable[_Union[ClusterLife, _Mapping]]] = ..., home_time_us: _Optional[int] = ...) -> None: ...

class ClusterLife(_message.Message):
    __slots__ = ("name", "incarnation", "commits", "floors", "failure", "opening")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    COMMITS_FIELD_NUMBER: _ClassVar[int]
    FLOORS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    OPENING_FIELD_NUMBER: _ClassVar[int]
    name: str
    incarnation: str
    commits: int
    floors: _containers.RepeatedCompositeFieldContainer[RangeFloor]
    failure: str
    opening: str
    def __init__(self, name: _Optional[str] = ..., incarnation: _Optional[str] = ..., commits: _Optional[int] = ..., floors: _Optional[_Iterable[_Union[RangeFloor, _Mapping]]] = ..., failure: _Optional[str] = ..., opening: _Optional[str] = ...) -> None: ...

class RangeFloor(_message.Message):
    __slots__ = ("namespace", "start", "floor")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    FLOOR_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    start: bytes
    floor: bytes
    def __init__(self, namespace: _Optional[str] = ..., start: _Optional[bytes] = ..., floor: _Optional[bytes] = ...) -> None: ...

class NamedIncarnation(_message.Message):
    __slots__ = ("cluster", "incarnation")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    incarnation: str
    def __init__(self, cluster: _Optional[str] = ..., incarnation: _Optional[str] = ...) -> None: ...

class RaiseFloorRequest(_message.Message):
    __slots__ = ("namespace", "start", "end", "floor", "incarnations")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    FLOOR_FIELD_NUMBER: _ClassVar[int]
    INCARNATIONS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    start: bytes
    end: bytes
    floor: bytes
    incarnations: _containers.RepeatedCompositeFieldContainer[NamedIncarnation]
    def __init__(self, namespace: _Optional[str] = ..., start: _Optional[bytes] = ..., end: _Optional[bytes] = ..., floor: _Optional[bytes] = ..., incarnations: _Optional[_Iterable[_Union[NamedIncarnation, _Mapping]]] = ...) -> None: ...

class RaisedFloor(_message.Message):
    __slots__ = ("cluster", "outcome", "failure")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    outcome: CollectOutcome
    failure: str
    def __init__(self, cluster: _Optional[str] = ..., outcome: _Optional[_Union[CollectOutcome, str]] = ..., failure: _Optional[str] = ...) -> None: ...

class RaiseFloorReply(_message.Message):
    __slots__ = ("clusters", "home_time_us")
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    HOME_TIME_US_FIELD_NUMBER: _ClassVar[int]
    clusters: _containers.RepeatedCompositeFieldContainer[RaisedFloor]
    home_time_us: int
    def __init__(self, clusters: _Optional[_Iterable[_Union[RaisedFloor, _Mapping]]] = ..., home_time_us: _Optional[int] = ...) -> None: ...

class PurgedRow(_message.Message):
    __slots__ = ("name", "version", "digest")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    version: bytes
    digest: bytes
    def __init__(self, name: _Optional[bytes] = ..., version: _Optional[bytes] = ..., digest: _Optional[bytes] = ...) -> None: ...

class PurgeRowsRequest(_message.Message):
    __slots__ = ("namespace", "rows", "incarnations")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    INCARNATIONS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    rows: _containers.RepeatedCompositeFieldContainer[PurgedRow]
    incarnations: _containers.RepeatedCompositeFieldContainer[NamedIncarnation]
    def __init__(self, namespace: _Optional[str] = ..., rows: _Optional[_Iterable[_Union[PurgedRow, _Mapping]]] = ..., incarnations: _Optional[_Iterable[_Union[NamedIncarnation, _Mapping]]] = ...) -> None: ...

class PurgeRowsReply(_message.Message):
    __slots__ = ("outcomes", "home_time_us")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    HOME_TIME_US_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedScalarFieldContainer[CollectOutcome]
    home_time_us: int
    def __init__(self, outcomes: _Optional[_Iterable[_Union[CollectOutcome, str]]] = ..., home_time_us: _Optional[int] = ...) -> None: ...

class RenewClusterRequest(_message.Message):
    __slots__ = ("cluster", "incarnation", "past_incarnation", "floors")
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    PAST_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    FLOORS_FIELD_NUMBER: _ClassVar[int]
    cluster: str
    incarnation: str
    past_incarnation: str
    floors: _containers.RepeatedCompositeFieldContainer[RangeFloor]
    def __init__(self, cluster: _Optional[str] = ..., incarnation: _Optional[str] = ..., past_incarnation: _Optional[str] = ..., floors: _Optional[_Iterable[_Union[RangeFloor, _Mapping]]] = ...) -> None: ...

class RenewClusterReply(_message.Message):
    __slots__ = ("outcome", "incarnation", "rows_removed", "failure")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    ROWS_REMOVED_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    outcome: CollectOutcome
    incarnation: str
    rows_removed: int
    failure: str
    def __init__(self, outcome: _Optional[_Union[CollectOutcome, str]] = ..., incarnation: _Optional[str] = ..., rows_removed: _Optional[int] = ..., failure: _Optional[str] = ...) -> None: ...

class PurgeNamespaceRequest(_message.Message):
    __slots__ = ("namespace", "limit")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    limit: int
    def __init__(self, namespace: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class PurgeNamespaceReply(_message.Message):
    __slots__ = ("deleted", "rows_removed", "more", "failure")
    DELETED_FIELD_NUMBER: _ClassVar[int]
    ROWS_REMOVED_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    deleted: bool
    rows_removed: int
    more: bool
    failure: str
    def __init__(self, deleted: _Optional[bool] = ..., rows_removed: _Optional[int] = ..., more: _Optional[bool] = ..., failure: _Optional[str] = ...) -> None: ...
