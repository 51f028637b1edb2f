"""Every limit that a user can meet, in one place; the wire, the stores and the docs quote these."""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

KEY_NAME_BYTES_MAX: Final = 512
VALUE_BYTES_MAX: Final = 25 * MIB
METADATA_BYTES_MAX: Final = 1024
EXPIRATION_TTL_S_MIN: Final = 60
CACHE_TTL_S_MIN: Final = 30

LIST_PAGE_DEFAULT: Final = 1000
LIST_PAGE_MAX: Final = 1000
WHOLE_BYTES_MAX: Final = 256 * KIB
"""Longer envelopes travel between a gateway and KVSP in pieces."""
PIECE_BYTES: Final = 256 * KIB
"""Of one message; four times as large ones cost twice the CPU, as memory is mapped for each."""

BATCH_OPERATIONS_MAX: Final = 1000
BATCH_BYTES_MAX: Final = 32 * MIB
"""A batch, and so any one message, holds at least one value of full size."""

LARGE_BODY_BYTES: Final = 1 * MIB
"""A quota may bound how many values above this are received at the same time."""
KEY_WRITE_INTERVAL_US: Final = 1_000_000
"""Between two writes of one key, in a namespace that asks for it, as Workers KV does."""

NAMESPACE_TITLE_CHARS_MAX: Final = 512
NAMESPACES_MAX: Final = 1000

CLOCK_SKEW_MAX_US: Final = 500_000
"""A version further ahead of a home's clock than this is served, never observed, and never sent."""

WHOLE_SECOND_CLOCK_SKEW_MAX_US: Final = CLOCK_SKEW_MAX_US + 1_000_000
"""The same against a clock that only shows whole seconds, as the HTTP `Date` header does."""

ACK_WINDOW_US: Final = 10_000_000
"""A confirmation counts only while the version is no older than this by the home's own clock."""

LEG_DEADLINE_S: Final = 30.0
"""How long one write leg may run; also the age above which a home refuses a leg as late."""

HEAL_AGE_MAX_S: Final = 60.0
"""A heal may write only this long after the read of the same home that it rests on."""
