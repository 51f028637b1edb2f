"""What an operator sees of a gateway: plain values that the Ops service and `kvctl` share."""

from dataclasses import dataclass

from tandem.core.certificate import CertificateInUse
from tandem.core.key import Key
from tandem.core.reply import Side
from tandem.core.settings_in_force import NOT_TOLD, SettingsInForce
from tandem.core.version import Version


@dataclass(frozen=True, slots=True)
class HomeStatus:
    """One home as the gateway knows it."""

    side: Side
    kind: str
    """kvsp, s3 or file."""
    location: str
    breaker: str
    reads_enabled: bool
    writes_enabled: bool
    behind: tuple[str, ...] = ()
    """Ids of the namespaces for which it may lack writes; "*" for all."""
    last_failure: str = ""
    detail: str = ""
    switch_epoch: int = 0


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The repair queue in numbers."""

    depth: int = 0
    """Those included that are in the memory of the worker which answers, since the queue's disk has
    not taken them yet."""
    oldest_age_us: int = 0
    dirty_ranges: int = 0
    healed: int = 0
    failed_tries: int = 0
    needs_person: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """A gateway at one moment."""

    homes: tuple[HomeStatus, ...]
    queue: QueueStatus
    gateway_id: str
    now_us: int
    clock_offset_us: int = 0
    clock_alarm: bool = False
    workers: int = 1
    journal_pending: int = 0
    journal_writable: bool = True
    namespaces_equal: bool = True
    process: int = 0
    """The id of the worker process that answers; 0 when it does not say."""
    worker_restarts: int = 0
    """How many worker processes took the place of another one since the gateway started."""
    certificate: CertificateInUse | None = None
    """What the worker shows to its callers; None without TLS."""
    settings: SettingsInForce = NOT_TOLD
    """What the gateway goes by."""
    doubled: bool = False
    """Whether the worker has lately seen another gateway use the id of this one."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What one home holds under a key; with a `failure`, nothing else is known."""

    side: Side
    found: bool = False
    version: Version | None = None
    digest: bytes = b""
    tombstone: bool = False
    expires_at_s: int = 0
    value_bytes: int = 0
    metadata: bytes = b""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Inspection:
    """A key in both homes."""

    copies: tuple[Copy, ...]
    equal: bool
    object_name: str
    plan: str
    """What a heal would do."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A page of what both homes list."""

    equal: int
    """How many keys both list alike."""
    differing: tuple[str, ...]
    """The others, in order: what one home lacks or holds otherwise, or a write on its way."""
    next_after: str | None
    """The next page begins after this name; None at the end."""


@dataclass(frozen=True, slots=True)
class Healed:
    """What a heal did."""

    equal: bool
    copied: tuple[Side, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QueuedRepair:
    """One row of the repair queue."""

    key: Key
    version: Version | None
    attempts: int
    age_us: int
    due_in_us: int
    last_failure: str = ""


@dataclass(frozen=True, slots=True)
class CrawlReport:
    """A crawler's word on one namespace."""

    namespace: str
    began_at_us: int
    equal: bool
