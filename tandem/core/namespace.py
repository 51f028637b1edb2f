"""What a namespace is, and the one JSON form in which both homes keep it.

The id never changes and is never used again; the title is what people use and may change.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Final

from tandem.core.access import DEFAULT_ACCOUNT, check_account
from tandem.core.key import RESERVED_NAMESPACES, is_namespace_id
from tandem.core.limits import NAMESPACE_TITLE_CHARS_MAX
from tandem.core.mode import ACTIVE, Mode, Stage
from tandem.core.quota import NO_QUOTA, QUOTA_FIELDS, Quota, check_quota
from tandem.core.reading import ReadMode
from tandem.core.reply import Side
from tandem.core.write_race import AckPolicy
from tandem.errors import Breach, InvalidArgument, NamespaceNotFound

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Settings:
    """How a namespace is written and read; `epoch` counts changes."""

    ack_policy: AckPolicy = AckPolicy.FIRST_INTENT
    read_mode: ReadMode = ReadMode.RACE
    epoch: int = 0
    quota: Quota = NO_QUOTA
    key_write_interval: bool = False
    """One write a second for each key, as Workers KV has it; more are refused."""
    mode: Mode = ACTIVE
    mode_epoch: int = 0
    """Counts the steps from mode to mode."""
    stepped_at_s: int = 0
    """When the last of them was taken, by the homes' time."""

    @property
    def settled(self) -> bool:
        """Whether no step was ever taken: every gateway has always gone by this mode."""
        return self.mode_epoch == 0 and self.mode.whole

    @property
    def limited(self) -> bool:
        """Whether anything must be charged at all."""
        return bool(self.quota) or self.key_write_interval


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """What to change; None leaves a setting as it is."""

    ack_policy: AckPolicy | None = None
    read_mode: ReadMode | None = None
    operations_per_s: int | None = None
    bytes_per_s: int | None = None
    large_bodies_max: int | None = None
    key_write_interval: bool | None = None
    mode: Mode | None = None
    """For a new namespace; later it changes by steps alone (`tandem.core.mode_step`)."""

    def applied_to(self, settings: Settings) -> Settings:
        """The settings after the change, one epoch later; the same ones when nothing changes."""
        quota, interval = settings.quota, self.key_write_interval
        changed = replace(
            settings,
            ack_policy=self.ack_policy or settings.ack_policy,
            read_mode=self.read_mode or settings.read_mode,
            quota=Quota(
                _changed(self.operations_per_s, quota.operations_per_s),
                _changed(self.bytes_per_s, quota.bytes_per_s),
                _changed(self.large_bodies_max, quota.large_bodies_max),
            ),
            key_write_interval=settings.key_write_interval if interval is None else interval,
            mode=self.mode or settings.mode,
        )
        return settings if changed == settings else replace(changed, epoch=settings.epoch + 1)


def _changed(wanted: int | None, now: int) -> int:
    return now if wanted is None else wanted


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace as it is shown."""

    id: str
    title: str
    settings: Settings = field(default_factory=Settings)
    created_at_s: int = 0
    account: str = DEFAULT_ACCOUNT
    """Whose it is; a title is unique within an account."""
    title_conflict: bool = False
    """An older one of the account has the same title; not stored: only a look at all can tell."""


class BadNamespaceRecord(ValueError):
    """Bytes that are not a namespace in a format that this program knows."""


_NO_NAMESPACE: Final = (
    ValueError,
    KeyError,
    TypeError,
    OverflowError,  # an infinite number of seconds
    RecursionError,  # too deep for JSON
    InvalidArgument,
    NamespaceNotFound,
)


def encode_namespace(namespace: Namespace) -> bytes:
    """The value of the namespace's record. What came after the first release is left out where it
    has no effect, so that older gateways read all that they can."""
    fields: dict[str, str | int] = {
        "format": FORMAT,
        "id": namespace.id,
        "title": namespace.title,
        "created_at_s": namespace.created_at_s,
        "ack_policy": namespace.settings.ack_policy.value,
        "read_mode": namespace.settings.read_mode.value,
        "epoch": namespace.settings.epoch,
    }
    if namespace.account != DEFAULT_ACCOUNT:
        fields["account"] = namespace.account
    limits = asdict(namespace.settings.quota)
    fields.update({name: limit for name, limit in limits.items() if limit})
    if namespace.settings.key_write_interval:
        fields["key_write_interval"] = True
    mode = namespace.settings.mode
    if mode != ACTIVE:
        fields |= {"mode": mode.stage.value, "home": mode.home.value, "percent": mode.percent}
    if namespace.settings.mode_epoch:
        fields["mode_epoch"] = namespace.settings.mode_epoch
        fields["stepped_at_s"] = namespace.settings.stepped_at_s
    return json.dumps(
        fields,
        ensure_ascii=False,
        separators=(",", ":"),
        sort_keys=True,
    ).encode()


def decode_namespace(raw: bytes) -> Namespace:
    """The namespace in a record's value; BadNamespaceRecord when it is none."""
    try:
        fields = json.loads(raw)
        if fields["format"] != FORMAT:
            raise BadNamespaceRecord(f"namespace format {fields['format']!r} is not known here")
        settings = Settings(
            AckPolicy(fields["ack_policy"]),
            ReadMode(fields["read_mode"]),
            int(fields["epoch"]),
            Quota(*(check_quota(int(fields.get(name, 0)), name) for name in QUOTA_FIELDS)),
            bool(fields.get("key_write_interval", False)),
            _mode(fields),
            int(fields.get("mode_epoch", 0)),
            int(fields.get("stepped_at_s", 0)),
        )
        namespace = Namespace(
            id=str(fields["id"]),
            title=str(fields["title"]),
            settings=settings,
            created_at_s=int(fields["created_at_s"]),
            account=check_account(str(fields.get("account", DEFAULT_ACCOUNT))),
        )
        check_namespace_id(namespace.id)
        check_title(namespace.title)
    except _NO_NAMESPACE as error:
        raise BadNamespaceRecord(f"not a namespace: {error!r}") from error
    return namespace


def _mode(fields: Mapping[str, str | int]) -> Mode:
    if "mode" not in fields:
        return ACTIVE
    return Mode(Stage(fields["mode"]), Side(fields["home"]), int(fields["percent"]))


@lru_cache(maxsize=4096)
def check_namespace_form(text: str) -> str:
    """`text`, be it a reserved namespace; InvalidArgument when it has not the form of an id.

    Cached: KVSP asks before every operation. What is refused is not kept.
    """
    if not is_namespace_id(text):
        shown = text if len(text) <= 64 else f"{text[:64]}..."
        raise InvalidArgument(
            "namespace", f"{shown!r} is not a namespace id, which has 32 lower-case hex digits"
        )
    return text


@lru_cache(maxsize=4096)
def check_namespace_id(text: str) -> str:
    """`text` when a client may name a namespace so.

    Raises InvalidArgument when it has not the form of an id, NamespaceNotFound when it is one of
    the reserved ones. (Cached: it stands before every operation.)
    """
    check_namespace_form(text)
    if text in RESERVED_NAMESPACES:
        raise NamespaceNotFound(text)
    return text


def check_title(title: str) -> str:
    """`title`; InvalidArgument unless it has 1 to 512 characters and none of them is a control."""
    if not title:
        raise InvalidArgument("title", "must not be empty", Breach.EMPTY)
    if len(title) > NAMESPACE_TITLE_CHARS_MAX:
        raise InvalidArgument(
            "title",
            f"length of {len(title)} characters exceeds the limit of {NAMESPACE_TITLE_CHARS_MAX}",
            Breach.TOO_MUCH,
            len(title),
        )
    for position, character in enumerate(title):
        if character < " " or character == "\x7f" or "\ud800" <= character <= "\udfff":
            raise InvalidArgument("title", f"has a control character at position {position}")
    return title


def check_plain_title(title: str) -> str:
    """`title` when it can be one wherever a namespace is given by its id or its title; otherwise,
    and when it has the form of an id, InvalidArgument. (The REST API knows namespaces by their ids
    alone, and Cloudflare's takes any title.)"""
    if is_namespace_id(check_title(title)):
        raise InvalidArgument("title", "must not have the form of an id, 32 lower-case hex digits")
    return title
