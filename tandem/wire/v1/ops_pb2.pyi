from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Home(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HOME_UNSPECIFIED: _ClassVar[Home]
    HOME_KVSP: _ClassVar[Home]
    HOME_S3: _ClassVar[Home]
HOME_UNSPECIFIED: Home
HOME_KVSP: Home
HOME_S3: Home

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("homes", "queue", "gateway_id", "now_us", "clock_offset_us", "clock_alarm", "workers", "journal_pending", "journal_writable", "namespaces_equal", "process", "worker_restarts", "certificate", "settings", "doubled")
    HOMES_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_ID_FIELD_NUMBER: _ClassVar[int]
    NOW_US_FIELD_NUMBER: _ClassVar[int]
    CLOCK_OFFSET_US_FIELD_NUMBER: _ClassVar[int]
    CLOCK_ALARM_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_PENDING_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_WRITABLE_FIELD_NUMBER: _ClassVar[int]
    NAMESPACES_EQUAL_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    WORKER_RESTARTS_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    DOUBLED_FIELD_NUMBER: _ClassVar[int]
    homes: _containers.RepeatedCompositeFieldContainer[HomeStatus]
    queue: QueueStatus
    gateway_id: str
    now_us: int
    clock_offset_us: int
    clock_alarm: bool
    workers: int
    journal_pending: int
    journal_writable: bool
    namespaces_equal: bool
    process: int
    worker_restarts: int
    certificate: CertificateInUse
    settings: SettingsInForce
    doubled: bool
    def __init__(self, homes: _Optional[_Iterable[_Union[HomeStatus, _Mapping]]] = ..., queue: _Optional[_Union[QueueStatus, _Mapping]] = ..., gateway_id: _Optional[str] = ..., now_us: _Optional[int] = ..., clock_offset_us: _Optional[int] = ..., clock_alarm: _Optional[bool] = ..., workers: _Optional[int] = ..., journal_pending: _Optional[int] = ..., journal_writable: _Optional[bool] = ..., namespaces_equal: _Optional[bool] = ..., process: _Optional[int] = ..., worker_restarts: _Optional[int] = ..., certificate: _Optional[_Union[CertificateInUse, _Mapping]] = ..., settings: _Optional[_Union[SettingsInForce, _Mapping]] = ..., doubled: _Optional[bool] = ...) -> None: ...

class SettingsInForce(_message.Message):
    __slots__ = ("read_us", "mistakes", "waiting")
    READ_US_FIELD_NUMBER: _ClassVar[int]
    MISTAKES_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    read_us: int
    mistakes: _containers.RepeatedScalarFieldContainer[str]
    waiting: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, read_us: _Optional[int] = ..., mistakes: _Optional[_Iterable[str]] = ..., waiting: _Optional[_Iterable[str]] = ...) -> None: ...

class CertificateInUse(_message.Message):
    __slots__ = ("subject", "serial", "not_before_us", "not_after_us", "trouble")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    SERIAL_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_US_FIELD_NUMBER: _ClassVar[int]
    NOT_AFTER_US_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    subject: str
    serial: str
    not_before_us: int
    not_after_us: int
    trouble: str
    def __init__(self, subject: _Optional[str] = ..., serial: _Optional[str] = ..., not_before_us: _Optional[int] = ..., not_after_us: _Optional[int] = ..., trouble: _Optional[str] = ...) -> None: ...

class HomeStatus(_message.Message):
    __slots__ = ("home", "kind", "location", "breaker", "reads_enabled", "writes_enabled", "behind", "last_failure", "detail", "switch_epoch")
    HOME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    READS_ENABLED_FIELD_NUMBER: _ClassVar[int]
    WRITES_ENABLED_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    LAST_FAILURE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    SWITCH_EPOCH_FIELD_NUMBER: _ClassVar[int]
    home: Home
    kind: str
    location: str
    breaker: str
    reads_enabled: bool
    writes_enabled: bool
    behind: _containers.RepeatedScalarFieldContainer[str]
    last_failure: str
    detail: str
    switch_epoch: int
    def __init__(self, home: _Optional[_Union[Home, str]] = ..., kind: _Optional[str] = ..., location: _Optional[str] = ..., breaker: _Optional[str] = ..., reads_enabled: _Optional[bool] = ..., writes_enabled: _Optional[bool] = ..., behind: _Optional[_Iterable[str]] = ..., last_failure: _Optional[str] = ..., detail: _Optional[str] = ..., switch_epoch: _Optional[int] = ...) -> None: ...

class QueueStatus(_message.Message):
    __slots__ = ("depth", "oldest_age_us", "dirty_ranges", "healed", "failed_tries", "needs_person")
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    OLDEST_AGE_US_FIELD_NUMBER: _ClassVar[int]
    DIRTY_RANGES_FIELD_NUMBER: _ClassVar[int]
    HEALED_FIELD_NUMBER: _ClassVar[int]
    FAILED_TRIES_FIELD_NUMBER: _ClassVar[int]
    NEEDS_PERSON_FIELD_NUMBER: _ClassVar[int]
    depth: int
    oldest_age_us: int
    dirty_ranges: int
    healed: int
    failed_tries: int
    needs_person: int
    def __init__(self, depth: _Optional[int] = ..., oldest_age_us: _Optional[int] = ..., dirty_ranges: _Optional[int] = ..., healed: _Optional[int] = ..., failed_tries: _Optional[int] = ..., needs_person: _Optional[int] = ...) -> None: ...

class InspectRequest(_message.Message):
    __slots__ = ("namespace", "key")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    key: bytes
    def __init__(self, namespace: _Optional[str] = ..., key: _Optional[bytes] = ...) -> None: ...

class InspectReply(_message.Message):
    __slots__ = ("copies", "equal", "object_name", "plan")
    COPIES_FIELD_NUMBER: _ClassVar[int]
    EQUAL_FIELD_NUMBER: _ClassVar[int]
    OBJECT_NAME_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    copies: _containers.RepeatedCompositeFieldContainer[Copy]
    equal: bool
    object_name: str
    plan: str
    def __init__(self, copies: _Optional[_Iterable[_Union[Copy, _Mapping]]] = ..., equal: _Optional[bool] = ..., object_name: _Optional[str] = ..., plan: _Optional[str] = ...) -> None: ...

class CompareKeysRequest(_message.Message):
    __slots__ = ("namespace", "prefix", "after")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    prefix: bytes
    after: bytes
    def __init__(self, namespace: _Optional[str] = ..., prefix: _Optional[bytes] = ..., after: _Optional[bytes] = ...) -> None: ...

class CompareKeysReply(_message.Message):
    __slots__ = ("equal", "differing", "next_after")
    EQUAL_FIELD_NUMBER: _ClassVar[int]
    DIFFERING_FIELD_NUMBER: _ClassVar[int]
    NEXT_AFTER_FIELD_NUMBER: _ClassVar[int]
    equal: int
    differing: _containers.RepeatedScalarFieldContainer[bytes]
    next_after: bytes
    def __init__(self, equal: _Optional[int] = ..., differing: _Optional[_Iterable[bytes]] = ..., next_after: _Optional[bytes] = ...) -> None: ...

class Copy(_message.Message):
    __slots__ = ("home", "found", "version", "digest", "tombstone", "expires_at_s", "value_bytes", "metadata", "failure")
    HOME_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    TOMBSTONE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_S_FIELD_NUMBER: _ClassVar[int]
    VALUE_BYTES_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    home: Home
    found: bool
    version: bytes
    digest: bytes
    tombstone: bool
    expires_at_s: int
    value_bytes: int
    metadata: bytes
    failure: str
    def __init__(self, home: _Optional[_Union[Home, str]] = ..., found: _Optional[bool] = ..., version: _Optional[bytes] = ..., digest: _Optional[bytes] = ..., tombstone: _Optional[bool] = ..., expires_at_s: _Optional[int] = ..., value_bytes: _Optional[int] = ..., metadata: _Optional[bytes] = ..., failure: _Optional[str] = ...) -> None: ...

class HealKeyRequest(_message.Message):
    __slots__ = ("namespace", "key")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    key: bytes
    def __init__(self, namespace: _Optional[str] = ..., key: _Optional[bytes] = ...) -> None: ...

class HealKeyReply(_message.Message):
    __slots__ = ("equal", "copied", "reasons")
    EQUAL_FIELD_NUMBER: _ClassVar[int]
    COPIED_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    equal: bool
    copied: _containers.RepeatedScalarFieldContainer[Home]
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, equal: _Optional[bool] = ..., copied: _Optional[_Iterable[_Union[Home, str]]] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class SetSwitchRequest(_message.Message):
    __slots__ = ("home", "reads_enabled", "writes_enabled")
    HOME_FIELD_NUMBER: _ClassVar[int]
    READS_ENABLED_FIELD_NUMBER: _ClassVar[int]
    WRITES_ENABLED_FIELD_NUMBER: _ClassVar[int]
    home: Home
    reads_enabled: bool
    writes_enabled: bool
    def __init__(self, home: _Optional[_Union[Home, str]] = ..., reads_enabled: _Optional[bool] = ..., writes_enabled: _Optional[bool] = ...) -> None: ...

class MarkBehindRequest(_message.Message):
    __slots__ = ("home",)
    HOME_FIELD_NUMBER: _ClassVar[int]
    home: Home
    def __init__(self, home: _Optional[_Union[Home, str]] = ...) -> None: ...

class ListQueueRequest(_message.Message):
    __slots__ = ("limit",)
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    limit: int
    def __init__(self, limit: _Optional[int] = ...) -> None: ...

class ListQueueReply(_message.Message):
    __slots__ = ("repairs",)
    REPAIRS_FIELD_NUMBER: _ClassVar[int]
    repairs: _containers.RepeatedCompositeFieldContainer[QueuedRepair]
    def __init__(self, repairs: _Optional[_Iterable[_Union[QueuedRepair, _Mapping]]] = ...) -> None: ...

class QueuedRepair(_message.Message):
    __slots__ = ("namespace", "key", "version", "attempts", "age_us", "due_in_us", "last_failure")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    AGE_US_FIELD_NUMBER: _ClassVar[int]
    DUE_IN_US_FIELD_NUMBER: _ClassVar[int]
    LAST_FAILURE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    key: bytes
    version: bytes
    attempts: int
    age_us: int
    due_in_us: int
    last_failure: str
    def __init__(self, namespace: _Optional[str] = ..., key: _Optional[bytes] = ..., version: _Optional[bytes] = ..., attempts: _Optional[int] = ..., age_us: _Optional[int] = ..., due_in_us: _Optional[int] = ..., last_failure: _Optional[str] = ...) -> None: ...

class ReportCrawlRequest(_message.Message):
    __slots__ = ("namespace", "began_at_us", "equal")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    BEGAN_AT_US_FIELD_NUMBER: _ClassVar[int]
    EQUAL_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    began_at_us: int
    equal: bool
    def __init__(self, namespace: _Optional[str] = ..., began_at_us: _Optional[int] = ..., equal: _Optional[bool] = ...) -> None: ...

class ReportCrawlReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
