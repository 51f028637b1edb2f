"""How a program declares its settings: one frozen dataclass, each field with its help and names."""

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeVar

from tandem.runtime.settings.kinds import Kind

T = TypeVar("T")

PROGRAMS = frozenset({"gateway", "kvsp", "crawler", "kvctl"})
# Keys above the tables of the file: read by more than one program, so none may call them unknown.
SHARED_KEYS = frozenset(
    {
        "admin_token",
        "admin_token_file",
        "data",
        "grpc_address",
        "http_address",
        "kvsp_address",
        "crawler_address",
        "log_format",
        "log_level",
        "s3_bucket",
        "s3_create_bucket",
        "s3_endpoint",
        "s3_prefix",
        "s3_region",
        "tls_ca",
        "tls_certificate",
        "tls_client_ca",
        "tls_key",
    }
)
_METADATA = "setting"
_UNIT_SUFFIXES = ("_bytes", "_us", "_ms", "_s")


@dataclass(frozen=True, slots=True)
class Setting:
    """One field: its kind, default, bounds, and its name in each source."""

    field: str
    kind: Kind[Any]
    default: Any
    help: str
    key: str
    flag: str
    env: str
    low: float | None
    high: float | None
    shared: bool
    secret: bool
    reload: bool

    @property
    def expected(self) -> str:
        if self.low is not None and self.high is not None:
            bounds = f" from {self._shown(self.low)} to {self._shown(self.high)}"
        elif self.low is not None:
            bounds = f", at least {self._shown(self.low)}"
        elif self.high is not None:
            bounds = f", at most {self._shown(self.high)}"
        else:
            bounds = ""
        return self.kind.expected + bounds

    def _shown(self, bound: float) -> str:
        return self.kind.show(int(bound) if bound == int(bound) else bound)

    def parse(self, text: str) -> object:
        value: Any = self.kind.parse(text)
        if self.low is not None and value < self.low:
            raise ValueError(text)
        if self.high is not None and value > self.high:
            raise ValueError(text)
        return value

    def shown_default(self) -> str:
        return "" if self.secret or self.default is None else self.kind.show(self.default)

    def shown(self, value: object) -> str:
        """A value for a log; nothing of a secret one."""
        return "(not shown)" if self.secret else self.kind.show(value) or "nothing"


@dataclass(frozen=True, slots=True)
class Relation:
    """A rule between fields that does not hold; the sentence says what must."""

    fields: tuple[str, ...]
    must: str


def setting(
    kind: Kind[T],
    default: T,
    help: str,  # noqa: A002 - what it is called everywhere else
    *,
    key: str = "",
    flag: str = "",
    env: str = "",
    low: float | None = None,
    high: float | None = None,
    shared: bool = False,
    secret: bool = False,
    reload: bool = False,
) -> T:
    """Declare a field. Names are derived from the field's, without its unit, unless given.

    `shared`: it stands above the tables of the file. `secret`: its value is never printed.
    `reload`: a running program takes a new value; otherwise that waits for a restart.
    """
    metadata = {
        "kind": kind, "help": help, "key": key, "flag": flag, "env": env, "low": low,
        "high": high, "shared": shared, "secret": secret, "reload": reload,
    }  # fmt: skip
    return dataclasses.field(default=default, repr=not secret, metadata={_METADATA: metadata})


def settings_of(declared: type) -> tuple[Setting, ...]:
    """The settings that dataclass `declared` consists of, in order."""
    found = []
    for field in dataclasses.fields(declared):
        given = field.metadata[_METADATA]
        name = given["key"] or _without_unit(field.name)
        found.append(
            Setting(
                field=field.name,
                kind=given["kind"],
                default=field.default,
                help=given["help"],
                key=name,
                flag=given["flag"] or "--" + name.replace("_", "-"),
                env=given["env"] or "TANDEM_" + name.upper(),
                low=given["low"],
                high=given["high"],
                shared=given["shared"],
                secret=given["secret"],
                reload=given["reload"],
            )
        )
        assert not given["shared"] or name in SHARED_KEYS, f"{name} is not in SHARED_KEYS"
    return tuple(found)


def _without_unit(name: str) -> str:
    for suffix in _UNIT_SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name
