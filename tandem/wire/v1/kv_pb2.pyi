from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CacheStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CACHE_STATUS_UNSPECIFIED: _ClassVar[CacheStatus]
    CACHE_STATUS_HIT: _ClassVar[CacheStatus]
    CACHE_STATUS_MISS: _ClassVar[CacheStatus]
    CACHE_STATUS_STALE: _ClassVar[CacheStatus]
CACHE_STATUS_UNSPECIFIED: CacheStatus
CACHE_STATUS_HIT: CacheStatus
CACHE_STATUS_MISS: CacheStatus
CACHE_STATUS_STALE: CacheStatus

class GetRequest(_message.Message):
    __slots__ = ("id", "namespace", "key", "min_version", "cache_ttl_s")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    MIN_VERSION_FIELD_NUMBER: _ClassVar[int]
    CACHE_TTL_S_FIELD_NUMBER: _ClassVar[int]
    id: int
    namespace: str
    key: bytes
    min_version: bytes
    cache_ttl_s: int
    def __init__(self, id: _Optional[int] = ..., namespace: _Optional[str] = ..., key: _Optional[bytes] = ..., min_version: _Optional[bytes] = ..., cache_ttl_s: _Optional[int] = ...) -> None: ...

class GetReply(_message.Message):
    __slots__ = ("id", "error", "found", "value", "metadata", "expires_at_s", "version", "cache_status", "unconfirmed", "stale")
    ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_S_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CACHE_STATUS_FIELD_NUMBER: _ClassVar[int]
    UNCONFIRMED_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    id: int
    error: Error
    found: bool
    value: bytes
    metadata: bytes
    expires_at_s: int
    version: bytes
    cache_status: CacheStatus
    unconfirmed: bool
    stale: bool
    def __init__(self, id: _Optional[int] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., found: _Optional[bool] = ..., value: _Optional[bytes] = ..., metadata: _Optional[bytes] = ..., expires_at_s: _Optional[int] = ..., version: _Optional[bytes] = ..., cache_status: _Optional[_Union[CacheStatus, str]] = ..., unconfirmed: _Optional[bool] = ..., stale: _Optional[bool] = ...) -> None: ...

class PutRequest(_message.Message):
    __slots__ = ("id", "namespace", "key", "value", "metadata", "expires_at_s", "expiration_ttl_s", "above")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_S_FIELD_NUMBER: _ClassVar[int]
    EXPIRATION_TTL_S_FIELD_NUMBER: _ClassVar[int]
    ABOVE_FIELD_NUMBER: _ClassVar[int]
    id: int
    namespace: str
    key: bytes
    value: bytes
    metadata: bytes
    expires_at_s: int
    expiration_ttl_s: int
    above: bytes
    def __init__(self, id: _Optional[int] = ..., namespace: _Optional[str] = ..., key: _Optional[bytes] = ..., value: _Optional[bytes] = ..., metadata: _Optional[bytes] = ..., expires_at_s: _Optional[int] = ..., expiration_ttl_s: _Optional[int] = ..., above: _Optional[bytes] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("id", "namespace", "key", "above")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ABOVE_FIELD_NUMBER: _ClassVar[int]
    id: int
    namespace: str
    key: bytes
    above: bytes
    def __init__(self, id: _Optional[int] = ..., namespace: _Optional[str] = ..., key: _Optional[bytes] = ..., above: _Optional[bytes] = ...) -> None: ...

class WriteReply(_message.Message):
    __slots__ = ("id", "error", "version", "superseded_by")
    ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDED_BY_FIELD_NUMBER: _ClassVar[int]
    id: int
    error: Error
    version: bytes
    superseded_by: bytes
    def __init__(self, id: _Optional[int] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., version: _Optional[bytes] = ..., superseded_by: _Optional[bytes] = ...) -> None: ...

class BatchRequest(_message.Message):
    __slots__ = ("gets", "puts", "deletes")
    GETS_FIELD_NUMBER: _ClassVar[int]
    PUTS_FIELD_NUMBER: _ClassVar[int]
    DELETES_FIELD_NUMBER: _ClassVar[int]
    gets: _containers.RepeatedCompositeFieldContainer[GetRequest]
    puts: _containers.RepeatedCompositeFieldContainer[PutRequest]
    deletes: _containers.RepeatedCompositeFieldContainer[DeleteRequest]
    def __init__(self, gets: _Optional[_Iterable[_Union[GetRequest, _Mapping]]] = ..., puts: _Optional[_Iterable[_Union[PutRequest, _Mapping]]] = ..., deletes: _Optional[_Iterable[_Union[DeleteRequest, _Mapping]]] = ...) -> None: ...

class BatchReply(_message.Message):
    __slots__ = ("gets", "writes", "draining")
    GETS_FIELD_NUMBER: _ClassVar[int]
    WRITES_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    gets: _containers.RepeatedCompositeFieldContainer[GetReply]
    writes: _containers.RepeatedCompositeFieldContainer[WriteReply]
    draining: bool
    def __init__(self, gets: _Optional[_Iterable[_Union[GetReply, _Mapping]]] = ..., writes: _Optional[_Iterable[_Union[WriteReply, _Mapping]]] = ..., draining: _Optional[bool] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "message", "field", "retry_after_s")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_S_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    field: str
    retry_after_s: float
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., field: _Optional[str] = ..., retry_after_s: _Optional[float] = ...) -> None: ...

class PutChunk(_message.Message):
    __slots__ = ("head", "data", "last")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    head: PutRequest
    data: bytes
    last: bool
    def __init__(self, head: _Optional[_Union[PutRequest, _Mapping]] = ..., data: _Optional[bytes] = ..., last: _Optional[bool] = ...) -> None: ...

class GetChunk(_message.Message):
    __slots__ = ("head", "data")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    head: GetReply
    data: bytes
    def __init__(self, head: _Optional[_Union[GetReply, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("namespace", "prefix", "limit", "cursor")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    prefix: bytes
    limit: int
    cursor: str
    def __init__(self, namespace: _Optional[str] = ..., prefix: _Optional[bytes] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListReply(_message.Message):
    __slots__ = ("keys", "cursor", "stale")
    KEYS_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[ListedKey]
    cursor: str
    stale: bool
    def __init__(self, keys: _Optional[_Iterable[_Union[ListedKey, _Mapping]]] = ..., cursor: _Optional[str] = ..., stale: _Optional[bool] = ...) -> None: ...

class ListedKey(_message.Message):
    __slots__ = ("name", "expires_at_s", "metadata")
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_S_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    expires_at_s: int
    metadata: bytes
    def __init__(self, name: _Optional[bytes] = ..., expires_at_s: _Optional[int] = ..., metadata: _Optional[bytes] = ...) -> None: ...
