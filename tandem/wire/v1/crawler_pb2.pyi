from tandem.wire.v1 import ops_pb2 as _ops_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CrawlerStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchCrawlerRequest(_message.Message):
    __slots__ = ("every_ms",)
    EVERY_MS_FIELD_NUMBER: _ClassVar[int]
    every_ms: int
    def __init__(self, every_ms: _Optional[int] = ...) -> None: ...

class PauseCrawlerRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResumeCrawlerRequest(_message.Message):
    __slots__ = ("accept",)
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    accept: bool
    def __init__(self, accept: _Optional[bool] = ...) -> None: ...

class RunCrawlRequest(_message.Message):
    __slots__ = ("namespace", "deep_parts", "dry_run", "rebuild", "requests_per_s")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    DEEP_PARTS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    REBUILD_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_S_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    deep_parts: int
    dry_run: bool
    rebuild: _ops_pb2.Home
    requests_per_s: int
    def __init__(self, namespace: _Optional[str] = ..., deep_parts: _Optional[int] = ..., dry_run: _Optional[bool] = ..., rebuild: _Optional[_Union[_ops_pb2.Home, str]] = ..., requests_per_s: _Optional[int] = ...) -> None: ...

class RunCrawlReply(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class DriftReportRequest(_message.Message):
    __slots__ = ("namespace", "since_us", "limit", "after")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    SINCE_US_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    since_us: int
    limit: int
    after: str
    def __init__(self, namespace: _Optional[str] = ..., since_us: _Optional[int] = ..., limit: _Optional[int] = ..., after: _Optional[str] = ...) -> None: ...

class DriftReportReply(_message.Message):
    __slots__ = ("crawls", "next")
    CRAWLS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    crawls: _containers.RepeatedCompositeFieldContainer[EndedCrawl]
    next: str
    def __init__(self, crawls: _Optional[_Iterable[_Union[EndedCrawl, _Mapping]]] = ..., next: _Optional[str] = ...) -> None: ...

class CrawlerStatusReply(_message.Message):
    __slots__ = ("crawler_id", "paused", "doing", "rounds", "crawls", "errors", "waited_s", "ranges", "stops", "latest", "runs")
    CRAWLER_ID_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    DOING_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    CRAWLS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    WAITED_S_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    STOPS_FIELD_NUMBER: _ClassVar[int]
    LATEST_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    crawler_id: str
    paused: bool
    doing: str
    rounds: int
    crawls: int
    errors: int
    waited_s: float
    ranges: _containers.RepeatedCompositeFieldContainer[RangeProgress]
    stops: _containers.RepeatedCompositeFieldContainer[CrawlStop]
    latest: _containers.RepeatedCompositeFieldContainer[EndedCrawl]
    runs: _containers.RepeatedCompositeFieldContainer[CrawlRun]
    def __init__(self, crawler_id: _Optional[str] = ..., paused: _Optional[bool] = ..., doing: _Optional[str] = ..., rounds: _Optional[int] = ..., crawls: _Optional[int] = ..., errors: _Optional[int] = ..., waited_s: _Optional[float] = ..., ranges: _Optional[_Iterable[_Union[RangeProgress, _Mapping]]] = ..., stops: _Optional[_Iterable[_Union[CrawlStop, _Mapping]]] = ..., latest: _Optional[_Iterable[_Union[EndedCrawl, _Mapping]]] = ..., runs: _Optional[_Iterable[_Union[CrawlRun, _Mapping]]] = ...) -> None: ...

class RangeProgress(_message.Message):
    __slots__ = ("namespace", "number", "ranges", "position", "compared", "drifted")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    DRIFTED_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    number: int
    ranges: int
    position: bytes
    compared: int
    drifted: int
    def __init__(self, namespace: _Optional[str] = ..., number: _Optional[int] = ..., ranges: _Optional[int] = ..., position: _Optional[bytes] = ..., compared: _Optional[int] = ..., drifted: _Optional[int] = ...) -> None: ...

class CrawlStop(_message.Message):
    __slots__ = ("namespace", "at_us", "changes", "why", "accepted")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    AT_US_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    at_us: int
    changes: int
    why: str
    accepted: int
    def __init__(self, namespace: _Optional[str] = ..., at_us: _Optional[int] = ..., changes: _Optional[int] = ..., why: _Optional[str] = ..., accepted: _Optional[int] = ...) -> None: ...

class CrawlRun(_message.Message):
    __slots__ = ("id", "request", "ended", "failure", "crawls")
    ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    CRAWLS_FIELD_NUMBER: _ClassVar[int]
    id: str
    request: RunCrawlRequest
    ended: bool
    failure: str
    crawls: _containers.RepeatedCompositeFieldContainer[EndedCrawl]
    def __init__(self, id: _Optional[str] = ..., request: _Optional[_Union[RunCrawlRequest, _Mapping]] = ..., ended: _Optional[bool] = ..., failure: _Optional[str] = ..., crawls: _Optional[_Iterable[_Union[EndedCrawl, _Mapping]]] = ...) -> None: ...

class EndedCrawl(_message.Message):
    __slots__ = ("namespace", "plan", "number", "began_us", "ended_us", "deep_parts", "dry_run", "ranges", "failure", "stopped", "withheld", "tally", "alone")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    BEGAN_US_FIELD_NUMBER: _ClassVar[int]
    ENDED_US_FIELD_NUMBER: _ClassVar[int]
    DEEP_PARTS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    WITHHELD_FIELD_NUMBER: _ClassVar[int]
    TALLY_FIELD_NUMBER: _ClassVar[int]
    ALONE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    plan: str
    number: int
    began_us: int
    ended_us: int
    deep_parts: int
    dry_run: bool
    ranges: int
    failure: str
    stopped: str
    withheld: str
    tally: DriftTally
    alone: _ops_pb2.Home
    def __init__(self, namespace: _Optional[str] = ..., plan: _Optional[str] = ..., number: _Optional[int] = ..., began_us: _Optional[int] = ..., ended_us: _Optional[int] = ..., deep_parts: _Optional[int] = ..., dry_run: _Optional[bool] = ..., ranges: _Optional[int] = ..., failure: _Optional[str] = ..., stopped: _Optional[str] = ..., withheld: _Optional[str] = ..., tally: _Optional[_Union[DriftTally, _Mapping]] = ..., alone: _Optional[_Union[_ops_pb2.Home, str]] = ...) -> None: ...

class DriftTally(_message.Message):
    __slots__ = ("equal", "tombstones", "oldest_tombstone_us", "deep", "drift", "copied_to_kvsp", "copied_to_s3", "repaired", "repair_sum_us", "repair_max_us", "unhealed_keys", "unhealed", "kvsp_requests", "s3_requests", "bytes_read", "rows_removed", "objects_removed")
    EQUAL_FIELD_NUMBER: _ClassVar[int]
    TOMBSTONES_FIELD_NUMBER: _ClassVar[int]
    OLDEST_TOMBSTONE_US_FIELD_NUMBER: _ClassVar[int]
    DEEP_FIELD_NUMBER: _ClassVar[int]
    DRIFT_FIELD_NUMBER: _ClassVar[int]
    COPIED_TO_KVSP_FIELD_NUMBER: _ClassVar[int]
    COPIED_TO_S3_FIELD_NUMBER: _ClassVar[int]
    REPAIRED_FIELD_NUMBER: _ClassVar[int]
    REPAIR_SUM_US_FIELD_NUMBER: _ClassVar[int]
    REPAIR_MAX_US_FIELD_NUMBER: _ClassVar[int]
    UNHEALED_KEYS_FIELD_NUMBER: _ClassVar[int]
    UNHEALED_FIELD_NUMBER: _ClassVar[int]
    KVSP_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    S3_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_READ_FIELD_NUMBER: _ClassVar[int]
    ROWS_REMOVED_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_REMOVED_FIELD_NUMBER: _ClassVar[int]
    equal: int
    tombstones: int
    oldest_tombstone_us: int
    deep: int
    drift: _containers.RepeatedCompositeFieldContainer[DriftCount]
    copied_to_kvsp: int
    copied_to_s3: int
    repaired: int
    repair_sum_us: int
    repair_max_us: int
    unhealed_keys: int
    unhealed: _containers.RepeatedScalarFieldContainer[str]
    kvsp_requests: int
    s3_requests: int
    bytes_read: int
    rows_removed: int
    objects_removed: int
    def __init__(self, equal: _Optional[int] = ..., tombstones: _Optional[int] = ..., oldest_tombstone_us: _Optional[int] = ..., deep: _Optional[int] = ..., drift: _Optional[_Iterable[_Union[DriftCount, _Mapping]]] = ..., copied_to_kvsp: _Optional[int] = ..., copied_to_s3: _Optional[int] = ..., repaired: _Optional[int] = ..., repair_sum_us: _Optional[int] = ..., repair_max_us: _Optional[int] = ..., unhealed_keys: _Optional[int] = ..., unhealed: _Optional[_Iterable[str]] = ..., kvsp_requests: _Optional[int] = ..., s3_requests: _Optional[int] = ..., bytes_read: _Optional[int] = ..., rows_removed: _Optional[int] = ..., objects_removed: _Optional[int] = ...) -> None: ...

class DriftCount(_message.Message):
    __slots__ = ("drift", "keys", "bytes", "oldest_us")
    DRIFT_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    OLDEST_US_FIELD_NUMBER: _ClassVar[int]
    drift: str
    keys: int
    bytes: int
    oldest_us: int
    def __init__(self, drift: _Optional[str] = ..., keys: _Optional[int] = ..., bytes: _Optional[int] = ..., oldest_us: _Optional[int] = ...) -> None: ...
