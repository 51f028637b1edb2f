"""Which cluster owns a key: consistent hashing (Karger et al., 1997) with virtual nodes.

Keys are spread one by one, so that no popular namespace lands on one cluster. The ring is a pure
function of its cluster names; its fingerprint, over all that decides where a key goes, is stored at
first start, and a changed ring is refused, since it would look for keys where they are not.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from tandem.core.key import Key

VIRTUAL_NODES: Final = 128
_POINT_BYTES: Final = 8


class Ring:
    """Maps keys to indexes into `clusters`."""

    def __init__(self, clusters: Sequence[str]) -> None:
        assert clusters and len(set(clusters)) == len(clusters)
        points = sorted(
            (_point(f"{name}#{node}".encode()), index)
            for index, name in enumerate(clusters)
            for node in range(VIRTUAL_NODES)
        )
        self._points = [point for point, _ in points]
        self._owners = [owner for _, owner in points]
        ring = "\n".join(f"{point} {clusters[owner]}" for point, owner in points)
        self.fingerprint = hashlib.blake2b(ring.encode(), digest_size=16).hexdigest()

    def owner(self, key: Key) -> int:
        """The index of the cluster that owns `key`."""
        at = bisect_right(self._points, _point(f"{key.namespace}/{key.name}".encode()))
        return self._owners[at % len(self._owners)]


def _point(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=_POINT_BYTES).digest(), "big")
