"""When a cache entry is too old: by its ttl, less a share that differs from entry to entry.

Keys that were read together, as after a start, would otherwise all be asked for again together. The
share follows from the key and the version alone, so all processes of a machine agree.
"""

from typing import Final
from zlib import crc32

from tandem.core.key import Key
from tandem.core.version import Version

JITTER_SHARE: Final = 8
"""An entry serves for between seven eighths of its ttl and the whole of it."""


def fresh(key: Key, version: Version, age_us: int, ttl_us: int) -> bool:
    """Whether an entry of this age may answer a reader who asks for this ttl."""
    jitter_us = ttl_us // JITTER_SHARE
    if age_us <= ttl_us - jitter_us:
        return True
    if age_us > ttl_us:
        return False
    spread = crc32(key.name.encode(), crc32(key.namespace.encode() + version))
    return age_us <= ttl_us - (jitter_us * spread >> 32)
