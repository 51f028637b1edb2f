from tandem.wire.v1 import ops_pb2 as _ops_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AckPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACK_POLICY_UNSPECIFIED: _ClassVar[AckPolicy]
    ACK_POLICY_FIRST: _ClassVar[AckPolicy]
    ACK_POLICY_FIRST_INTENT: _ClassVar[AckPolicy]
    ACK_POLICY_BOTH: _ClassVar[AckPolicy]

class ReadMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    READ_MODE_UNSPECIFIED: _ClassVar[ReadMode]
    READ_MODE_RACE: _ClassVar[ReadMode]
    READ_MODE_KVSP: _ClassVar[ReadMode]
    READ_MODE_S3: _ClassVar[ReadMode]
    READ_MODE_HEDGED: _ClassVar[ReadMode]

class Stage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STAGE_UNSPECIFIED: _ClassVar[Stage]
    STAGE_SINGLE: _ClassVar[Stage]
    STAGE_SHADOW: _ClassVar[Stage]
    STAGE_ACTIVE: _ClassVar[Stage]
ACK_POLICY_UNSPECIFIED: AckPolicy
ACK_POLICY_FIRST: AckPolicy
ACK_POLICY_FIRST_INTENT: AckPolicy
ACK_POLICY_BOTH: AckPolicy
READ_MODE_UNSPECIFIED: ReadMode
READ_MODE_RACE: ReadMode
READ_MODE_KVSP: ReadMode
READ_MODE_S3: ReadMode
READ_MODE_HEDGED: ReadMode
STAGE_UNSPECIFIED: Stage
STAGE_SINGLE: Stage
STAGE_SHADOW: Stage
STAGE_ACTIVE: Stage

class Namespace(_message.Message):
    __slots__ = ("id", "title", "settings", "created_at_s", "title_conflict", "account")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_S_FIELD_NUMBER: _ClassVar[int]
    TITLE_CONFLICT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    settings: NamespaceSettings
    created_at_s: int
    title_conflict: bool
    account: str
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., settings: _Optional[_Union[NamespaceSettings, _Mapping]] = ..., created_at_s: _Optional[int] = ..., title_conflict: _Optional[bool] = ..., account: _Optional[str] = ...) -> None: ...

class NamespaceMode(_message.Message):
    __slots__ = ("stage", "home", "percent")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    HOME_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    stage: Stage
    home: _ops_pb2.Home
    percent: int
    def __init__(self, stage: _Optional[_Union[Stage, str]] = ..., home: _Optional[_Union[_ops_pb2.Home, str]] = ..., percent: _Optional[int] = ...) -> None: ...

class NamespaceSettings(_message.Message):
    __slots__ = ("ack_policy", "read_mode", "epoch", "operations_per_s", "bytes_per_s", "large_bodies_max", "key_write_interval", "mode", "mode_epoch", "stepped_at_s")
    ACK_POLICY_FIELD_NUMBER: _ClassVar[int]
    READ_MODE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_PER_S_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_S_FIELD_NUMBER: _ClassVar[int]
    LARGE_BODIES_MAX_FIELD_NUMBER: _ClassVar[int]
    KEY_WRITE_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    MODE_EPOCH_FIELD_NUMBER: _ClassVar[int]
    STEPPED_AT_S_FIELD_NUMBER: _ClassVar[int]
    ack_policy: AckPolicy
    read_mode: ReadMode
    epoch: int
    operations_per_s: int
    bytes_per_s: int
    large_bodies_max: int
    key_write_interval: bool
    mode: NamespaceMode
    mode_epoch: int
    stepped_at_s: int
    def __init__(self, ack_policy: _Optional[_Union[AckPolicy, str]] = ..., read_mode: _Optional[_Union[ReadMode, str]] = ..., epoch: _Optional[int] = ..., operations_per_s: _Optional[int] = ..., bytes_per_s: _Optional[int] = ..., large_bodies_max: _Optional[int] = ..., key_write_interval: _Optional[bool] = ..., mode: _Optional[_Union[NamespaceMode, _Mapping]] = ..., mode_epoch: _Optional[int] = ..., stepped_at_s: _Optional[int] = ...) -> None: ...

class CreateNamespaceRequest(_message.Message):
    __slots__ = ("title", "settings", "account")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    title: str
    settings: NamespaceSettings
    account: str
    def __init__(self, title: _Optional[str] = ..., settings: _Optional[_Union[NamespaceSettings, _Mapping]] = ..., account: _Optional[str] = ...) -> None: ...

class ListNamespacesRequest(_message.Message):
    __slots__ = ("account", "all_accounts")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    ALL_ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    account: str
    all_accounts: bool
    def __init__(self, account: _Optional[str] = ..., all_accounts: _Optional[bool] = ...) -> None: ...

class ListNamespacesReply(_message.Message):
    __slots__ = ("namespaces",)
    NAMESPACES_FIELD_NUMBER: _ClassVar[int]
    namespaces: _containers.RepeatedCompositeFieldContainer[Namespace]
    def __init__(self, namespaces: _Optional[_Iterable[_Union[Namespace, _Mapping]]] = ...) -> None: ...

class GetNamespaceRequest(_message.Message):
    __slots__ = ("id", "title", "account")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    account: str
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., account: _Optional[str] = ...) -> None: ...

class RenameNamespaceRequest(_message.Message):
    __slots__ = ("id", "title")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ...) -> None: ...

class ConfigureNamespaceRequest(_message.Message):
    __slots__ = ("id", "settings")
    ID_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    id: str
    settings: NamespaceSettings
    def __init__(self, id: _Optional[str] = ..., settings: _Optional[_Union[NamespaceSettings, _Mapping]] = ...) -> None: ...

class DeleteNamespaceRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class DeleteNamespaceReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetNamespaceModeRequest(_message.Message):
    __slots__ = ("id", "wanted")
    ID_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    id: str
    wanted: NamespaceMode
    def __init__(self, id: _Optional[str] = ..., wanted: _Optional[_Union[NamespaceMode, _Mapping]] = ...) -> None: ...

class StepNamespaceModeRequest(_message.Message):
    __slots__ = ("id", "wanted", "mode_epoch", "force")
    ID_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    MODE_EPOCH_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    id: str
    wanted: NamespaceMode
    mode_epoch: int
    force: bool
    def __init__(self, id: _Optional[str] = ..., wanted: _Optional[_Union[NamespaceMode, _Mapping]] = ..., mode_epoch: _Optional[int] = ..., force: _Optional[bool] = ...) -> None: ...

class NamespaceModeReply(_message.Message):
    __slots__ = ("namespace", "next", "workers", "crawled_at_us", "effects", "objections", "stepped")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    CRAWLED_AT_US_FIELD_NUMBER: _ClassVar[int]
    EFFECTS_FIELD_NUMBER: _ClassVar[int]
    OBJECTIONS_FIELD_NUMBER: _ClassVar[int]
    STEPPED_FIELD_NUMBER: _ClassVar[int]
    namespace: Namespace
    next: _containers.RepeatedCompositeFieldContainer[NamespaceMode]
    workers: _containers.RepeatedCompositeFieldContainer[WorkerView]
    crawled_at_us: int
    effects: _containers.RepeatedScalarFieldContainer[str]
    objections: _containers.RepeatedCompositeFieldContainer[Objection]
    stepped: bool
    def __init__(self, namespace: _Optional[_Union[Namespace, _Mapping]] = ..., next: _Optional[_Iterable[_Union[NamespaceMode, _Mapping]]] = ..., workers: _Optional[_Iterable[_Union[WorkerView, _Mapping]]] = ..., crawled_at_us: _Optional[int] = ..., effects: _Optional[_Iterable[str]] = ..., objections: _Optional[_Iterable[_Union[Objection, _Mapping]]] = ..., stepped: _Optional[bool] = ...) -> None: ...

class WorkerView(_message.Message):
    __slots__ = ("id", "looked_at_us", "mode_epoch", "since_us", "behind", "waiting", "compared", "different")
    ID_FIELD_NUMBER: _ClassVar[int]
    LOOKED_AT_US_FIELD_NUMBER: _ClassVar[int]
    MODE_EPOCH_FIELD_NUMBER: _ClassVar[int]
    SINCE_US_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    DIFFERENT_FIELD_NUMBER: _ClassVar[int]
    id: str
    looked_at_us: int
    mode_epoch: int
    since_us: int
    behind: _containers.RepeatedScalarFieldContainer[_ops_pb2.Home]
    waiting: _containers.RepeatedScalarFieldContainer[_ops_pb2.Home]
    compared: int
    different: int
    def __init__(self, id: _Optional[str] = ..., looked_at_us: _Optional[int] = ..., mode_epoch: _Optional[int] = ..., since_us: _Optional[int] = ..., behind: _Optional[_Iterable[_Union[_ops_pb2.Home, str]]] = ..., waiting: _Optional[_Iterable[_Union[_ops_pb2.Home, str]]] = ..., compared: _Optional[int] = ..., different: _Optional[int] = ...) -> None: ...

class Objection(_message.Message):
    __slots__ = ("text", "passes", "lasting")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PASSES_FIELD_NUMBER: _ClassVar[int]
    LASTING_FIELD_NUMBER: _ClassVar[int]
    text: str
    passes: bool
    lasting: bool
    def __init__(self, text: _Optional[str] = ..., passes: _Optional[bool] = ..., lasting: _Optional[bool] = ...) -> None: ...
